"""Part queries: mined regions, learnt vectors and stripes."""

import pytest
import torch
from torch.nn import functional as F

from vireid.errors import RecipeError
from vireid.losses.part_alignment import region_overlap
from vireid.methods.cal.options import CALOptions, RegionOptions
from vireid.methods.cal.regions import (
    LearntVectors,
    MinedRegions,
    Stripes,
    kept_positions,
    part_queries,
)
from vireid.options import parse


def maps(count: int = 2, channels: int = 6, height: int = 8, width: int = 4) -> torch.Tensor:
    return torch.rand(count, channels, height, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("positions", "kept", "parts", "expected"),
    [(216, 0.6, 4, 33), (162, 0.6, 4, 25), (192, 0.6, 4, 29), (225, 0.6, 4, 34), (216, 1.0, 4, 54), (216, 4.0, 4, 216)],
)
def test_positions_that_a_part_keeps(positions: int, kept: float, parts: int, expected: int) -> None:
    assert kept_positions(positions, parts, kept) == expected


def test_rounding_noise_keeps_no_further_position() -> None:
    assert kept_positions(30, 3, 0.3) == 3  # 0.3 * 30 / 3 may come out as 3.0000000000000004
    assert kept_positions(1, 1, 3.0000000004) == 1
    assert kept_positions(10, 10, 3.0000000004) == 4 - 1


def test_masks_are_the_best_positions_of_a_softmax() -> None:
    torch.manual_seed(0)
    mined = MinedRegions(6, 4, kept=0.6)
    found = mined(maps())
    assert found.masks is not None
    spread = mined.scores(maps()).flatten(2).softmax(dim=2)
    torch.testing.assert_close(spread.sum(dim=2), torch.ones(2, 4))
    kept = found.masks > 0
    assert (kept.sum(dim=2) == kept_positions(32, 4, 0.6)).all()
    torch.testing.assert_close(found.masks[kept], spread[kept])
    least = spread.masked_fill(~kept, 2).amin(dim=2)
    assert (spread.masked_fill(kept, -1).amax(dim=2) <= least).all()


def test_with_all_positions_kept_a_query_is_the_weighted_mean_of_the_map() -> None:
    torch.manual_seed(0)
    mined = MinedRegions(6, 4, kept=4.0)
    found = mined(maps())
    spread = mined.scores(maps()).flatten(2).softmax(dim=2)
    assert found.masks is not None
    torch.testing.assert_close(found.masks, spread)
    torch.testing.assert_close(found.queries, spread @ maps().flatten(2).transpose(1, 2))


def test_scores_are_a_convolution_over_features_of_three_scales() -> None:
    torch.manual_seed(0)
    mined, features = MinedRegions(6, 4, kept=0.6), maps(height=24, width=9)
    scales = [features]
    for window in (3, 5):
        pooled = F.max_pool2d(features, window, stride=window, ceil_mode=True)
        scales.append(F.interpolate(pooled, size=(24, 9), mode="nearest"))
    torch.testing.assert_close(mined.scores(features), mined.scorer(torch.cat(scales, dim=1)))


def test_an_even_scorer_takes_the_mean_of_what_is_kept() -> None:
    mined = MinedRegions(6, 4, kept=0.6)
    torch.nn.init.zeros_(mined.scorer.weight)
    found, tokens = mined(maps()), maps().flatten(2).transpose(1, 2)
    assert found.masks is not None
    kept = found.masks > 0
    torch.testing.assert_close(found.masks[kept], torch.full((int(kept.sum()),), 1 / 32))
    for picture in range(2):
        for part in range(4):
            torch.testing.assert_close(found.queries[picture, part], tokens[picture][kept[picture, part]].mean(dim=0))
    count = kept_positions(32, 4, 0.6)
    torch.testing.assert_close(region_overlap(found.masks), torch.full((2,), 6 * count / 32**2))


def test_of_a_constant_map_every_query_is_its_feature() -> None:
    torch.manual_seed(0)
    feature = torch.rand(6)
    found = MinedRegions(6, 4, kept=0.6)(feature[None, :, None, None].expand(2, 6, 8, 4))
    torch.testing.assert_close(found.queries, feature.expand(2, 4, 6))


def test_reordered_prototypes_give_reordered_queries() -> None:
    torch.manual_seed(0)
    order = torch.tensor([2, 0, 3, 1])
    for queries in (MinedRegions(6, 4, kept=0.6), LearntVectors(6, 4)):
        before = queries(maps()).queries.clone()
        assert queries.reorder(order)
        torch.testing.assert_close(queries(maps()).queries, before[:, order])
    assert not Stripes(4).reorder(order)


def test_stripes_are_means_of_equal_heights() -> None:
    found = Stripes(4)(maps())
    for part in range(4):
        torch.testing.assert_close(found.queries[:, part], maps()[:, :, 2 * part : 2 * part + 2].mean(dim=(2, 3)))
    assert found.masks is None


@pytest.mark.parametrize(
    ("kind", "expected"), [("mined", MinedRegions), ("vectors", LearntVectors), ("stripes", Stripes)]
)
def test_options_name_the_kind(kind: str, expected: type) -> None:
    assert isinstance(part_queries(RegionOptions(kind=kind, parts=3), 6), expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"drm": {"kept": 5.0}}, "goes up to parts=4"),
        ({"drm": {"kind": "stripes", "shared": True}}, "stripes have no prototypes"),
        ({"drm": {"parts": 9}}, "less than or equal to 8"),
        ({"tca": False}, r"kd\.masks=0"),
        ({"tca": False, "kd": {"masks": 0, "logits": 0}, "retrieval": "target-aware"}, "needs tca=true"),
        ({"pcl": {"kind": "center"}}, "centre"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options: dict, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        parse(CALOptions, options, where="test")
