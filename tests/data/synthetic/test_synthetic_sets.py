"""Whole sets: layouts that the readers accept, same bytes, resuming, refusing."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.io import loadmat

from vireid.data import open_dataset
from vireid.data.synthetic import (
    GENERATOR,
    LAYOUTS,
    PRESETS,
    Knockouts,
    contact_sheet,
    engine,
    synthesize,
    synthesize_pretraining,
)
from vireid.data.synthetic.plan import counts_of
from vireid.data.synthetic.synthesize import BenchmarkSettings
from vireid.errors import DataError, UsageError


def contents(root: Path) -> dict[str, str]:
    """SHA-256 of every file by relative path."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_readers_accept_the_sets(tiny_sets: dict[str, Path], layout: str) -> None:
    data = open_dataset(layout, tiny_sets[layout])
    expected = json.loads((tiny_sets[layout] / "expected.json").read_text())
    assert len(data.images) == sum(row["images"] for row in expected["counts"])
    for name in data.known_protocols():
        trial = next(iter(data.protocol(name).trials()))
        assert len(trial.query) > 0
        assert (~trial.invalid).any()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_expected_file(tiny_sets: dict[str, Path], layout: str) -> None:
    expected = json.loads((tiny_sets[layout] / "expected.json").read_text())
    assert expected["format"] == 1
    assert expected["name"] == f"vireid-synthetic-{layout}-tiny-seed0"
    assert expected["version"] == GENERATOR
    assert expected["synthetic"] is True
    assert expected["dataset"] == layout
    assert expected["seed"] == 0
    assert expected["knockouts"]["finish_map"] == "true"
    assert not list(tiny_sets[layout].rglob(".*"))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_pictures_tell_nothing_by_size_or_metadata(tiny_sets: dict[str, Path], layout: str) -> None:
    sizes, forms = set(), set()
    for path in sorted(tiny_sets[layout].rglob("*.jpg"))[:60] + sorted(tiny_sets[layout].rglob("*.bmp"))[:60]:
        with Image.open(path) as image:
            sizes.add(image.size)
            tables = getattr(image, "quantization", {})
            forms.add((image.mode, json.dumps(tables), tuple(sorted(image.info))))
            assert not image.getexif()
    height, width = PRESETS["tiny"].size
    assert sizes == {(width, height)}
    assert len(forms) == 1


def test_sysu_cameras_are_spread_like_the_real_ones(tiny_sets: dict[str, Path]) -> None:
    images = open_dataset("sysu", tiny_sets["sysu"]).images
    seen = images.groupby("identity")["camera"].agg(lambda cameras: "".join(map(str, sorted(set(cameras)))))
    assert {"123456", "345", "3456"} <= set(seen)
    test = images[images["split"] == "test"]
    assert test.groupby("identity")["modality"].nunique().min() == 2


def test_sysu_matlab_files(tiny_sets: dict[str, Path]) -> None:
    root = tiny_sets["sysu"]
    cells = loadmat(root / "exp" / "rand_perm_cam.mat")["rand_perm_cam"]
    assert cells.shape == (6, 1)
    for camera in range(6):
        for label, (order,) in enumerate(cells[camera, 0], start=1):
            folder = root / f"cam{camera + 1}" / f"{label:04d}"
            count = len(list(folder.glob("*.jpg"))) if folder.is_dir() else 0
            assert order.shape == (10, count)
            assert (np.sort(order, axis=1) == np.arange(1, count + 1)).all()
    assert b"Created" not in (root / "exp" / "test_id.mat").read_bytes()[:116]
    listed = (root / "exp" / "test_id.txt").read_text().split(",")
    assert loadmat(root / "exp" / "test_id.mat")["id"].ravel().tolist() == [int(word) for word in listed]


def test_regdb_splits_are_halves_and_keep_twins_together(tiny_sets: dict[str, Path]) -> None:
    root = tiny_sets["regdb"]
    table = pd.read_parquet(root / "factors.parquet")
    group = table.groupby("identity")["true_group"].first()
    halves = set()
    for number in range(1, 11):
        lines = (root / "idx" / f"test_visible_{number}.txt").read_text().splitlines()
        tested = frozenset(int(line.split("/")[1]) for line in lines)
        assert len(lines) == 120
        assert len(tested) == 12
        assert set(group[list(tested)]).isdisjoint(set(group.drop(list(tested))))
        halves.add(tested)
    assert len(halves) > 4


def test_regdb_pairs_are_of_one_walk(tiny_sets: dict[str, Path]) -> None:
    table = pd.read_parquet(tiny_sets["regdb"] / "factors.parquet")
    mean = table.groupby(["identity", "modality"])["heading"].agg(lambda a: np.angle(np.exp(1j * a).mean())).unstack()
    apart = np.abs(np.angle(np.exp(1j * (mean["visible"] - mean["infrared"]))))
    assert apart.max() < 0.25


def test_factors_say_the_truth_about_every_picture(tiny_sets: dict[str, Path]) -> None:
    for layout, root in tiny_sets.items():
        table = pd.read_parquet(root / "factors.parquet")
        images = open_dataset(layout, root).images
        assert {str(root / path) for path in table["path"]} == set(images["path"])
        codes = table.filter(regex="^true_").columns
        assert (table.groupby("identity")[list(codes)].nunique() <= 1).all().all()


def test_same_bytes_for_any_number_of_workers(tiny_sets: dict[str, Path], tmp_path: Path) -> None:
    synthesize(tmp_path / "two", layout="llcm", preset="tiny", seed=0, workers=2)
    assert contents(tmp_path / "two") == contents(tiny_sets["llcm"])


def test_other_seed_other_bytes() -> None:
    one, other = (BenchmarkSettings(layout="sysu", preset="tiny", seed=seed) for seed in (0, 1))
    assert one.plan().texts != other.plan().texts
    pictures = []
    for settings in (one, other):
        shot = settings.plan().shots[0]
        person, camera = engine._people(settings)[shot.person], engine._cameras(settings)[shot.mount]
        frame = engine.draw_frame(settings.seed, camera, shot.person, 0, knockouts=settings.knockouts)
        pictures.append(engine.take(person, camera, frame, seed=settings.seed, size=(96, 48)))
    assert not np.array_equal(pictures[0], pictures[1])


def test_interrupted_set_is_finished_with_the_same_bytes(tiny_sets: dict[str, Path], tmp_path: Path) -> None:
    def stop_after(items: Iterable[int], /, *, description: str, total: int | None = None) -> Iterator[int]:
        for count, item in enumerate(items):
            if count == 100:
                raise KeyboardInterrupt
            yield item

    settings = {"layout": "llcm", "preset": "tiny", "seed": 0}
    with pytest.raises(KeyboardInterrupt):
        synthesize(tmp_path / "set", **settings, track=stop_after)
    assert not (tmp_path / "set" / "expected.json").exists()
    with pytest.raises(UsageError, match="seed 0 \\(asked for: 1\\)"):
        synthesize(tmp_path / "set", layout="llcm", preset="tiny", seed=1)
    report = synthesize(tmp_path / "set", **settings)
    assert 0 < report.rendered < report.images
    assert contents(tmp_path / "set") == contents(tiny_sets["llcm"])


def test_finished_set_is_left_alone_and_another_refused(tiny_sets: dict[str, Path], tmp_path: Path) -> None:
    report = synthesize(tiny_sets["sysu"], layout="sysu", preset="tiny", seed=0)
    assert report.rendered == 0
    assert report.images == sum(row["images"] for row in report.counts)
    for change in ({"seed": 1}, {"preset": "demo"}, {"knockouts": Knockouts(perfect_boxes=True)}, {"layout": "llcm"}):
        with pytest.raises(UsageError, match="holds another set"):
            synthesize(tiny_sets["sysu"], **({"layout": "sysu", "preset": "tiny", "seed": 0} | change))


def test_foreign_folder_and_wrong_words_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="something other"):
        synthesize(tmp_path, layout="sysu", preset="tiny", seed=0)
    with pytest.raises(UsageError, match="did you mean 'tiny'"):
        synthesize(tmp_path / "new", layout="sysu", preset="tyni", seed=0)
    with pytest.raises(UsageError, match="unknown layout"):
        synthesize(tmp_path / "new", layout="market", preset="tiny", seed=0)
    with pytest.raises(UsageError, match="workers is 0"):
        synthesize(tmp_path / "new", layout="sysu", preset="tiny", seed=0, workers=0)
    with pytest.raises(UsageError, match="seed is -1"):
        synthesize(tmp_path / "new", layout="sysu", preset="tiny", seed=-1)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("layout", "listed", "images"),
    [("sysu", 22_258 + 11_909 + 10_578, 45_863), ("llcm", 46_767, 46_767), ("regdb", 8_240, 8_240)],
)
def test_full_has_the_official_counts(layout: str, listed: int, images: int) -> None:
    plan = BenchmarkSettings(layout=layout, preset="full", seed=0).plan()
    assert sum(row["images"] for row in counts_of(plan)) == listed
    assert len({shot.path for shot in plan.shots}) == images


@pytest.mark.parametrize("preset", ["demo", "study"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_larger_presets_can_be_drawn(layout: str, preset: str) -> None:
    settings = BenchmarkSettings(layout=layout, preset=preset, seed=0)
    people = engine._people(settings)
    assert len({person.code for person in people}) == len(people)
    shots = [row["images"] / row["identities"] for row in counts_of(settings.plan())]
    assert min(shots) >= 10


def test_pretraining_set(tmp_path: Path, tiny_sets: dict[str, Path]) -> None:
    out = tmp_path / "start"
    report = synthesize_pretraining(out, identities=6, images_per_identity=8, size=(64, 32), seed=0)
    assert report.images == 48
    data = open_dataset("manifest", out)
    assert data.images.groupby("identity")["camera"].nunique().min() == 4
    assert set(data.images["modality"]) == {"visible"}
    assert set(data.images["split"]) == {"train"}
    ours = pd.read_parquet(out / "factors.parquet")
    theirs = pd.read_parquet(tiny_sets["sysu"] / "factors.parquet")
    for name in ours.filter(like="_family").columns:
        assert set(ours[name]).isdisjoint(theirs[name])
    with pytest.raises(UsageError, match="identities is 1"):
        synthesize_pretraining(tmp_path / "b", identities=1, images_per_identity=8, size=(64, 32), seed=0)


def test_contact_sheet(tiny_sets: dict[str, Path], tmp_path: Path) -> None:
    sheet = contact_sheet(tiny_sets["sysu"], rows=3, per_camera=2, split="test")
    assert sheet.size == (6 * 2 * 48, 3 * 96)
    with pytest.raises(DataError, match="finished synthetic set"):
        contact_sheet(tmp_path)
