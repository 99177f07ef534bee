"""Searches of a calibrated model: one list of both modalities, log-likelihood ratios, expected false matches."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from vireid.cli import main
from vireid.errors import BundleError, UsageError
from vireid.gallery import Gallery, contact_sheet_html, verify
from vireid.methods.bundle import Bundle


@pytest.fixture
def gallery(tmp_path: Path, bundle: Bundle, encoder: Any, make_pictures: Any) -> Gallery:
    visible, infrared = make_pictures(tmp_path / "v", 8, seed=1), make_pictures(tmp_path / "i", 4, seed=2)
    table = pd.DataFrame(
        {
            "path": [str(p) for p in (*visible, *infrared)],
            "modality": ["visible"] * 8 + ["infrared"] * 4,
            "identity": [0, 0, 1, 1, 2, 2, 3, 3, 0, 1, 2, 3],
        }
    )
    Gallery.build(tmp_path / "g", bundle, table, encoder=encoder)
    return Gallery.open(tmp_path / "g")


@pytest.fixture
def query(tmp_path: Path, make_pictures: Any) -> Path:
    found: Path = make_pictures(tmp_path / "q", 1, seed=5)[0]
    return found


def test_without_a_calibration_the_other_modality_is_searched_and_the_result_says_why(
    gallery: Gallery, query: Path, encoder: Any
) -> None:
    result = gallery.search(query, modality="infrared", encoder=encoder)
    assert result.searched == ("visible",)
    assert "the model is not calibrated (`vireid calibrate`)" in result.note
    assert (result.calibration, result.warning, result.false_matches) == ("", "", None)
    assert {(hit.llr, hit.false_matches) for hit in result} == {(None, None)}
    both = gallery.search(query, modality="infrared", encoder=encoder, filters={"modality": ["visible", "infrared"]})
    assert "the infrared pictures are likely to come first" in both.note
    with pytest.raises(UsageError, match="min_llr needs a calibrated model"):
        gallery.search(query, modality="infrared", encoder=encoder, min_llr=0.0)


def test_a_mixed_gallery_is_one_list_by_ratio(
    gallery: Gallery, bundle: Bundle, query: Path, encoder: Any, calibration: Any, pair: Any
) -> None:
    digest = bundle.digest
    bundle.attach(calibration(bundle, infrared_visible=pair(10, -2), infrared_infrared=pair(20, -18)))
    assert Bundle.open(bundle.path).digest == digest == gallery.header.digest
    lines = {"visible": (10, -2), "infrared": (20, -18)}
    result = Gallery.open(gallery.path).search(query, modality="infrared", top=12, encoder=encoder)
    assert result.searched == ("visible", "infrared")
    assert (dict(result.counts), result.note) == ({"visible": 8, "infrared": 4}, "")
    assert [hit.rank for hit in result] == list(range(1, 13))
    ratios = [hit.llr for hit in result]
    assert ratios == sorted(ratios, reverse=True)
    for hit in result:
        slope, intercept = lines[hit.modality]
        assert hit.llr == pytest.approx(slope * hit.score + intercept)
    for modality in lines:  # a monotone map: the order within a modality is that of a search of it alone
        alone = gallery.search(query, modality="infrared", top=12, encoder=encoder, filters={"modality": modality})
        assert [hit.path for hit in alone] == [hit.path for hit in result if hit.modality == modality]
        assert [hit.score for hit in alone] == sorted((hit.score for hit in alone), reverse=True)
    short = Gallery.open(gallery.path).search(query, modality="infrared", top=5, encoder=encoder)
    assert [hit.path for hit in short] == [hit.path for hit in result][:5]
    together = [hit.path for hit in result]
    embedded = encoder.embed([np.zeros((16, 8, 3), np.uint8), np.full((16, 8, 3), 90, np.uint8)], "infrared")
    batch = Gallery.open(gallery.path).search_vectors(embedded, modality="infrared", top=12)
    assert all({hit.path for hit in one} == set(together) for one in batch)


def test_groups_reach_across_modalities_and_frames_are_one_query(
    gallery: Gallery,
    bundle: Bundle,
    query: Path,
    make_pictures: Any,
    tmp_path: Path,
    encoder: Any,
    calibration: Any,
    pair: Any,
) -> None:
    bundle.attach(calibration(bundle, infrared_visible=pair(10, -2), infrared_infrared=pair(20, -18)))
    opened = Gallery.open(gallery.path)
    frames = [query, *make_pictures(tmp_path / "frames", 2, seed=6)]
    for image in (query, frames):
        every = opened.search(image, modality="infrared", top=12, encoder=encoder)
        best = {}
        for hit in every:
            best.setdefault(hit.identity, hit.path)
        grouped = opened.search(image, modality="infrared", top=4, group="identity", encoder=encoder)
        assert [(hit.identity, hit.path) for hit in grouped] == list(best.items())
        assert [hit.rank for hit in grouped] == [1, 2, 3, 4]
    each = [opened.search(frame, modality="infrared", top=12, encoder=encoder) for frame in frames]
    for hit in every:  # of the frames
        scores = [other.score for found in each for other in found if other.path == hit.path]
        assert hit.score == pytest.approx(np.mean(scores), abs=1e-6)


def test_thresholds_and_what_chance_gives(
    gallery: Gallery, bundle: Bundle, query: Path, encoder: Any, calibration: Any, pair: Any
) -> None:
    pairs = {"infrared_visible": pair(10, -2), "infrared_infrared": pair(10, -2)}
    bundle.attach(calibration(bundle, **pairs))
    opened = Gallery.open(gallery.path)
    every = opened.search(query, modality="infrared", top=12, encoder=encoder)
    for hit in every:
        expected = 12 * float(pairs["infrared_visible"].false_match_rate(hit.llr or 0.0))
        assert hit.false_matches == pytest.approx(expected)
    least = every.hits[3].llr
    assert least is not None
    cut = opened.search(query, modality="infrared", top=12, encoder=encoder, min_llr=least)
    assert [hit.path for hit in cut] == [hit.path for hit in every][:4]
    assert cut.false_matches == pytest.approx(every.hits[3].false_matches)
    assert "in 12 pictures about" in cut.warning
    none = opened.search(query, modality="infrared", encoder=encoder, min_llr=99.0)
    assert (none.hits, none.false_matches) == ((), pytest.approx(12 / 1000 * 9))  # fewer than the nine kept, plus one
    one = opened.search(query, modality="infrared", encoder=encoder, filters={"modality": "visible"}, min_llr=99.0)
    assert one.false_matches == pytest.approx(8 / 1000 * 9)
    page = contact_sheet_html(every)
    assert page.count("by chance</span>") == 12
    assert json.loads(json.dumps(every.to_json()))["hits"][0]["llr"] == every.hits[0].llr


def test_a_calibration_made_later_and_filters_that_match_nothing(
    gallery: Gallery, bundle: Bundle, query: Path, encoder: Any, calibration: Any, pair: Any
) -> None:
    asked = {"modality": "infrared", "encoder": encoder, "filters": {"modality": "visible"}}
    assert gallery.search(query, **asked).calibration == ""
    made = calibration(bundle, infrared_visible=pair(10, -2))
    bundle.attach(made)
    assert gallery.search(query, **asked).calibration == made.digest, "an open gallery sees it too"
    asked["filters"] = {"modality": "visible", "camera": 99}
    nothing = gallery.search(query, min_llr=2.0, **asked)
    assert nothing.hits == ()
    assert "no picture of the gallery matches" in nothing.note


def test_a_pair_that_is_missing_is_named(
    gallery: Gallery, bundle: Bundle, query: Path, encoder: Any, calibration: Any, pair: Any
) -> None:
    bundle.attach(calibration(bundle, visible_infrared=pair(10, -2)))
    result = Gallery.open(gallery.path).search(query, modality="visible", encoder=encoder)
    assert result.searched == ("infrared",)
    assert "the model's calibration has no visible-visible" in result.note
    assert all(hit.llr is not None for hit in result)


def test_a_calibration_is_bound_to_its_model(bundle: Bundle, other_bundle: Bundle, calibration: Any, pair: Any) -> None:
    made = calibration(bundle, infrared_visible=pair(10, -2))
    with pytest.raises(BundleError, match="is of model"):
        other_bundle.attach(made)
    bundle.attach(made)
    stored = bundle.calibration()
    assert stored == made
    assert stored is not None
    assert stored.digest == made.digest
    file = bundle.path / "calibration.json"
    (other_bundle.path / "calibration.json").write_text(file.read_text())
    with pytest.raises(BundleError, match="calibrates model"):
        other_bundle.calibration()
    file.write_text("{")
    with pytest.raises(BundleError, match="damaged or of another version"):
        bundle.calibration()


def test_verify_two_pictures(bundle: Bundle, query: Path, encoder: Any, calibration: Any, pair: Any) -> None:
    both, sides = (query, query), ("infrared", "visible")
    with pytest.raises(UsageError, match="is not calibrated, so a score says nothing"):
        verify(bundle, both, sides, encoder=encoder)
    bundle.attach(calibration(bundle, infrared_visible=pair(10, -2)))
    found = verify(bundle, both, sides, encoder=encoder)
    assert (found.score, found.llr) == (pytest.approx(1, abs=1e-6), pytest.approx(8, abs=1e-4))
    assert found.interval[1] - found.llr == pytest.approx(1.96 * np.sqrt(0.05), abs=1e-4)
    assert found.posterior is None
    # even odds of one in a thousand times e^8
    odds = np.exp(8) / 999
    assert verify(bundle, both, sides, encoder=encoder, prior=0.001).posterior == pytest.approx(
        odds / (1 + odds), rel=1e-4
    )
    with pytest.raises(UsageError, match="not calibrated: too few people"):
        verify(bundle, both, ("visible", "visible"), encoder=encoder)
    for prior in (0.0, 1.0, -1.0):
        with pytest.raises(UsageError, match="prior is"):
            verify(bundle, both, sides, encoder=encoder, prior=prior)


def test_the_search_command_tells_ratios(
    gallery: Gallery,
    bundle: Bundle,
    query: Path,
    make_encoder: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    calibration: Any,
    pair: Any,
) -> None:
    monkeypatch.setattr(Bundle, "encoder", lambda bundle, *, device=None: make_encoder())
    monkeypatch.setenv("COLUMNS", "1000")
    bundle.attach(calibration(bundle, infrared_visible=pair(10, -2), infrared_infrared=pair(10, -2)))

    def run(*words: str) -> tuple[str, str]:
        told = ["vireid", "search", str(query), "--modality", "infrared", "--gallery", str(gallery.path), *words]
        monkeypatch.setattr(sys, "argv", told)
        with pytest.raises(SystemExit) as left:
            main()
        assert not left.value.code
        return capsys.readouterr()

    out, err = run()
    assert "by chance" in out
    assert "of other people are expected" in err
    out, err = run("--min-llr", "50")
    assert "no picture reaches a log-likelihood ratio of 50" in err
    assert json.loads(run("--min-llr", "50", "--json")[0])["min_llr"] == 50
