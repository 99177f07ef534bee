"""Searching: ranks, modalities, filters, mistakes."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from vireid.data.images import read_image
from vireid.errors import GalleryError, ImageError, UsageError
from vireid.gallery import Gallery
from vireid.methods.bundle import Bundle


def test_search_equals_a_loop_over_all_pictures(
    tmp_path: Path, bundle: Bundle, encoder: Any, make_pictures: Any, reference: Any
) -> None:
    paths = make_pictures(tmp_path / "crops", 30)
    query = make_pictures(tmp_path / "query", 1, seed=9)[0]
    Gallery.build(tmp_path / "g", bundle, tmp_path / "crops", modality="visible", encoder=encoder, batch_size=4)
    result = Gallery.open(tmp_path / "g").search(query, modality="infrared", top=30, encoder=encoder)
    assert [hit.path for hit in result] == reference(paths, query, encoder)
    assert [hit.rank for hit in result] == list(range(1, 31))
    assert list(result.hits) == sorted(result.hits, key=lambda hit: -hit.score)
    assert (result.mode, result.searched, result.note) == ("full", ("visible",), "")
    assert result.hits[0].modality == "visible"


def test_a_mixed_gallery_is_searched_in_the_other_modality(
    tmp_path: Path, bundle: Bundle, encoder: Any, mixed: pd.DataFrame
) -> None:
    gallery = Gallery.build(tmp_path / "g", bundle, mixed, encoder=encoder)
    assert gallery.modalities() == {"visible": 8, "infrared": 4}
    query = mixed.path[8]
    across = gallery.search(query, modality="infrared", top=20, encoder=encoder)
    assert {hit.modality for hit in across} == {"visible"}
    assert across.searched == ("visible",)
    assert "the 4 infrared ones are left out" in across.note
    same = gallery.search(query, modality="infrared", top=20, filters={"modality": "infrared"}, encoder=encoder)
    assert same.hits[0].path == query
    assert (len(same), same.searched, same.note) == (4, ("infrared",), "")
    both = gallery.search(
        query, modality="infrared", top=20, filters={"modality": ["visible", "infrared"]}, encoder=encoder
    )
    assert (len(both), both.searched) == (12, ("visible", "infrared"))


def test_a_gallery_of_the_querys_own_modality_says_so(
    tmp_path: Path, bundle: Bundle, encoder: Any, make_pictures: Any
) -> None:
    query = make_pictures(tmp_path / "crops", 3)[0]
    gallery = Gallery.build(tmp_path / "g", bundle, tmp_path / "crops", modality="visible", encoder=encoder)
    result = gallery.search(query, modality="visible", encoder=encoder)
    assert len(result) == 3
    assert "no search across modalities" in result.note


def test_filters_by_any_column(tmp_path: Path, bundle: Bundle, encoder: Any, mixed: pd.DataFrame) -> None:
    gallery = Gallery.build(tmp_path / "g", bundle, mixed, encoder=encoder)
    query = mixed.path[9]

    def search(**filters: Any) -> list[Any]:
        return list(gallery.search(query, modality="infrared", top=20, filters=filters, encoder=encoder))

    assert {hit.camera for hit in search(camera=2)} == {2}
    assert {hit.camera for hit in search(camera="2")} == {2}
    assert {(hit.camera, hit.identity) for hit in search(camera=[1, 2], identity=3)} == {(1, 3), (2, 3)}
    everything = [hit.path for hit in search()]
    assert [hit.path for hit in search(camera=1)] == [
        path for path in everything if mixed.camera[list(mixed.path).index(path)] == 1
    ]
    nothing = gallery.search(query, modality="infrared", filters={"camera": 9}, encoder=encoder)
    assert nothing.hits == ()
    assert nothing.note == "no picture of the gallery matches camera=9, modality=visible"
    with pytest.raises(UsageError, match="did you mean 'camera'"):
        search(camra=1)
    with pytest.raises(UsageError, match="unknown modality 'thermal'"):
        search(modality="thermal")


def test_equal_scores_stand_in_the_order_of_indexing(tmp_path: Path, bundle: Bundle, encoder: Any) -> None:
    folder = tmp_path / "crops"
    folder.mkdir()
    for number in range(6):  # other bytes, same pixels
        Image.fromarray(np.full((16, 8, 3), 90, np.uint8)).save(folder / f"{number}.png", compress_level=number)
    gallery = Gallery.build(tmp_path / "g", bundle, folder, modality="visible", encoder=encoder, batch_size=2)
    result = gallery.search(np.full((4, 4, 3), 50, np.uint8), modality="infrared", encoder=encoder)
    assert [Path(hit.path).name for hit in result] == [f"{number}.png" for number in range(6)]
    assert len({hit.score for hit in result}) == 1


def test_searches_that_cannot_be_answered(tmp_path: Path, bundle: Bundle, encoder: Any, make_pictures: Any) -> None:
    query = make_pictures(tmp_path / "crops", 3)[0]
    gallery = Gallery.build(tmp_path / "g", bundle, [query], modality="visible", encoder=encoder)
    with pytest.raises(UsageError, match="top is 0"):
        gallery.search(query, modality="visible", top=0, encoder=encoder)
    with pytest.raises(UsageError, match="unknown modality 'red'"):
        gallery.search(query, modality="red", encoder=encoder)
    with pytest.raises(ImageError, match="no such file"):
        gallery.search(tmp_path / "missing.png", modality="visible", encoder=encoder)
    with pytest.raises(GalleryError, match="vectors of 12 values"):
        gallery.search_vectors(np.ones((1, 5), np.float32))
    with pytest.raises(GalleryError, match="there is no gallery"):
        Gallery.open(tmp_path / "missing")
    (tmp_path / "g/gallery.json").write_text("{}")
    with pytest.raises(GalleryError, match="damaged or of another version"):
        Gallery.open(tmp_path / "g")


def test_many_vectors_at_once(tmp_path: Path, bundle: Bundle, encoder: Any, mixed: pd.DataFrame) -> None:
    gallery = Gallery.build(tmp_path / "g", bundle, mixed, encoder=encoder)
    queries = [mixed.path[8], mixed.path[9]]
    vectors = encoder.embed([read_image(path) for path in queries], "infrared").vector
    found = gallery.search_vectors(vectors, modality="infrared", names=queries)
    assert found == [gallery.search(path, modality="infrared", encoder=encoder) for path in queries]
    assert gallery.search_vectors(vectors[0])[0].searched == ("visible", "infrared")


def test_a_gallery_that_is_restricted_stays_so(
    tmp_path: Path, bundle: Bundle, encoder: Any, make_pictures: Any
) -> None:
    query = make_pictures(tmp_path / "crops", 3)[0]

    def build(**options: Any) -> bool:
        Gallery.build(tmp_path / "g", bundle, [query], modality="visible", encoder=encoder, **options)
        gallery = Gallery.open(tmp_path / "g")
        found = gallery.search(query, modality="infrared", encoder=encoder)
        assert found.restricted == found.to_json()["restricted"] == gallery.header.restricted
        return found.restricted

    assert [build(), build(restricted=True), build(), build(restricted=False)] == [False, True, True, True]
