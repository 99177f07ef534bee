"""BNNeck and the identity head."""

import torch

from vireid.networks.necks import BNNeck, IdentityHead


def test_neck_standardises_and_its_bias_stays_zero():
    neck = BNNeck(6)
    optimiser = torch.optim.SGD([p for p in neck.parameters() if p.requires_grad], lr=1.0)
    features = torch.randn(50, 6) * 3.0 + 2.0
    found = neck(features)
    assert torch.allclose(found.mean(0), torch.zeros(6), atol=1e-5)
    assert torch.allclose(found.var(0, unbiased=False), torch.ones(6), atol=1e-3)
    (found * torch.randn(50, 6)).sum().backward()
    optimiser.step()
    assert torch.equal(neck.bias, torch.zeros(6))
    assert not torch.equal(neck.weight, torch.ones(6))


def test_head_classifies_what_leaves_the_neck():
    torch.manual_seed(0)
    head = IdentityHead(512, 300)
    features, logits = head(torch.randn(8, 512))
    assert features.shape == (8, 512)
    assert torch.allclose(logits, features @ head.classifier.weight.T, atol=1e-6)
    assert head.classifier.bias is None
    assert abs(head.classifier.weight.std().item() - 1e-3) < 1e-5
