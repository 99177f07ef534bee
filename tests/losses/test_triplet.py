"""The weighted-regularised triplet against plain loops, and its limits."""

import math

import pytest
import torch

from vireid.errors import UsageError
from vireid.losses import batch_hard_triplet, euclidean_distances, margin_triplet, weighted_regularised_triplet


def softplus(x):
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def slow_triplet(features, labels, squared):
    rows, labels = features.tolist(), labels.tolist()
    losses = []
    for anchor, label in zip(rows, labels, strict=True):
        distances = [math.dist(anchor, other) for other in rows]
        positives = [d for d, other in zip(distances, labels, strict=True) if other == label]
        negatives = [d for d, other in zip(distances, labels, strict=True) if other != label]
        gap = sum(d * math.exp(d) for d in positives) / sum(math.exp(d) for d in positives)
        gap -= sum(d * math.exp(-d) for d in negatives) / sum(math.exp(-d) for d in negatives)
        losses.append(softplus(math.copysign(min(gap * gap, 88.0), gap) if squared else gap))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("scale", [0.1, 1.0, 5.0])
def test_equals_plain_loops(squared, scale):
    features = torch.randn(12, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64) * scale
    labels = torch.tensor([0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 4, 4])
    found = weighted_regularised_triplet(features, labels, squared=squared)
    assert found.item() == pytest.approx(slow_triplet(features, labels, squared), abs=1e-10)


def test_with_itself_as_only_positive_and_one_negative_it_is_the_softplus_of_minus_the_distance():
    features = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    loss = weighted_regularised_triplet(features, torch.tensor([0, 1]))
    assert loss.item() == pytest.approx(softplus(0.0 - 5.0), abs=1e-6)


def test_with_one_far_positive_and_one_negative_it_is_the_softplus_of_their_difference():
    # An anchor is its own positive too, with weight 1 / (1 + exp(d+)): nothing at d+ = 60. The two anchors of
    # identity 0 see a negative at 61 and at about 85.6, the third is its own only positive.
    features = torch.tensor([[0.0, 0.0], [60.0, 0.0], [0.0, 61.0]], dtype=torch.float64)
    far = math.hypot(60.0, 61.0)
    expected = (softplus(60.0 - 61.0) + softplus(60.0 - far) + softplus(0.0 - 61.0)) / 3
    loss = weighted_regularised_triplet(features, torch.tensor([0, 0, 1]))
    assert loss.item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("squared", [False, True])
def test_identical_features_give_log_two(squared):
    features = torch.full((8, 16), 1.7, requires_grad=True)
    loss = weighted_regularised_triplet(features, torch.arange(8) // 2, squared=squared)
    assert loss.item() == pytest.approx(math.log(2.0), abs=1e-7)
    loss.backward()
    assert torch.isfinite(features.grad).all()


@pytest.mark.parametrize(
    ("positive", "negative", "expected"),
    [
        (60.0, 58.0, softplus(4.0)),  # sign kept above zero
        (58.0, 60.0, softplus(-4.0)),  # and below
        (80.0, 60.0, 88.0),  # 400 clamped at 88
        (60.0, 80.0, softplus(-88.0)),
    ],
)
def test_squared_difference_keeps_its_sign_and_stops_at_88(positive, negative, expected):
    # On a line the anchor stands between its positive and its negative.
    features = torch.tensor([[0.0], [positive], [-negative]], dtype=torch.float64)
    labels = torch.tensor([0, 0, 1])
    others = softplus(-min(negative**2, 88.0)) + softplus(-min(negative**2, 88.0))
    loss = weighted_regularised_triplet(features, labels, squared=True)
    assert loss.item() == pytest.approx((expected + others) / 3, abs=1e-9)


def test_gradient_equals_finite_differences():
    features = torch.randn(6, 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    for squared in (False, True):
        assert torch.autograd.gradcheck(
            lambda x, s=squared: weighted_regularised_triplet(x, labels, squared=s), features
        )


def test_gradient_is_finite_where_pictures_coincide():
    features = torch.randn(4, 8, generator=torch.Generator().manual_seed(6)).repeat(2, 1).requires_grad_()
    weighted_regularised_triplet(features, torch.tensor([0, 1, 0, 1, 0, 1, 0, 1])).backward()
    assert torch.isfinite(features.grad).all()
    assert features.grad.abs().max() > 0


def test_distances_are_exact_for_long_features_and_zero_to_themselves():
    features = torch.randn(5, 2048, generator=torch.Generator().manual_seed(7)) * 10.0 + 100.0
    distances = euclidean_distances(features)
    expected = [[math.dist(a, b) for b in features.tolist()] for a in features.tolist()]
    assert torch.allclose(distances, torch.tensor(expected), rtol=1e-5)
    assert (distances.diagonal() == 0).all()


def test_half_precision_features_are_compared_in_single_precision():
    assert euclidean_distances(torch.ones(2, 3, dtype=torch.bfloat16)).dtype == torch.float32


def test_one_identity_alone_is_refused():
    with pytest.raises(UsageError, match="at least two identities"):
        weighted_regularised_triplet(torch.randn(4, 2), torch.zeros(4, dtype=torch.int64))


def slow_batch_hard(features, labels, margin):
    rows, labels = features.tolist(), labels.tolist()
    losses = []
    for anchor, label in zip(rows, labels, strict=True):
        distances = [math.dist(anchor, other) for other in rows]
        positive = max(d for d, other in zip(distances, labels, strict=True) if other == label)
        negative = min(d for d, other in zip(distances, labels, strict=True) if other != label)
        losses.append(max(0.0, margin + positive - negative))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("margin", [0.0, 0.35, 3.0])
def test_batch_hard_equals_plain_loops(margin):
    features = torch.randn(12, 6, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    labels = torch.tensor([0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 4, 4])
    found = batch_hard_triplet(features, labels, margin=margin)
    assert found.item() == pytest.approx(slow_batch_hard(features, labels, margin), abs=1e-12)


def test_batch_hard_of_points_on_a_line():
    # Anchors 0 and 3 see a positive at 3 and a negative at 4 and 1; the one at 4 has itself and a negative at 1.
    features = torch.tensor([[0.0], [3.0], [4.0]], requires_grad=True)
    loss = batch_hard_triplet(features, torch.tensor([0, 0, 1]), margin=0.5)
    assert loss.item() == pytest.approx((0.0 + 2.5 + 0.0) / 3, abs=1e-6)
    loss.backward()
    assert features.grad.flatten().tolist() == pytest.approx([-1 / 3, 2 / 3, -1 / 3])


def test_batch_hard_of_equal_features_is_the_margin_with_a_finite_gradient():
    features = torch.full((8, 16), 1.7, requires_grad=True)
    loss = batch_hard_triplet(features, torch.arange(8) // 2, margin=0.35)
    assert loss.item() == pytest.approx(0.35, abs=1e-7)
    loss.backward()
    assert torch.isfinite(features.grad).all()


def test_batch_hard_needs_two_identities():
    with pytest.raises(UsageError, match="at least two identities"):
        batch_hard_triplet(torch.randn(4, 3), torch.zeros(4, dtype=torch.int64), margin=0.35)


DISTANCES = torch.tensor([[1.0, 4.0, 2.0, 6.0], [0.5, 0.25, 3.0, 3.5], [9.0, 9.0, 9.0, 9.0]], dtype=torch.float64)
POSITIVE = torch.tensor([[True, True, False, False], [False, True, False, False], [False, False, False, False]])
NEGATIVE = torch.tensor([[False, False, True, True], [True, False, True, False], [True, True, True, True]])


@pytest.mark.parametrize(
    ("mining", "expected"),
    [
        ("hard", ((1 + 4 - 2) + (1 + 0.25 - 0.5)) / 2),
        ("mean", (0 + 0) / 2),  # 1 + 2.5 - 4 and 1 + .25 - 1.75
    ],
)
def test_margin_triplet_of_a_case_worked_by_hand(mining, expected):
    # The third anchor has no positive and does not count.
    loss = margin_triplet(DISTANCES, POSITIVE, NEGATIVE, margin=1.0, mining=mining)
    assert loss.item() == pytest.approx(expected)


def test_margin_triplet_grows_with_the_mean_distance_of_positives():
    loss = margin_triplet(DISTANCES, POSITIVE, NEGATIVE, margin=2.0, mining="mean")
    assert loss.item() == pytest.approx(((2 + 2.5 - 4) + (2 + 0.25 - 1.75)) / 2)


def test_margin_triplet_reaches_the_hardest_pairs_only():
    distances = DISTANCES.clone().requires_grad_()
    margin_triplet(distances, POSITIVE, NEGATIVE, margin=1.0).backward()
    expected = torch.tensor([[0.0, 1.0, -1.0, 0.0], [-1.0, 1.0, 0.0, 0.0], [0.0] * 4], dtype=torch.float64) / 2
    torch.testing.assert_close(distances.grad, expected)


def test_margin_triplet_without_a_complete_anchor_is_refused():
    with pytest.raises(UsageError, match="at least two identities"):
        margin_triplet(DISTANCES[2:], POSITIVE[2:], NEGATIVE[2:], margin=0.3)
