"""Frames with boxes, tracks, and queries of several frames."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from vireid.data.images import read_image, resize
from vireid.errors import DataError, ImageError, UsageError
from vireid.gallery import Gallery, contact_sheet_html
from vireid.gallery.frames import crop, parse_box, read_frames
from vireid.methods.bundle import Bundle


@pytest.fixture
def sequence(tmp_path: Path, make_pictures: Any) -> Path:
    """A MOT sequence of three frames of 60 x 40 pixels."""
    folder = tmp_path / "MOT-01"
    for number, path in enumerate(make_pictures(tmp_path / "made", 3, size=(40, 60)), start=1):
        (folder / "img1").mkdir(parents=True, exist_ok=True)
        path.rename(folder / f"img1/{number:06d}.png")
    (folder / "seqinfo.ini").write_text("[Sequence]\nname=lobby\nimExt=.png\n")
    (folder / "gt").mkdir()
    (folder / "gt/gt.txt").write_text(
        "1,4,1,1,10,20,1,1,1\n1,5,21,1,10,20,1,1,1\n2,4,3,1,10,20,1,1,1\n2,6,1,1,9,9,0,1,1\n3,7,1,1,9,9,1,3,1\n3,4,5,1,10,20.4,1,1,1\n"
    )
    return folder


def test_mot(sequence: Path) -> None:
    table = read_frames(sequence / "gt/gt.txt")
    assert table.to_dict("list") == {
        "path": [str(sequence / f"img1/00000{n}.png") for n in (1, 1, 2, 3)],
        "box": ["0,0,10,20", "20,0,10,20", "2,0,10,20", "4,0,10,20"],
        "frame": [1, 1, 2, 3],
        "track": ["lobby/4", "lobby/5", "lobby/4", "lobby/4"],
    }
    detections = sequence / "det.txt"
    detections.write_text("1,-1,1.5,2.5,10,20,0.9\n")
    found = read_frames(detections, frames=sequence / "img1").iloc[0]
    assert (found.box, found.track) == ("0,2,10,20", None)


def test_coco(tmp_path: Path) -> None:
    file = tmp_path / "people.json"
    person = {"image_id": 3, "category_id": 1, "bbox": [1, 2, 30.2, 40]}
    held: dict[str, Any] = {
        "images": [{"id": 3, "file_name": "a/b.jpg", "camera": "gate", "time": "2024-05-01T10:00:00"}],
        "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "dog"}],
        "annotations": [
            {**person, "track_id": 9},
            {**person, "category_id": 2},
            {**person, "iscrowd": 1},
        ],
    }
    file.write_text(json.dumps(held))
    assert read_frames(file).to_dict("records") == [
        {
            "path": str(tmp_path / "a/b.jpg"),
            "box": "1,2,30,40",
            "camera": "gate",
            "time": "2024-05-01T10:00:00",
            "track": 9,
        }
    ]
    file.write_text(json.dumps({**held, "images": []}))
    with pytest.raises(DataError, match="KeyError"):
        read_frames(file)


def test_csv_with_and_without_boxes(tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text("path,modality,camera\na.png,visible,2\nb.png,infrared,\n")
    assert read_frames(file, frames=tmp_path / "f").to_dict("records") == [
        {"path": str(tmp_path / "f/a.png"), "modality": "visible", "camera": "2"},
        {"path": str(tmp_path / "f/b.png"), "modality": "infrared", "camera": None},
    ]
    file.write_text("path,x,y,width,height\na.png,1,2,3,4\n")
    assert read_frames(file).to_dict("records") == [{"path": str(tmp_path / "a.png"), "box": "1,2,3,4"}]
    for text, message in (
        ("name\na\n", "no column 'path'"),
        ("path,x\na,1\n", "a box needs x, y, width, height"),
        ("path,camera\na\n", "line 2: expected 2 cells"),
        ("path,x,y,width,height\na,1,2,3,z\n", "could not convert"),
        ("path\n", "names no picture"),
    ):
        file.write_text(text)
        with pytest.raises(DataError, match=message):
            read_frames(file)
    with pytest.raises(DataError, match="No such file"):
        read_frames(tmp_path / "missing.csv")
    with pytest.raises(UsageError, match="kind of list"):
        read_frames(tmp_path / "list.xml")


def test_boxes() -> None:
    picture = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    assert np.array_equal(crop(picture, (1, 2, 3, 2)), picture[2:4, 1:4])
    assert np.array_equal(crop(picture, (-2, -1, 4, 3)), picture[:2, :2])
    assert np.array_equal(crop(picture, (4, 3, 9, 9)), picture[3:, 4:])
    for outside in ((6, 0, 2, 2), (-3, 0, 3, 2), (0, 4, 1, 1)):
        with pytest.raises(ImageError, match="lies outside the frame of 6 x 4 pixels"):
            crop(picture, outside)
    assert parse_box("1, 2.4,3,4") == (1, 2, 3, 4)
    for wrong in ("1,2,3", "a,b,c,d", "1,2,0,4", "nan,1,2,3"):
        with pytest.raises(UsageError, match="box"):
            parse_box(wrong)


def test_frames_are_indexed_by_their_boxes(tmp_path: Path, bundle: Bundle, make_encoder: Any, sequence: Path) -> None:
    encoder = make_encoder()
    build = {"modality": "visible", "encoder": encoder}
    gallery = Gallery.build(tmp_path / "g", bundle, sequence / "gt/gt.txt", **build)
    assert (len(gallery), encoder.embedded) == (4, 4)
    frame = read_image(sequence / "img1/000001.png")
    hit = gallery.search(frame[:20, 20:30], modality="infrared", top=1, encoder=encoder).hits[0]
    assert (hit.path, hit.box) == (str(sequence / "img1/000001.png"), "20,0,10,20")
    alone = encoder.embed([resize(frame[:20, 20:30], (16, 8))], "visible").vector[0]
    key = gallery.store.keys({"box": [hit.box]})
    assert gallery.store.fetch(sorted(key)).lift[0] == pytest.approx(alone)
    assert Gallery.build(tmp_path / "g", bundle, sequence / "gt/gt.txt", **build).report.unchanged == 4  # type: ignore[union-attr]
    sheet = contact_sheet_html(gallery.search(frame, modality="infrared", encoder=encoder))
    assert 'width="10" height="20"' in sheet
    outside = pd.DataFrame({"path": [sequence / "img1/000002.png"] * 2, "box": ["70,0,5,5", "0,0,5,5"]})
    report = Gallery.build(tmp_path / "g", bundle, outside, **build).report
    assert report is not None
    assert (report.added, len(report.broken)) == (1, 1)
    spelt = outside[1:].assign(box="0, 0, 5, 5")
    assert Gallery.build(tmp_path / "g", bundle, spelt, **build).report.unchanged == 1  # type: ignore[union-attr]
    assert "lies outside the frame of 60 x 40" in report.broken[0].reason
    with pytest.raises(UsageError, match="not of the form x,y,width,height"):
        Gallery.build(tmp_path / "g", bundle, outside.assign(box="1;2"), **build)
    with pytest.raises(UsageError, match="is for lists of pictures"):
        Gallery.build(tmp_path / "g", bundle, sequence / "img1", frames=tmp_path, **build)


def test_a_track_comes_once_by_its_best_picture(
    tmp_path: Path, bundle: Bundle, encoder: Any, make_pictures: Any
) -> None:
    paths = make_pictures(tmp_path / "crops", 60)
    tracks = [None if n >= 55 else f"t{n % 5}" for n in range(60)]
    table = pd.DataFrame({"path": paths, "track": tracks, "modality": "visible"})
    gallery = Gallery.build(tmp_path / "g", bundle, table, encoder=encoder)
    every = gallery.search(paths[7], modality="infrared", top=60, encoder=encoder)
    expected, seen = [], set()
    for hit in every:
        track = hit.metadata.get("track")
        if track is None or track not in seen:
            expected.append(hit.path)
            seen.add(track)
    for top in (1, 4, 10, 50):
        found = gallery.search(paths[7], modality="infrared", top=top, group="track", encoder=encoder)
        assert [hit.path for hit in found] == expected[:top]
        assert [hit.rank for hit in found] == list(range(1, len(found) + 1))
    with pytest.raises(UsageError, match="did you mean 'track'"):
        gallery.search(paths[7], modality="infrared", group="trak", encoder=encoder)


def test_several_frames_of_one_person_score_by_their_mean(
    tmp_path: Path, bundle: Bundle, encoder: Any, make_pictures: Any
) -> None:
    paths = make_pictures(tmp_path / "crops", 12)
    gallery = Gallery.build(tmp_path / "g", bundle, tmp_path / "crops", modality="visible", encoder=encoder)
    frames = make_pictures(tmp_path / "query", 3, seed=8)
    found = gallery.search(frames, modality="infrared", top=12, encoder=encoder)
    vectors = encoder.embed([read_image(frame) for frame in frames], "infrared").vector
    stored = encoder.embed([resize(read_image(path), (16, 8)) for path in paths], "visible").vector
    scores = (vectors @ stored.T).mean(axis=0)
    assert [hit.path for hit in found] == [str(paths[place]) for place in np.argsort(-scores, kind="stable")]
    assert [hit.score for hit in found] == pytest.approx(sorted(scores, reverse=True))
    assert found.query == f"{frames[0]} and 2 more"
    with pytest.raises(UsageError, match="no picture to search with"):
        gallery.search([], modality="infrared", encoder=encoder)


def test_a_picture_beside_a_frame_of_the_same_file(tmp_path: Path, bundle: Bundle, encoder: Any) -> None:
    Image.fromarray(np.full((20, 20, 3), 90, np.uint8)).save(tmp_path / "a.png")
    table = pd.DataFrame({"path": [tmp_path / "a.png"] * 3, "box": [None, "0,0,5,9", "0,0,5,9"]})
    gallery = Gallery.build(tmp_path / "g", bundle, table, modality="visible", encoder=encoder)
    assert gallery.report is not None
    assert (gallery.report.added, gallery.report.duplicates) == (2, 1)
