"""Deletion for good: no file of the gallery holds what was deleted, and it does not come back by itself."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock

from vireid.errors import GalleryError, UsageError
from vireid.gallery import Gallery, LanceStore
from vireid.gallery.deletion import finish_deletion
from vireid.gallery.tombstones import Tombstones
from vireid.methods.bundle import Bundle


@pytest.fixture
def marked(mixed: pd.DataFrame) -> pd.DataFrame:
    """Every picture with a mark of its own."""
    return mixed.assign(mark=[f"needle-{number:02d}-needle" for number in range(len(mixed))])


def test_every_trace_of_each_picture_goes(
    tmp_path: Path, bundle: Bundle, encoder: Any, marked: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LanceStore(tmp_path / "g" / "store", in_memory=0)  # so small a gallery would have no index
    monkeypatch.setattr("vireid.gallery.gallery.open_store", lambda folder, header: store)
    for rows in (marked.iloc[:5], marked.iloc[5:]):
        gallery = Gallery.build(tmp_path / "g", bundle, rows, encoder=encoder)
    keys = {path: store.keys({"path": [path]}).pop() for path in marked.path}
    lift = {path: store.fetch([key]).lift[0].tobytes() for path, key in keys.items()}

    def traces(row: Any) -> list[bool]:
        files = b"\0\0".join(file.read_bytes() for file in (tmp_path / "g").rglob("*") if file.is_file())
        return [text in files for text in (row.mark.encode(), keys[row.path].encode(), lift[row.path])]

    for row in marked.itertuples():
        assert traces(row) == [True, True, True]
        receipt = gallery.delete({"mark": row.mark})
        assert (receipt.deleted, receipt.remaining) == (1, len(marked) - 1 - row.Index)
        assert traces(row) == [False, False, False]
        assert store.count({"mark": [row.mark]}) == 0
        for left in marked.iloc[row.Index + 1 :].itertuples():
            assert traces(left) == [True, True, True]


def test_what_was_deleted_is_refused_until_it_is_asked_for(
    tmp_path: Path, bundle: Bundle, make_encoder: Any, mixed: pd.DataFrame
) -> None:
    gallery = Gallery.build(tmp_path / "g", bundle, mixed, encoder=make_encoder())
    receipt = gallery.delete({"identity": [1, 2]})
    assert (receipt.deleted, receipt.remaining, len(receipt.hashes)) == (6, 6, 6)
    again = make_encoder()
    gallery = Gallery.build(tmp_path / "g", bundle, mixed, encoder=again)
    assert gallery.report is not None
    assert (gallery.report.refused, gallery.report.unchanged, again.embedded) == (6, 6, 0)
    gallery = Gallery.build(tmp_path / "g", bundle, mixed[mixed.identity == 2], encoder=again, readmit=True)
    assert gallery.report is not None
    assert (gallery.report.added, len(gallery), again.embedded) == (3, 9, 3)
    gallery = Gallery.build(tmp_path / "g", bundle, mixed, encoder=again)
    assert gallery.report is not None
    assert (gallery.report.refused, gallery.report.unchanged) == (3, 9)


def test_only_deleted_pictures_are_no_mistake(
    tmp_path: Path, bundle: Bundle, encoder: Any, mixed: pd.DataFrame
) -> None:
    gallery = Gallery.build(tmp_path / "g", bundle, mixed, encoder=encoder)
    gallery.delete({"modality": ["visible", "infrared"]})
    assert len(gallery) == 0
    gallery = Gallery.build(tmp_path / "g", bundle, mixed, encoder=encoder)
    assert gallery.report is not None
    assert (gallery.report.refused, len(gallery)) == (12, 0)


def test_a_receipt_says_what_and_not_whom(tmp_path: Path, bundle: Bundle, encoder: Any, mixed: pd.DataFrame) -> None:
    gallery = Gallery.build(tmp_path / "g", bundle, mixed, encoder=encoder)
    key = gallery.store.keys({"path": [mixed.path[0]]}).pop()
    receipt = gallery.delete({"path": mixed.path[0]})
    tombstones = Tombstones.read(tmp_path / "g")
    assert receipt.hashes == (tombstones.hash(key),)
    assert key in tombstones
    assert Tombstones(tmp_path, "00" * 32, set(receipt.hashes)).hash(key) != receipt.hashes[0], "keyed"
    written = json.dumps(receipt.to_json()) + (tmp_path / "g/deleted.json").read_text()
    assert key not in written
    assert mixed.path[0] not in written


def test_a_deletion_that_was_cut_short_is_finished_by_the_next_writer(
    tmp_path: Path, bundle: Bundle, encoder: Any, mixed: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery = Gallery.build(tmp_path / "g", bundle, mixed, encoder=encoder)

    def cut(keys: Any) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(gallery.store, "delete", cut)
        with pytest.raises(KeyboardInterrupt):
            gallery.delete({"identity": 3})
    assert Tombstones.read(tmp_path / "g").unfinished
    again = Gallery.build(tmp_path / "g", bundle, mixed, encoder=encoder)
    assert len(again) == 9
    assert not Tombstones.read(tmp_path / "g").unfinished
    finish_deletion(tmp_path / "g", again.store)
    assert len(again) == 9


def test_deletions_that_cannot_be_done(tmp_path: Path, bundle: Bundle, encoder: Any, mixed: pd.DataFrame) -> None:
    gallery = Gallery.build(tmp_path / "g", bundle, mixed, encoder=encoder)
    with pytest.raises(UsageError, match="say what is to be deleted"):
        gallery.delete({})
    with pytest.raises(UsageError, match="did you mean 'identity'"):
        gallery.delete({"identiti": 1})
    assert gallery.delete({"identity": 99}).deleted == 0
    assert not (tmp_path / "g/deleted.json").exists()
    with FileLock(tmp_path / "g" / ".lock"), pytest.raises(GalleryError, match="being written by another process"):
        gallery.delete({"identity": 1})
    gallery.delete({"identity": 1})
    (tmp_path / "g/deleted.json").write_text("{}")
    with pytest.raises(GalleryError, match=r"deleted\.json is damaged"):
        gallery.compact()


def test_a_reader_goes_on_while_pictures_are_deleted(
    tmp_path: Path, bundle: Bundle, encoder: Any, mixed: pd.DataFrame
) -> None:
    Gallery.build(tmp_path / "g", bundle, mixed, encoder=encoder)
    reader, writer = Gallery.open(tmp_path / "g"), Gallery.open(tmp_path / "g")
    query = mixed.path[8]
    for identity in (1, 2, 3):
        before = reader.search(query, modality="infrared", top=20, encoder=encoder)
        writer.delete({"identity": identity})
        after = reader.search(query, modality="infrared", top=20, encoder=encoder)
        assert [hit.path for hit in after] == [hit.path for hit in before if hit.identity != identity]
        assert np.all(np.diff([hit.score for hit in after]) <= 0)
