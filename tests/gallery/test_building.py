"""Indexing: what is added, skipped, updated, listed and resumed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock
from PIL import Image

from vireid.errors import DataError, GalleryError, UsageError
from vireid.gallery import Broken, Gallery
from vireid.methods.bundle import Bundle


def test_five_formats_a_broken_picture_and_other_files(tmp_path: Path, bundle: Bundle, encoder: Any) -> None:
    folder = tmp_path / "photographs"
    (folder / "below").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ("a.jpg", "b.PNG", "c.bmp", "below/d.webp", "e.tiff"):
        Image.fromarray(rng.integers(0, 256, (40, 20, 3), dtype=np.uint8)).save(folder / name)
    (folder / "f.jpeg").write_bytes((folder / "a.jpg").read_bytes()[:200])
    (folder / "notes.txt").write_text("no picture")
    (folder / "Thumbs.db").write_text("no picture")
    (folder / ".hidden.png").write_bytes(b"")
    gallery = Gallery.build(tmp_path / "g", bundle, folder, modality="visible", camera=7, encoder=encoder)
    report = gallery.report
    assert report is not None
    assert (len(gallery), report.added) == (5, 5)
    assert [broken.path for broken in report.broken] == [str(folder / "f.jpeg")]
    assert "cannot be read" in report.broken[0].reason
    assert "bytes>" not in report.broken[0].reason
    assert dict(report.ignored) == {".txt": 1, ".db": 1, ".png": 1}
    result = gallery.search(folder / "below/d.webp", modality="visible", top=1, encoder=encoder)
    assert result.hits[0].path == str(folder / "below/d.webp")
    assert result.hits[0].camera == 7
    assert json.loads(json.dumps(report.to_json()))["broken"][0]["path"] == str(folder / "f.jpeg")


def test_the_same_command_again_embeds_nothing(
    tmp_path: Path, bundle: Bundle, make_encoder: Any, make_pictures: Any, files_below: Any
) -> None:
    make_pictures(tmp_path / "crops", 10)
    build = {"modality": "visible", "camera": 1}
    Gallery.build(tmp_path / "g", bundle, tmp_path / "crops", encoder=make_encoder(), **build)
    before = files_below(tmp_path / "g")
    again = make_encoder()
    gallery = Gallery.build(tmp_path / "g", bundle, tmp_path / "crops", encoder=again, **build)
    assert again.embedded == 0
    assert gallery.report is not None
    assert (gallery.report.added, gallery.report.unchanged) == (0, 10)
    assert files_below(tmp_path / "g") == before


def test_an_interrupted_run_goes_on_and_answers_as_an_uninterrupted_one(
    tmp_path: Path, bundle: Bundle, make_encoder: Any, make_pictures: Any
) -> None:
    paths = make_pictures(tmp_path / "crops", 23)
    build = {"modality": "visible", "batch_size": 2}
    with pytest.raises(KeyboardInterrupt):
        Gallery.build(tmp_path / "g", bundle, tmp_path / "crops", encoder=make_encoder(batches=7), **build)
    assert len(Gallery.open(tmp_path / "g")) == 14
    rest = make_encoder()
    resumed = Gallery.build(tmp_path / "g", bundle, tmp_path / "crops", encoder=rest, **build)
    assert rest.embedded == 9
    whole = Gallery.build(tmp_path / "h", bundle, tmp_path / "crops", encoder=make_encoder(), **build)
    for query in paths[:3]:
        answers = [g.search(query, modality="infrared", top=23, encoder=rest) for g in (resumed, whole)]
        assert answers[0] == answers[1]


def test_two_builds_give_the_same_answers(tmp_path: Path, bundle: Bundle, encoder: Any, make_pictures: Any) -> None:
    paths = make_pictures(tmp_path / "crops", 12)
    built = [
        Gallery.build(tmp_path / name, bundle, tmp_path / "crops", modality="visible", encoder=encoder) for name in "gh"
    ]
    for query in paths:
        answers = [gallery.search(query, modality="infrared", top=12, encoder=encoder) for gallery in built]
        assert answers[0] == answers[1]


def test_same_bytes_are_one_entry_and_a_moved_picture_is_found_again(
    tmp_path: Path, bundle: Bundle, make_encoder: Any, make_pictures: Any
) -> None:
    paths = make_pictures(tmp_path / "crops", 4)
    (tmp_path / "crops/zz copy.png").write_bytes(paths[0].read_bytes())
    encoder = make_encoder()
    gallery = Gallery.build(tmp_path / "g", bundle, tmp_path / "crops", modality="visible", camera=1, encoder=encoder)
    assert gallery.report is not None
    assert (len(gallery), gallery.report.duplicates) == (4, 1)
    (tmp_path / "crops").rename(tmp_path / "elsewhere")
    again = make_encoder()
    moved = Gallery.build(tmp_path / "g", bundle, tmp_path / "elsewhere", modality="visible", encoder=again)
    assert moved.report is not None
    assert (again.embedded, moved.report.updated, len(moved)) == (0, 4, 4)
    hit = moved.search(tmp_path / "elsewhere/001.png", modality="infrared", top=1, encoder=again).hits[0]
    assert (hit.path, hit.camera) == (str(tmp_path / "elsewhere/001.png"), 1)


def test_a_corrected_modality_replaces_the_wrong_one(
    tmp_path: Path, bundle: Bundle, make_encoder: Any, make_pictures: Any
) -> None:
    make_pictures(tmp_path / "crops", 4)
    Gallery.build(tmp_path / "g", bundle, tmp_path / "crops", modality="infrared", encoder=make_encoder())
    again = make_encoder()
    gallery = Gallery.build(tmp_path / "g", bundle, tmp_path / "crops", modality="visible", encoder=again)
    assert again.embedded == 4
    assert gallery.modalities() == {"visible": 4}


def test_a_corrected_modality_keeps_what_was_said_before(
    tmp_path: Path, bundle: Bundle, encoder: Any, make_pictures: Any
) -> None:
    paths = [str(path) for path in make_pictures(tmp_path / "crops", 2)]
    table = pd.DataFrame({"path": paths, "modality": "infrared", "identity": [7, 8]})
    Gallery.build(tmp_path / "g", bundle, table, encoder=encoder)
    corrected = Gallery.build(tmp_path / "g", bundle, tmp_path / "crops", modality="visible", encoder=encoder)
    assert corrected.modalities() == {"visible": 2}
    assert corrected.table().identity.tolist() == [7, 8]


def test_labels_of_a_table_are_kept_and_updated(
    tmp_path: Path, bundle: Bundle, make_encoder: Any, mixed: pd.DataFrame
) -> None:
    Gallery.build(tmp_path / "g", bundle, mixed, encoder=make_encoder())
    again = make_encoder()
    Gallery.build(tmp_path / "g", bundle, tmp_path / "visible", modality="visible", encoder=again)
    table = mixed.assign(identity=mixed.identity.astype(float).where(mixed.index != 2), time=pd.Timestamp("2024-05-01"))
    gallery = Gallery.build(tmp_path / "g", bundle, table, encoder=again)
    assert again.embedded == 0
    result = gallery.search(mixed.path[0], modality="infrared", top=9, filters={"camera": 1}, encoder=again)
    assert sorted(hit.identity for hit in result) == [0, 1, 2, 3]
    assert all(isinstance(hit.identity, int) for hit in result)
    assert {hit.metadata["time"] for hit in result} == {"2024-05-01T00:00:00"}


@pytest.mark.parametrize("content", ["nothing", "text", "broken"])
def test_a_folder_without_readable_pictures_leaves_nothing(
    tmp_path: Path, bundle: Bundle, encoder: Any, content: str
) -> None:
    folder = tmp_path / "crops"
    folder.mkdir()
    if content == "text":
        (folder / "a.txt").write_text("x")
    if content == "broken":
        for number in range(7):
            (folder / f"{number}.png").write_bytes(b"x")
    with pytest.raises(DataError, match="none of the 7 pictures" if content == "broken" else "holds no picture"):
        Gallery.build(tmp_path / "g", bundle, folder, modality="visible", encoder=encoder)
    assert not (tmp_path / "g").exists()


def test_wrong_uses_are_one_clear_error_and_write_nothing(
    tmp_path: Path, bundle: Bundle, encoder: Any, make_pictures: Any, mixed: pd.DataFrame
) -> None:
    crops = tmp_path / "visible"
    out = tmp_path / "g"

    def refused(error: type[Exception], match: str, images: Any, **options: Any) -> None:
        with pytest.raises(error, match=match):
            Gallery.build(options.pop("path", out), bundle, images, encoder=encoder, **options)
        assert not out.exists()

    refused(UsageError, "say which camera", crops)
    refused(UsageError, "did you mean 'visible'", crops, modality="visibel")
    refused(UsageError, "modality is given twice", mixed, modality="visible")
    refused(UsageError, "needs a column 'modality'", mixed.drop(columns="modality"))
    refused(UsageError, "needs a column 'path'", mixed.drop(columns="path"))
    refused(UsageError, "unknown modality of", mixed.assign(modality="thermal"))
    refused(UsageError, "rename the columns score", mixed.assign(score=1))
    refused(UsageError, "row 0 of the table has no path", mixed.assign(path=None))
    refused(DataError, "no rows", mixed.iloc[:0])
    refused(DataError, "does not exist", tmp_path / "missing", modality="visible")
    refused(DataError, "no such file|No such file", [tmp_path / "missing.png"], modality="visible")
    refused(DataError, "the list holds no picture", [], modality="visible")
    refused(UsageError, "batch_size is 0", crops, modality="visible", batch_size=0)
    refused(GalleryError, "exists and is no gallery", crops, modality="visible", path=tmp_path / "infrared")
    assert len(list((tmp_path / "infrared").iterdir())) == 4


def test_a_second_writer_is_refused(tmp_path: Path, bundle: Bundle, encoder: Any, make_pictures: Any) -> None:
    make_pictures(tmp_path / "crops", 3)
    build: Callable[[], Gallery] = lambda: Gallery.build(  # noqa: E731
        tmp_path / "g", bundle, tmp_path / "crops", modality="visible", encoder=encoder
    )
    build()
    with FileLock(tmp_path / "g" / ".lock"), pytest.raises(GalleryError, match="being written by another process"):
        build()
    assert len(build()) == 3


def test_progress_counts_pictures(tmp_path: Path, bundle: Bundle, encoder: Any, mixed: pd.DataFrame) -> None:
    seen: dict[str, list[Any]] = {}

    def track(items: Any, /, *, description: str, total: int | None = None) -> Any:
        found = list(items)
        seen[description] = [total, len(found)]
        return iter(found)

    Gallery.build(tmp_path / "g", bundle, mixed, encoder=encoder, track=track)
    assert seen == {"indexing visible": [8, 8], "indexing infrared": [4, 4]}


def test_a_list_with_a_missing_file_goes_on(tmp_path: Path, bundle: Bundle, encoder: Any, make_pictures: Any) -> None:
    paths = make_pictures(tmp_path / "crops", 2)
    missing = tmp_path / "missing.png"
    gallery = Gallery.build(tmp_path / "g", bundle, [missing, *paths], modality="visible", encoder=encoder)
    assert gallery.report is not None
    assert gallery.report.broken == (Broken(str(missing), "No such file or directory"),)
    assert len(gallery) == 2


def test_links_are_followed_once(tmp_path: Path, bundle: Bundle, encoder: Any, make_pictures: Any) -> None:
    make_pictures(tmp_path / "far", 2)
    make_pictures(tmp_path / "crops", 3, seed=1)
    (tmp_path / "crops/far").symlink_to(tmp_path / "far")
    (tmp_path / "crops/loop").symlink_to(tmp_path / "crops")
    gallery = Gallery.build(tmp_path / "crops/gallery", bundle, tmp_path / "crops", modality="visible", encoder=encoder)
    assert len(gallery) == 5
    again = Gallery.build(tmp_path / "crops/gallery", bundle, tmp_path / "crops", modality="visible", encoder=encoder)
    assert again.report is not None
    assert dict(again.report.ignored) == {}
