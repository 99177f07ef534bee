"""The modulation loss against modulated pictures written out."""

import pytest
import torch
from torch.nn import functional as F

from vireid.errors import UsageError
from vireid.matching import ModulatedCosine, ModulatedPartCosine
from vireid.methods.cmt.modulation import Modulation, modulation_loss

LABELS = torch.tensor([0, 0, 1, 1, 2, 2] * 2)
INFRARED = torch.arange(12) >= 6


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def problem():
    return draw(12, 3, 5), 1 + draw(12, 5, seed=1), draw(12, 5, seed=2)


def written_out(features, scale, shift, candidates, mining, margin):
    losses = []
    for anchor in range(12):
        distances = {True: [], False: []}
        for other in range(12):
            if other == anchor or (candidates == "opposite" and INFRARED[other] == INFRARED[anchor]):
                continue
            changed = scale[anchor] * features[other] + shift[anchor]
            distances[bool(LABELS[other] == LABELS[anchor])].append(float((features[anchor] - changed).norm()))
        mean = {kind: sum(values) / len(values) for kind, values in distances.items()}
        far, near = (max(distances[True]), min(distances[False])) if mining == "hard" else (mean[True], mean[False])
        losses.append(max(0.0, margin + far - near))
    return sum(losses) / 12


@pytest.mark.parametrize("mining", ["hard", "mean"])
@pytest.mark.parametrize("candidates", ["opposite", "all"])
def test_equals_the_modulated_pictures_written_out(candidates, mining):
    found = modulation_loss(*problem(), LABELS, INFRARED, margin=2.0, candidates=candidates, mining=mining)
    assert found.item() == pytest.approx(written_out(*problem(), candidates, mining, 2.0), abs=1e-10)
    assert found.item() > 0


@pytest.mark.parametrize("by_part", [False, True])
def test_distances_of_unit_vectors_are_those_that_retrieval_ranks_by(by_part):
    features, scale, shift = problem()
    matcher = ModulatedPartCosine() if by_part else ModulatedCosine()
    found = modulation_loss(features, scale, shift, LABELS, INFRARED, margin=1.0, cosines=matcher)
    losses = []
    for anchor in range(12):
        others = [row for row in range(12) if INFRARED[row] != INFRARED[anchor]]
        changed = scale[anchor] * features[others] + shift[anchor]
        asked = features[anchor].expand_as(changed)
        if by_part:
            cosine = F.cosine_similarity(asked, changed, dim=2).mean(dim=1)
        else:
            cosine = F.cosine_similarity(asked.flatten(1), changed.flatten(1), dim=1)
        distances, same = (2 - 2 * cosine).sqrt(), LABELS[others] == LABELS[anchor]
        losses.append((1.0 + distances[same].max() - distances[~same].min()).clamp(min=0))
    torch.testing.assert_close(found, torch.stack(losses).mean(), atol=1e-10, rtol=0)
    longer = modulation_loss(7 * features, scale, 7 * shift, LABELS, INFRARED, margin=1.0, cosines=matcher)
    torch.testing.assert_close(longer, found, atol=1e-10, rtol=0)


def test_an_anchor_is_compared_with_what_it_makes_itself():
    features, scale, shift = problem()
    one = torch.zeros(12, dtype=torch.bool)
    one[0] = True
    # Only row 0 as anchor: identities of the other rows of its modality belong to nobody else.
    rows = torch.cat([torch.tensor([0]), torch.arange(6, 12)])

    def loss(scale, shift):
        return modulation_loss(features[rows], scale, shift, LABELS[rows], INFRARED[rows], margin=3.0)

    features.requires_grad_()
    scale, shift = scale[rows].requires_grad_(), shift[rows].requires_grad_()
    anchored = loss(scale, shift)
    [gradient] = torch.autograd.grad(anchored, scale)
    assert gradient[0].abs().max() > 0
    # Infrared rows 3.. have no visible counterpart of their identity and are no anchors.
    assert (gradient[3:] == 0).all()
    changed = scale.detach().clone()
    changed[3:] += 5
    assert loss(changed, shift).item() == pytest.approx(anchored.item(), abs=1e-12)


def test_gradients_are_those_of_the_values_and_finite_where_pictures_coincide():
    features, scale, shift = (value.requires_grad_() for value in problem())
    assert torch.autograd.gradcheck(
        lambda *values: modulation_loss(*values, LABELS, INFRARED, margin=5.0), (features, scale, shift)
    )
    same = torch.ones(12, 3, 5, requires_grad=True)
    loss = modulation_loss(same, torch.ones(12, 5), torch.zeros(12, 5), LABELS, INFRARED, candidates="all")
    loss.backward()
    assert loss.item() == pytest.approx(0.3, abs=1e-6)
    assert torch.isfinite(same.grad).all()


def test_half_precision_features_are_compared_in_single_precision_under_autocast():
    features = (30 + draw(12, 3, 5)).to(torch.bfloat16)
    scale, shift = torch.ones(12, 5), torch.zeros(12, 5)
    with torch.autocast("cpu", torch.bfloat16):
        found = modulation_loss(features, scale, shift, LABELS, INFRARED, margin=2.0)
    expected = written_out(features.double(), scale.double(), shift.double(), "opposite", "hard", 2.0)
    assert found.item() == pytest.approx(expected, abs=2e-2)


def test_one_identity_is_refused():
    with pytest.raises(UsageError, match="at least two identities"):
        modulation_loss(*problem(), torch.zeros(12, dtype=torch.int64), INFRARED)


def test_generators_start_as_the_identity_and_see_the_mean_over_parts():
    torch.manual_seed(0)
    modulation = Modulation(8, "affine")
    features = draw(4, 3, 8).float()
    scale, shift = modulation(features)
    assert torch.equal(scale, torch.ones(4, 8))
    assert torch.equal(shift, torch.zeros(4, 8))
    with torch.no_grad():
        for parameter in modulation.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    plain = modulation(features)
    assert plain[0].std(dim=0).max() > 0
    for found, expected in zip(modulation(features[:, [2, 0, 1]]), plain, strict=True):
        torch.testing.assert_close(found, expected)
    with torch.autocast("cpu", torch.bfloat16):
        assert all(value.dtype == torch.float32 for value in modulation(features.bfloat16()))
