"""Faults that only the pictures themselves show."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from vireid.data.doctor import Level, examine
from vireid.data.doctor.contents import check_contents
from vireid.data.doctor.looking import Look, look_at
from vireid.data.doctor.standard import Standard
from vireid.data.table import Picture
from vireid.types import untracked

Copy = Callable[[Path], Path]
Told = Callable[..., dict]


def redraw(path: Path, change: Callable[[Image.Image], Image.Image]) -> None:
    with Image.open(path) as image:
        changed = change(image.convert("RGB"))
    changed.save(path)


def cut(root: Path) -> None:
    path = root / "cam1/0004/0002.jpg"
    path.write_bytes(path.read_bytes()[:900])


def fill_with_zeros(root: Path) -> None:
    path = root / "cam1/0004/0002.jpg"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + bytes(len(data) // 2))


def save_text(root: Path) -> None:
    (root / "cam1/0004/0002.jpg").write_text("<html>log in to download</html>")


def grey(root: Path) -> None:
    for path in (root / "cam1/0004").iterdir():
        redraw(path, lambda image: image.convert("L"))


def colour_infrared(root: Path) -> None:
    for path in (root / "cam3/0004").iterdir():
        visible = root / "cam1/0004" / path.name
        with Image.open(visible) as image:
            image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(path)


def swap_content(root: Path) -> None:
    for infrared, visible in ((3, 2), (6, 5)):
        (root / f"cam{infrared}").rename(root / "x")
        (root / f"cam{visible}").rename(root / f"cam{infrared}")
        (root / "x").rename(root / f"cam{visible}")
    for camera in (1, 4):
        for path in (root / f"cam{camera}").rglob("*.jpg"):
            redraw(path, lambda image: image.convert("L"))


def resize_some(root: Path) -> None:
    for path in (root / "cam1/0004").iterdir():
        redraw(path, lambda image: image.resize((144, 288)))


def resize_all(root: Path) -> None:
    for path in root.rglob("*.jpg"):
        redraw(path, lambda image: image.resize((24, 48)))


def turn(root: Path) -> None:
    for path in (root / "cam1").rglob("*.jpg"):
        redraw(path, lambda image: image.transpose(Image.Transpose.ROTATE_90))


def duplicate(source: str, target: str) -> Callable[[Path], object]:
    return lambda root: shutil.copy(root / source, root / target)


def numbers(root: Path, split: str) -> list[int]:
    return [int(word) for word in (root / f"exp/{split}_id.txt").read_text().split(",")]


def duplicate_into_training(root: Path) -> None:
    trained, tested = numbers(root, "train")[0], numbers(root, "test")[0]
    shutil.copy(root / f"cam4/{tested:04d}/0001.jpg", root / f"cam4/{trained:04d}/0001.jpg")


FAULTS = [
    (cut, "pictures.unreadable", "half-extracted archive"),
    (fill_with_zeros, "pictures.unreadable", "download that stopped"),
    (save_text, "pictures.unreadable", "no pictures"),
    (grey, "colours.grey-visible", "converted to grey"),
    (colour_infrared, "colours.coloured-infrared", "visible pictures were put into infrared folders"),
    (swap_content, "colours.swapped", "swapped"),
    (resize_some, "sizes.resized", "resized beforehand"),
    (resize_all, "sizes.resized", "resized beforehand"),
    (duplicate("cam1/0004/0001.jpg", "cam1/0006/0001.jpg"), "duplicates.identities", "one person counts as two"),
    (duplicate("cam1/0004/0001.jpg", "cam3/0004/0001.jpg"), "duplicates.modalities", "other"),
    (duplicate("cam4/0004/0001.jpg", "cam5/0004/0001.jpg"), "duplicates.cameras", "copied over one another"),
    (duplicate_into_training, "duplicates.splits", "test pictures were copied into training"),
]


@pytest.mark.parametrize(("plant", "code", "cause"), FAULTS)
def test_a_planted_fault_is_named(
    tiny_sysu: Path, copy: Copy, told: Told, plant: Callable[[Path], object], code: str, cause: str
) -> None:
    root = copy(tiny_sysu)
    plant(root)
    finding = told(root, pictures=True)[code]
    assert finding.level is Level.ERROR
    assert cause in finding.cause


def test_equal_pictures_of_one_sighting_and_turned_ones_are_warnings(tiny_sysu: Path, copy: Copy, told: Told) -> None:
    root = copy(tiny_sysu)
    turn(root)
    shutil.copy(root / "cam5/0004/0001.jpg", root / "cam5/0004/0002.jpg")
    found = told(root, pictures=True)
    assert found["duplicates.sighting"].level is Level.WARNING
    assert found["duplicates.sighting"].examples == ("cam5/0004/0001.jpg = cam5/0004/0002.jpg",)
    assert found["sizes.lying"].level is Level.WARNING


def test_pictures_are_left_unopened_on_request(tiny_sysu: Path, copy: Copy) -> None:
    root = copy(tiny_sysu)
    cut(root)
    diagnosis = examine(root, pictures=False)
    assert diagnosis.healthy
    skipped = {check.name for check in diagnosis.checks if check.level is Level.SKIPPED}
    assert skipped == {"pictures", "sizes", "colours", "duplicates"}


def test_the_reason_and_the_file_are_named(tiny_sysu: Path, copy: Copy, told: Told) -> None:
    root = copy(tiny_sysu)
    cut(root)
    finding = told(root, pictures=True)["pictures.unreadable"]
    assert finding.found == "pictures that cannot be read: 1 of 448"
    assert finding.examples[0].startswith("cam1/0004/0002.jpg: cannot be read (image file is truncated")


@pytest.mark.parametrize("threads", [1, 3])
def test_looks_come_in_order_for_any_number_of_threads(tiny_sysu: Path, threads: int) -> None:
    paths = sorted(str(path.relative_to(tiny_sysu)) for path in tiny_sysu.rglob("*.jpg"))[:70]
    looks = look_at(tiny_sysu, paths, threads=threads, track=untracked)
    assert [look.problem for look in looks] == [None] * 70
    assert {(look.height, look.width) for look in looks} == {(96, 48)}
    assert looks == [look_at(tiny_sysu, [path], threads=1, track=untracked)[0] for path in paths]


def test_progress_counts_pictures(tiny_sysu: Path) -> None:
    seen: list[tuple[str, int | None]] = []

    def track(items, /, *, description, total=None):
        seen.append((description, total))
        for item in items:
            seen.append((type(item).__name__, None))
            yield item

    look_at(tiny_sysu, ["cam1/0004/0001.jpg", "cam1/0004/0002.jpg"], threads=2, track=track)
    assert seen == [("read pictures", 2), ("Look", None), ("Look", None)]


OFFICIAL = Standard(layout="sysu", expected=None, official=True, counts=None)


def crops(size: Callable[[int], tuple[int, int]], **more: float) -> list[tuple[Picture, Look]]:
    return [
        (
            Picture(f"cam1/0001/{number:04d}.jpg", 1, 1, "visible", "train"),
            Look(height=size(number)[0], width=size(number)[1], digest=bytes([number]), **{"spread": 90.0, **more}),  # type: ignore[arg-type]
        )
        for number in range(1, 201)
    ]


def codes(looked: list[tuple[Picture, Look]], standard: Standard = OFFICIAL) -> dict[str, Level]:
    pictures, looks = zip(*looked, strict=True)
    return {finding.code: finding.level for finding in check_contents(pictures, looks, standard)}


def test_published_crops_of_one_size_were_resized() -> None:
    assert codes(crops(lambda number: (288, 144))) == {"sizes.resized": Level.ERROR}
    assert codes(crops(lambda number: (250 + number % 40, 110))) == {}
    llcm = Standard(layout="llcm", expected=None, official=True, counts=None)
    assert codes(crops(lambda number: (288, 144)), llcm) == {"sizes.resized": Level.WARNING}
    regdb = Standard(layout="regdb", expected=None, official=True, counts=None)
    assert codes(crops(lambda number: (288, 144)), regdb) == {}


def test_very_few_grey_pictures_may_be_the_authors_own() -> None:
    looked = crops(lambda number: (250 + number, 110))
    picture, look = looked[0]
    looked[0] = (picture, Look(height=look.height, width=look.width, digest=look.digest, spread=0.0))
    assert codes(looked) == {"colours.grey-visible": Level.WARNING}
