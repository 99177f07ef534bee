"""PMT's losses: by hand on a line, against plain loops, and what they refuse."""

import pytest
import torch

from vireid.errors import UsageError
from vireid.losses.modality_gap import discriminative_centre_loss, modality_shared_enhancement

LABELS = torch.tensor([0, 0, 1, 1, 0, 0, 1, 1])
INFRARED = torch.arange(8) >= 4


def features(seed=0):
    return torch.randn(8, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_enhancement_by_hand():
    """On a line: visible 0 and 2, infrared 5 and 6 of one person."""
    line = torch.tensor([[0.0], [2.0], [5.0], [6.0]])
    found = modality_shared_enhancement(line, torch.zeros(4, dtype=torch.int64), torch.arange(4) >= 2)
    # across less within: 5.5 - 2, 3.5 - 2; 4 - 1, 5 - 1
    expected = ((3.5**2 + 1.5**2) / 2 + (3.0**2 + 4.0**2) / 2) / 2
    assert found.item() == pytest.approx(expected)


def test_enhancement_is_what_a_plain_loop_gives():
    given = features()
    distance = torch.cdist(given, given)
    sides = []
    for infrared in (False, True):
        gaps = []
        for i in range(8):
            if bool(INFRARED[i]) is not infrared:
                continue
            mates = [j for j in range(8) if LABELS[j] == LABELS[i] and j != i]
            across = [distance[i, j] for j in mates if INFRARED[j] != INFRARED[i]]
            within = [distance[i, j] for j in mates if INFRARED[j] == INFRARED[i]]
            gaps.append((sum(across) / len(across) - sum(within) / len(within)) ** 2)
        sides.append(sum(gaps) / len(gaps))
    torch.testing.assert_close(modality_shared_enhancement(given, LABELS, INFRARED), sum(sides) / 2)


def test_enhancement_leaves_out_whoever_lacks_a_partner():
    given = features()
    alone = torch.cat([given, torch.full((1, 5), 99.0, dtype=torch.float64)])
    found = modality_shared_enhancement(alone, torch.cat([LABELS, torch.tensor([7])]), torch.arange(9) >= 4)
    torch.testing.assert_close(found, modality_shared_enhancement(given, LABELS, INFRARED))
    with pytest.raises(UsageError, match="two pictures of an identity in each modality"):
        modality_shared_enhancement(given[[0, 2, 4, 6]], LABELS[[0, 2, 4, 6]], INFRARED[[0, 2, 4, 6]])


def test_centre_loss_by_hand():
    """On a line: persons at 0 and 2, 10 and 14; centres 1 and 12."""
    line, labels = torch.tensor([[0.0], [2.0], [10.0], [14.0]]), torch.tensor([0, 0, 1, 1])
    # near: 1 and 2. Of centre 1, others at 9 and 13, on average 11: 9 is kept. Of centre 12, at 12 and 10: 10 is kept.
    assert discriminative_centre_loss(line, labels).item() == pytest.approx(1.5 / 9.5)


def test_centre_loss_keeps_some_where_all_are_equally_far():
    corners = torch.eye(3, dtype=torch.float64)
    found = discriminative_centre_loss(corners, torch.arange(3))
    assert found.item() == 0.0
    assert torch.isfinite(found)
    with pytest.raises(UsageError, match="at least two identities"):
        discriminative_centre_loss(corners, torch.zeros(3, dtype=torch.int64))


def test_gradients_are_right():
    given = features(3).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: modality_shared_enhancement(x, LABELS, INFRARED), (given,))
    assert torch.autograd.gradcheck(lambda x: discriminative_centre_loss(x, LABELS), (given,))


def test_half_precision_is_computed_in_single():
    half = features().bfloat16()
    assert modality_shared_enhancement(half, LABELS, INFRARED).dtype == torch.float32
    assert discriminative_centre_loss(half, LABELS).dtype == torch.float32
