"""Renders the contact sheets of docs/benchmark.md into docs/images: `python docs/generate_sheets.py`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from vireid.data.synthetic.cameras import Camera, Mount, draw_camera
from vireid.data.synthetic.families import TEST
from vireid.data.synthetic.knockouts import NOTHING_OUT, Knockouts
from vireid.data.synthetic.people import Group, Person, draw_people
from vireid.data.synthetic.picture import take
from vireid.data.synthetic.plan_sysu import MOUNTS
from vireid.data.synthetic.sightings import draw_frame
from vireid.data.synthetic.spectrum import Spectrum

IMAGES = Path(__file__).parent / "images"
SIZE = (144, 72)
SEED = 0
TEST_IDENTITIES = 96
GAP = 4
LABEL = 92

Picture = NDArray[np.uint8]


def people(knockouts: Knockouts = NOTHING_OUT) -> list[Person]:
    """The first test people of a population that no preset has: 24 groups of near-twins."""
    groups = [Group(block=TEST, size=4)] * (TEST_IDENTITIES // 4)
    return draw_people(SEED, groups, test_identities=TEST_IDENTITIES, knockouts=knockouts)


def cameras(knockouts: Knockouts = NOTHING_OUT) -> list[Camera]:
    return [draw_camera(SEED, mount, knockouts) for mount in MOUNTS]


def picture(person: Person, number: int, camera: Camera, frame: int, knockouts: Knockouts = NOTHING_OUT) -> Picture:
    drawn = draw_frame(SEED, camera, number, frame, knockouts=knockouts)
    return take(person, camera, drawn, seed=SEED, size=SIZE)


def sheet(rows: Sequence[tuple[str, Sequence[Picture | None]]]) -> Image.Image:
    """One labelled row of pictures under another; None leaves a place free."""
    height, width = SIZE
    columns = max(len(pictures) for _, pictures in rows)
    canvas = Image.new("RGB", (LABEL + columns * (width + GAP), len(rows) * (height + GAP)), "white")
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(11)
    for row, (label, pictures) in enumerate(rows):
        top = row * (height + GAP)
        pen.multiline_text((4, top + 6), label.replace(" ", "\n"), fill="black", font=font)
        for column, shown in enumerate(pictures):
            if shown is not None:
                canvas.paste(Image.fromarray(shown), (LABEL + column * (width + GAP), top))
    return canvas


def sightings() -> Image.Image:
    """One person before all cameras: eight frames of each sighting, two apart."""
    crowd, number = people(), 9
    rows = [
        (
            f"camera {camera.mount.number} {camera.mount.modality}",
            [picture(crowd[number], number, camera, frame) for frame in range(1, 17, 2)],
        )
        for camera in cameras()
    ]
    return sheet(rows)


def twins() -> Image.Image:
    """Three groups of near-twins: everybody before every camera, and the value in which they differ."""
    crowd, rows, shown = people(), [], set[str]()
    for first in range(0, TEST_IDENTITIES, 4):
        (factor,) = crowd[first].code.differing(crowd[first + 1].code)
        if factor in shown or len(shown) == 3:
            continue
        shown.add(factor)
        rows += [
            (
                f"{factor.replace('_', ' ')}: {crowd[number].code[factor].replace('_', ' ')}",
                [picture(crowd[number], number, camera, frame) for camera in cameras() for frame in (2, 7)],
            )
            for number in range(first, first + 4)
        ]
    return sheet(rows)


def spectra() -> Image.Image:
    """The same people in the same pose in visible, near-infrared and thermal light."""
    perfect = Knockouts(perfect_boxes=True, same_yaw_no_twins=True)
    crowd = [
        (number, person)
        for number, person in enumerate(people(perfect))
        if person.code.upper_pattern != "plain" or person.code.front != "plain"
    ][:10]
    rows = []
    for label, spectrum in (
        ("visible", Spectrum.VISIBLE),
        ("near infrared", Spectrum.NEAR),
        ("thermal", Spectrum.THERMAL),
    ):
        mount = Mount(number=2, spectrum=spectrum, place=2, outdoor=False, walk="mixed")
        camera = draw_camera(SEED, mount, perfect)
        rows.append((label, [picture(person, number, camera, 3, perfect) for number, person in crowd]))
    return sheet(rows)


def knockouts() -> Image.Image:
    """Rows of pairs: the same draws without and with a knock-out."""
    switches: dict[str, tuple[Knockouts, Sequence[int]]] = {
        "finish_map= permuted": (Knockouts(finish_map="permuted"), (2, 5)),
        "rgb_nir_ correlation=0": (Knockouts(rgb_nir_correlation=0), (0, 2)),
        "perfect_boxes": (Knockouts(perfect_boxes=True), (0, 5)),
        "no_contrast_ inversion": (Knockouts(no_contrast_inversion=True), (0, 2)),
        "same_yaw_ no_twins": (Knockouts(same_yaw_no_twins=True), (0, 5)),
        "one_ir_ sensor": (Knockouts(one_ir_sensor=True), (2, 5)),
        "one_visible_ camera": (Knockouts(one_visible_camera=True), (0, 1, 3, 4)),
    }
    rows = []
    for name, (switch, mounts) in switches.items():
        chosen = _telling(name)
        for label, knocked in (("as drawn", NOTHING_OUT), (name, switch)):
            crowd, mounted = people(knocked), cameras(knocked)
            shots = [picture(crowd[n], n, mounted[m], 3, knocked) for n in chosen for m in mounts]
            rows.append((label, shots[:10]))
    return sheet(rows)


def _telling(name: str) -> list[int]:
    """People whom a knock-out changes: those whose patterns turn round, or simply the first of each group."""
    if not name.startswith("no_contrast"):
        return list(range(0, TEST_IDENTITIES, 4))
    return [
        number
        for number, person in enumerate(people())
        if (person.upper.weave.inverted and person.code.upper_pattern != "plain")
        or (person.upper.front.inverted and person.code.front != "plain")
    ]


def main() -> None:
    for draw in (sightings, twins, spectra, knockouts):
        image = draw()
        image.save(IMAGES / f"benchmark-{draw.__name__}.jpg", quality=88)


if __name__ == "__main__":
    main()
