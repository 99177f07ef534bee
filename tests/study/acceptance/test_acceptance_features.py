"""What unlearned features are blind to, and what can be learned from them."""

import shutil
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from vireid.data import open_dataset
from vireid.data.synthetic import synthesize
from vireid.errors import MissingExtraError
from vireid.study.acceptance.attacks import colours, files, learned, unlearned
from vireid.study.acceptance.edges import EdgeMaps
from vireid.study.acceptance.features import COLOURS, SHAPES, extract, file_facts, grey_stripes, hog, hsv_histogram, lbp
from vireid.study.acceptance.retrieval import Vectors
from vireid.study.acceptance.xqda import _covariances, fit_xqda


def picture(seed: int = 0, size: tuple[int, int] = (96, 48)) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (1, size[0] // 8, size[1] // 8, 1))
    return np.repeat(np.repeat(np.repeat(coarse, 8, 1), 8, 2), 3, 3).astype(np.uint8)


def test_unsigned_gradients_do_not_see_inverted_contrast_and_signed_ones_do() -> None:
    one = picture()
    assert np.allclose(hog(one, signed=False), hog(255 - one, signed=False), atol=1e-3)
    assert np.abs(hog(one, signed=True) - hog(255 - one, signed=True)).max() > 0.3
    assert hog(one, signed=True).shape == (1, 12, 6, 9)


def test_textures_and_equal_grey_do_not_see_brightness() -> None:
    rough = np.random.default_rng(1).integers(0, 120, (1, 96, 48, 1)).repeat(3, axis=3).astype(np.uint8)
    for feature in (lbp, grey_stripes):
        one, brighter, other = (feature(each).ravel() for each in (rough, rough + 60, picture(2)))
        # Points between pixels are interpolated, so that rounding decides a few ties.
        assert np.corrcoef(one, brighter)[0, 1] > 0.99
        assert np.corrcoef(one, other)[0, 1] < 0.9


def test_a_colour_histogram_sees_hue_and_holds_shares() -> None:
    red, blue = (np.zeros((1, 96, 48, 3), np.uint8) for _ in range(2))
    red[..., 0], blue[..., 2] = 200, 200
    one, other = hsv_histogram(red), hsv_histogram(blue)
    assert one.shape == (1, 6, 300)
    assert np.allclose((one**2).sum(axis=2), 1)
    assert (one * other).sum() == 0


def test_covariances_against_every_pair() -> None:
    rng = np.random.default_rng(0)
    values, identity = rng.normal(size=(12, 3)), np.array([0, 1, 2] * 4)
    modality = np.array(["visible"] * 5 + ["infrared"] * 7)
    pairs: dict[bool, list[np.ndarray]] = {True: [], False: []}
    for v, r in product(np.flatnonzero(modality == "visible"), np.flatnonzero(modality == "infrared")):
        difference = values[v] - values[r]
        pairs[bool(identity[v] == identity[r])].append(np.outer(difference, difference))
    inner, outer = _covariances(values, identity, modality)
    assert np.allclose(inner, np.mean(pairs[True], axis=0))
    assert np.allclose(outer, np.mean(pairs[False], axis=0))


def test_xqda_finds_what_crosses_modalities_under_louder_noise() -> None:
    rng = np.random.default_rng(0)
    people, shots, size = 60, 6, 30
    identity = np.repeat(np.arange(people), shots)
    modality = np.tile(["visible", "infrared"], people * shots // 2)
    crossing = rng.normal(size=(people, 4))[identity]
    loud = 4 * rng.normal(size=(len(identity), size - 4))
    values = np.concatenate([crossing + 0.2 * rng.normal(size=crossing.shape), loud], axis=1)
    trained = identity < 40
    model = fit_xqda(values[trained], identity[trained], modality[trained])
    rows = np.flatnonzero(~trained)
    vectors = Vectors(rows=rows, values=values[rows])
    projected = model.project(vectors, modality[rows])
    query, gallery = rows[modality[rows] == "infrared"], rows[modality[rows] == "visible"]

    def rank1(scores: np.ndarray) -> float:
        return float((identity[gallery][scores.argmax(axis=1)] == identity[query]).mean())

    assert rank1(model.score(projected)(query, gallery)) > 0.8
    assert rank1(vectors.score(query, gallery)) < 0.4


def test_edges_match_under_shifts_and_in_another_light(tiny_sysu: Path) -> None:
    data = open_dataset("sysu", tiny_sysu)
    rows = np.arange(12)
    edges = EdgeMaps.of(data, rows)
    scores = edges.score(rows, rows)
    assert (scores.argmax(axis=1) == rows).all()
    assert np.allclose(scores, scores.T, atol=1e-4)


def test_attacks_on_a_small_set_are_told_with_their_bands(tiny_sysu: Path) -> None:
    data = open_dataset("sysu", tiny_sysu)
    found = unlearned(data)
    assert len(found) == len(SHAPES | COLOURS)
    assert all(each.high == 8 and 0 < each.value < 60 for each in found)
    [visible] = colours(data)
    assert visible.value > max(each.value for each in found)  # colours find people among visible pictures
    assert all(each.met for each in files(data))


def test_what_is_learned_of_backgrounds_is_chance(tmp_path: Path) -> None:
    synthesize(tmp_path / "set", layout="sysu", preset="tiny", seed=0, only="background")
    found = learned(open_dataset("sysu", tmp_path / "set"))
    assert found.rank1 < np.mean(found.chance_rank1) + 3 * np.std(found.chance_rank1)


def test_file_facts_are_not_the_folders_name(tiny_sysu: Path, tmp_path: Path) -> None:
    before = open_dataset("sysu", tiny_sysu)
    rows = before.rows(split="test")
    shutil.copytree(tiny_sysu, tmp_path / "moved")
    after = open_dataset("sysu", tmp_path / "moved")
    assert np.allclose(file_facts(before, rows).values, file_facts(after, rows).values, atol=1e-6)


def test_features_stand_in_the_order_of_their_rows(tiny_sysu: Path) -> None:
    data = open_dataset("sysu", tiny_sysu)
    some, all_rows = np.array([3, 30, 300]), np.arange(len(data.images))
    feature = {"grey": grey_stripes}
    alone, among = (extract(data, rows, feature)["grey"] for rows in (some, all_rows))
    assert np.allclose(alone.of(some), among.of(some))


@pytest.mark.parametrize(("package", "call"), [("skimage.feature", lambda: lbp(picture()))])
def test_a_missing_package_is_told(package: str, call, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=r"scikit-image.*vireid\[study\]"):
        call()
