"""Packed pictures: the same bits as the files, built once, whole or not at all, and anew when a file changes."""

import errno
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from vireid.data import packed
from vireid.data.images import PictureFiles
from vireid.data.manifest import Manifest
from vireid.data.packed import PackedPictures, pack
from vireid.errors import DataError, ImageError, UsageError

SIZE = (24, 12)
SPLITS = ["train"] * 11 + ["test"] * 5


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VIREID_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(packed, "SHARD", 4)
    return tmp_path / "cache"


def write(path: Path, seed: int, *, size: tuple[int, int] = (30, 16)) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def dataset(tmp_path: Path) -> Manifest:
    """Eleven pictures to train on, in three shards, and five to test on; sizes and formats differ."""
    root = tmp_path / "people"
    root.mkdir()
    names = [f"{number:02d}.{'bmp' if number % 3 else 'jpg'}" for number in range(len(SPLITS))]
    for number, name in enumerate(names):
        write(root / name, number, size=(30, 16) if number % 2 else SIZE)
    images = pd.DataFrame({"path": [str(root / name) for name in names], "identity": 0, "camera": 1})
    return Manifest(root=root, images=images.assign(modality="visible", split=SPLITS))


TRAIN = np.arange(11)


def files(dataset: Manifest) -> PictureFiles:
    return PictureFiles(dataset.images.path.tolist(), SIZE)


def shards(cache: Path) -> dict[str, int]:
    """The shards by name, with when they were written."""
    return {path.name: path.stat().st_mtime_ns for path in sorted(cache.rglob("*.npy"))}


def test_packed_pictures_are_the_files_bit_by_bit(dataset: Manifest, cache: Path) -> None:
    found = pack(dataset, TRAIN, size=SIZE)
    for rows in (TRAIN, np.array([7]), np.array([10, 3, 3, 0, 4]), [2, 1]):
        pixels = found.read(rows)
        assert pixels.dtype == np.uint8
        assert pixels.flags.writeable
        assert np.array_equal(pixels, files(dataset).read(rows))
    assert found.read([]).shape == (0, *SIZE, 3)


def test_a_shard_is_a_plain_numpy_file_and_the_folder_says_whose_it_is(dataset: Manifest, cache: Path) -> None:
    pack(dataset, TRAIN, size=SIZE)
    [folder] = (path for path in (cache / "pictures").iterdir() if path.is_dir())
    assert folder.name.startswith("people-24x12-")
    assert folder.stat().st_mode & 0o077 == 0, "pictures that others may not be meant to see"
    assert json.loads((folder / "about.json").read_text())["root"] == str(dataset.root)
    arrays = [np.load(path, mmap_mode="r") for path in sorted(folder.glob("*.npy"))]
    assert np.array_equal(np.concatenate(arrays), files(dataset).read(TRAIN))


def test_whole_splits_are_packed_once_and_shared(dataset: Manifest, cache: Path) -> None:
    told: list[str] = []
    found = pack(dataset, np.array([3]), size=SIZE, say=told.append)
    assert np.array_equal(found.read(TRAIN), files(dataset).read(TRAIN))
    with pytest.raises(UsageError, match="row 12 of the image table is not packed"):
        found.read([0, 12])
    before = shards(cache)
    assert len(before) == 3
    pack(dataset, TRAIN, size=SIZE, say=told.append)
    assert shards(cache) == before
    assert len(told) == 1
    assert told[0].startswith("packing 11 pictures at 24x12 once, 0 MB in ")
    both = pack(dataset, np.array([0, 15]), size=SIZE)
    assert np.array_equal(both.read(np.arange(16)), files(dataset).read(np.arange(16)))
    assert before.items() < shards(cache).items()


def test_other_sizes_and_other_folders_have_packs_of_their_own(dataset: Manifest, cache: Path, tmp_path: Path) -> None:
    first = pack(dataset, TRAIN, size=SIZE)
    other = pack(dataset, TRAIN, size=(10, 5))
    assert other.read([1]).shape == (1, 10, 5, 3)
    copy = tmp_path / "elsewhere" / "people"
    shutil.copytree(dataset.root, copy)
    write(copy / "00.jpg", 99)
    paths = dataset.images.path.str.replace(str(dataset.root), str(copy))
    moved = pack(Manifest(root=copy, images=dataset.images.assign(path=paths)), TRAIN, size=SIZE)
    assert not np.array_equal(moved.read([0]), first.read([0]))
    assert len(list((cache / "pictures").glob("*/about.json"))) == 3


@pytest.mark.parametrize("disguise", [False, True])
def test_a_changed_picture_is_packed_again_with_its_shard_alone(dataset: Manifest, cache: Path, disguise: bool) -> None:
    old = pack(dataset, TRAIN, size=SIZE)
    before, pixels = shards(cache), old.read(TRAIN)
    path = Path(dataset.images.path[5])
    status = path.stat()
    write(path, 99)
    if disguise:  # same size, same time of change
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        assert (path.stat().st_size, path.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    told: list[str] = []
    new = pack(dataset, TRAIN, size=SIZE, say=told.append)
    assert told[0].startswith("packing 4 pictures")
    after = shards(cache)
    assert len(after) == 3
    assert len(before.items() & after.items()) == 2
    assert np.array_equal(new.read(TRAIN), files(dataset).read(TRAIN))
    assert not np.array_equal(new.read([5]), pixels[5:6])
    assert np.array_equal(old.read(TRAIN), pixels), "who reads the old ones reads them to the end"


def test_two_pictures_that_change_places_are_noticed(dataset: Manifest, cache: Path) -> None:
    pack(dataset, TRAIN, size=SIZE)
    one, two = Path(dataset.images.path[1]), Path(dataset.images.path[5])
    assert one.stat().st_size == two.stat().st_size
    for path in (one, two):
        os.utime(path, ns=(0, 0))
    pack(dataset, TRAIN, size=SIZE)
    one.rename(one.with_name("x"))
    two.rename(one)
    one.with_name("x").rename(two)
    assert np.array_equal(pack(dataset, TRAIN, size=SIZE).read(TRAIN), files(dataset).read(TRAIN))


def test_another_decoder_packs_anew(dataset: Manifest, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack(dataset, TRAIN, size=SIZE)
    before = shards(cache)
    monkeypatch.setattr(packed.PIL, "__version__", "0.0.1")
    pack(dataset, TRAIN, size=SIZE)
    assert len(shards(cache)) == 3
    assert not set(before) & set(shards(cache))


def test_a_stopped_build_goes_on_and_leaves_nothing_half(dataset: Manifest, cache: Path) -> None:
    def stop_at_sixth(items: Iterable[Any], /, *, description: str, total: int | None = None) -> Iterator[Any]:
        assert (description, total) == ("packing pictures", 11)
        for number, item in enumerate(items):
            if number == 5:
                raise KeyboardInterrupt
            yield item

    with pytest.raises(KeyboardInterrupt):
        pack(dataset, TRAIN, size=SIZE, track=stop_at_sixth)
    before = shards(cache)
    assert len(before) == 1
    [folder] = (path for path in (cache / "pictures").iterdir() if path.is_dir())
    (folder / ".train-0001-left-by-a-kill.npy").write_bytes(b"half")
    told: list[str] = []
    found = pack(dataset, TRAIN, size=SIZE, say=told.append)
    assert told[0].startswith("packing 7 pictures")
    assert before.items() < shards(cache).items()
    assert len(shards(cache)) == 3
    assert np.array_equal(found.read(TRAIN), files(dataset).read(TRAIN))


SCRIPT = """
import sys
import numpy as np
from vireid.data import open_dataset, packed
from vireid.data.images import PictureFiles
packed.SHARD = 16
dataset = open_dataset("manifest", sys.argv[1], check_counts=False)
rows = np.arange(len(dataset.images))
found = packed.pack(dataset, rows, size=(48, 24), say=print).read(rows)
assert np.array_equal(found, PictureFiles(dataset.images.path.tolist(), (48, 24)).read(rows))
"""


def test_two_processes_that_start_together_build_once(cache: Path, tmp_path: Path) -> None:
    root = tmp_path / "data"
    root.mkdir()
    lines = ["path,identity,camera,modality,split"]
    for number in range(80):
        write(root / f"{number}.png", number, size=(300, 150))
        lines.append(f"{number}.png,{number % 4},1,{'visible' if number % 2 else 'infrared'},train")
    (root / "manifest.csv").write_text("\n".join(lines) + "\n")
    command = [sys.executable, "-c", SCRIPT, str(root)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert "".join(said).count("packing 80 pictures") == 1
    assert len(shards(cache)) == 5


def test_a_disk_that_is_too_small_is_told_before_anything_is_packed(
    dataset: Manifest, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1, 1, 5000))
    with pytest.raises(UsageError, match=r"packing 11 pictures takes 0 MB, but .* has 0 MB left; set VIREID_CACHE .*"):
        pack(dataset, TRAIN, size=SIZE)
    assert not shards(cache)


@pytest.mark.parametrize(("code", "told"), [(errno.ENOSPC, "the disk is full"), (errno.EDQUOT, "the disk is full")])
def test_a_disk_that_fills_up_meanwhile_is_told(
    dataset: Manifest, cache: Path, monkeypatch: pytest.MonkeyPatch, code: int, told: str
) -> None:
    def full(*given: Any) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(packed, "_write", full)
    with pytest.raises(UsageError, match=rf"{told}; set VIREID_CACHE to .*, or train with data\.cache=none"):
        pack(dataset, TRAIN, size=SIZE)


def test_the_cache_is_never_in_the_data_nor_where_nothing_can_be_written(
    dataset: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = set(dataset.root.rglob("*"))
    monkeypatch.setenv("VIREID_CACHE", str(dataset.root / "cache"))
    with pytest.raises(UsageError, match="lies in the data set's folder"):
        pack(dataset, TRAIN, size=SIZE)
    assert set(dataset.root.rglob("*")) == before
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VIREID_CACHE", str(tmp_path / "file"))
    with pytest.raises(UsageError, match=r"cannot pack pictures in .*data\.cache=none"):
        pack(dataset, TRAIN, size=SIZE)


def test_pictures_that_are_missing_or_damaged_are_named(dataset: Manifest, cache: Path) -> None:
    path = Path(dataset.images.path[6])
    path.write_bytes(b"no picture")
    with pytest.raises(ImageError, match=rf"{path}: not a readable"):
        pack(dataset, TRAIN, size=SIZE)
    path.unlink()
    with pytest.raises(ImageError, match=rf"{path}: No such file"):
        pack(dataset, TRAIN, size=SIZE)
    assert pack(dataset, np.array([12]), size=SIZE).read([12]).shape == (1, *SIZE, 3), "the other split is whole"


@pytest.mark.parametrize("bytes_left", [0, 200, -1])
def test_a_damaged_shard_is_told(dataset: Manifest, cache: Path, bytes_left: int) -> None:
    pack(dataset, TRAIN, size=SIZE)
    [first, *_] = sorted(cache.rglob("*.npy"))
    os.truncate(first, bytes_left if bytes_left >= 0 else first.stat().st_size + bytes_left)
    with pytest.raises(DataError, match=rf"{first} is damaged; remove it"):
        pack(dataset, TRAIN, size=SIZE)
    first.unlink()
    assert np.array_equal(pack(dataset, TRAIN, size=SIZE).read(TRAIN), files(dataset).read(TRAIN))


def test_packed_pictures_go_to_other_processes(dataset: Manifest, cache: Path) -> None:
    found = pack(dataset, TRAIN, size=SIZE)
    again = pickle.loads(pickle.dumps(found))
    assert isinstance(again, PackedPictures)
    assert np.array_equal(again.read(TRAIN), found.read(TRAIN))


MEMORY = Path("/proc/self/smaps_rollup")


@pytest.mark.skipif(not MEMORY.exists(), reason="Linux says how much memory is a process's own")
def test_reading_takes_no_memory_of_its_own(cache: Path, tmp_path: Path) -> None:
    def own() -> int:
        return 1024 * sum(int(line.split()[1]) for line in MEMORY.read_text().splitlines() if "Private_" in line)

    root = tmp_path / "data"
    root.mkdir()
    write(root / "a.png", 0)
    rows = np.arange(256)
    table = {"path": str(root / "a.png"), "identity": 0, "camera": 1, "modality": "visible", "split": "train"}
    dataset = Manifest(root=root, images=pd.DataFrame(table, index=pd.RangeIndex(len(rows))))
    found = pack(dataset, rows, size=(288, 144))
    found.read(rows[:8])
    before = own()
    for start in range(0, len(rows), 8):
        found.read(rows[start : start + 8])
    assert sum(path.stat().st_size for path in cache.rglob("*.npy")) > 31e6
    assert own() - before < 3e6
