"""The non-local block."""

import torch

from vireid.networks.non_local import NonLocal


def test_at_start_it_is_the_identity():
    block = NonLocal(8)
    maps = torch.randn(2, 8, 5, 3)
    for training in (True, False):
        assert torch.equal(block.train(training)(maps), maps)


def test_it_learns_to_leave_the_identity():
    block = NonLocal(8)
    (block(torch.randn(2, 8, 5, 3)) ** 2).sum().backward()
    assert block.norm.weight.grad.abs().max() > 0


def test_equals_plain_loops():
    torch.manual_seed(1)
    block = NonLocal(6).double().eval()
    torch.nn.init.normal_(block.norm.weight)
    torch.nn.init.normal_(block.norm.bias)
    block.norm.running_mean.normal_()
    block.norm.running_var.uniform_(0.5, 2.0)
    maps = torch.randn(2, 6, 4, 3, dtype=torch.float64)
    theta, phi, value = (conv(maps).flatten(2) for conv in (block.theta, block.phi, block.value))
    assert theta.shape == (2, 3, 12)
    attended = torch.zeros(2, 3, 12, dtype=torch.float64)
    for n in range(2):
        for i in range(12):
            for j in range(12):
                attended[n, :, i] += (theta[n, :, i] @ phi[n, :, j]) * value[n, :, j] / 12
    expected = maps + block.norm(block.out(attended.view(2, 3, 4, 3)))
    assert torch.allclose(block(maps), expected, atol=1e-12)
