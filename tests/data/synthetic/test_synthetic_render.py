"""The ray caster against forms whose picture is known, and whole pictures."""

from dataclasses import replace
from math import pi

import numpy as np
import pytest

from vireid.data.synthetic.body import Carried, Part, Solids, build
from vireid.data.synthetic.cameras import Camera, draw_camera
from vireid.data.synthetic.families import TEST, TRAIN
from vireid.data.synthetic.knockouts import NOTHING_OUT, Knockouts
from vireid.data.synthetic.people import Group, Person, draw_people
from vireid.data.synthetic.picture import take
from vireid.data.synthetic.plan_regdb import MOUNTS as REGDB
from vireid.data.synthetic.plan_sysu import MOUNTS as SYSU
from vireid.data.synthetic.render import Hits, Viewpoint, cast
from vireid.data.synthetic.sightings import draw_frame

SIZE = (96, 48)
FLAT = Viewpoint(heading=0.0, tilt=0.0, distance=1e6, scale=20.0, column=40.0, row=60.0)


def mask(hits: Hits) -> np.ndarray:
    picture = np.zeros(hits.height * hits.width, dtype=bool)
    picture[hits.pixel] = True
    return picture.reshape(hits.height, hits.width)


def people() -> list[Person]:
    groups = [Group(block=TRAIN, size=1)] * 4 + [Group(block=TEST, size=4)] * 2
    return draw_people(0, groups, test_identities=8, knockouts=NOTHING_OUT)


def camera(number: int = 4) -> Camera:
    return draw_camera(0, SYSU[number - 1], NOTHING_OUT)


def test_a_ball_is_a_disc_that_bulges_towards_the_viewer() -> None:
    solids = Solids()
    solids.ball(Part.SKIN, (0.0, 1.0, 0.0), 0.8)
    hits = cast(solids, FLAT, 80, 80)
    rows, columns = np.mgrid[0:80, 0:80]
    assert (mask(hits) == (np.hypot(rows - 40, columns - 40) <= 16)).mean() > 0.999
    normals = np.zeros((3, 80 * 80))
    normals[:, hits.pixel] = hits.normal
    middle = normals.reshape(3, 80, 80)[:, 40, 40]
    assert middle == pytest.approx([0, 0, 1], abs=1e-3)
    assert normals.reshape(3, 80, 80)[0, 40, 50] == pytest.approx(10 / 16, abs=1e-3)


def test_a_cylinder_is_a_rectangle_and_a_box_too() -> None:
    for form in ("cone", "box"):
        solids = Solids()
        if form == "cone":
            solids.cone(Part.SKIN, (0.0, 2.0, 0.0), (0.0, 1.0, 0.0), 0.5, 0.5)
        else:
            solids.box(Part.SKIN, (0.0, 1.5, 0.0), (0.5, 0.5, 0.5))
        seen = mask(cast(solids, FLAT, 80, 80))
        expected = np.zeros((80, 80), dtype=bool)
        expected[20:41, 30:51] = True
        assert (seen == expected).mean() > 0.99


def test_the_nearer_form_hides_the_farther_one() -> None:
    solids = Solids()
    solids.ball(Part.SKIN, (0.0, 1.0, -1.0), 0.5)
    solids.ball(Part.BAG, (0.0, 1.0, 1.0), 0.5)
    before, behind = cast(solids, FLAT, 80, 80), cast(solids, replace(FLAT, heading=pi), 80, 80)
    assert (before.part == Part.BAG).mean() > 0.98
    assert (behind.part == Part.SKIN).mean() > 0.98


def test_forms_outside_the_picture_are_no_trouble() -> None:
    solids = Solids()
    solids.ball(Part.SKIN, (50.0, 1.0, 0.0), 0.5)
    assert len(cast(solids, FLAT, 80, 80).pixel) == 0


def test_a_person_stands_on_the_ground_and_fills_the_crop() -> None:
    person = people()[0]
    frame = draw_frame(0, camera(), 0, 0, knockouts=Knockouts(perfect_boxes=True))
    seen = mask(cast(build(person, frame.pose, Carried()), replace(FLAT, scale=40.0, row=78.0), 80, 80))
    rows = np.flatnonzero(seen.any(1))
    assert 72 <= rows[-1] <= 79
    assert 60 <= rows[-1] - rows[0] <= 76


def test_a_backpack_shows_from_behind_only() -> None:
    person = people()[0]
    person = replace(person, code=replace(person.code, bag="backpack"))
    frame = draw_frame(0, camera(), 0, 0, knockouts=NOTHING_OUT)
    solids = build(person, frame.pose, Carried())
    share = {
        heading: np.mean(cast(solids, replace(FLAT, heading=heading, scale=40.0, row=78.0), 80, 80).part == Part.BAG)
        for heading in (0.0, pi)
    }
    assert share[pi] > 0.05 > share[0.0]


@pytest.mark.parametrize("mount", [*SYSU, *REGDB], ids=lambda mount: f"{mount.spectrum}-{mount.number}")
def test_pictures_of_every_camera(mount) -> None:  # type: ignore[no-untyped-def]
    seen_by = draw_camera(0, mount, NOTHING_OUT)
    frame = draw_frame(0, seen_by, 1, 0, knockouts=NOTHING_OUT)
    picture = take(people()[1], seen_by, frame, seed=0, size=SIZE)
    assert picture.shape == (*SIZE, 3)
    assert picture.dtype == np.uint8
    assert picture.std() > 8
    grey = (picture[:, :, 0] == picture[:, :, 1]).all() and (picture[:, :, 1] == picture[:, :, 2]).all()
    assert grey == (mount.modality == "infrared")


def test_dye_does_not_show_in_heat_and_dead_ink_not_in_near_infrared() -> None:
    person = people()[2]
    code = replace(person.code, upper_pattern="stripe", front="print")
    weave = replace(person.upper.weave, survives=False, contrast=0.0)
    front = replace(person.upper.front, survives=False, contrast=0.0)
    plain = replace(person, code=replace(code, upper_pattern="plain", front="plain"))
    inked = replace(person, code=code, upper=replace(person.upper, weave=weave, front=front))
    for mount, same in ((SYSU[5], True), (REGDB[1], True), (SYSU[3], False)):
        seen_by = draw_camera(0, mount, NOTHING_OUT)
        frame = draw_frame(0, seen_by, 0, 0, knockouts=Knockouts(perfect_boxes=True, same_yaw_no_twins=True))
        one, other = (take(p, seen_by, frame, seed=0, size=SIZE) for p in (plain, inked))
        assert np.array_equal(one, other) == same


def test_surviving_ink_shows_in_near_infrared() -> None:
    person = people()[2]
    weave = replace(person.upper.weave, survives=True, contrast=0.3)
    upper = replace(person.upper, tone=0.4, weave=weave)
    seen_by = camera(6)
    frame = draw_frame(0, seen_by, 0, 0, knockouts=Knockouts(perfect_boxes=True))
    one, other = (
        take(
            replace(person, upper=upper, code=replace(person.code, upper_pattern=kind)),
            seen_by,
            frame,
            seed=0,
            size=SIZE,
        )
        for kind in ("plain", "check")
    )
    assert np.abs(one.astype(int) - other).max() > 20


def test_warm_skin_and_cool_bag_in_heat() -> None:
    person = people()[0]
    assert person.skin.warmth > person.upper.warmth > person.bag.warmth


def test_a_place_looks_the_same_behind_two_people() -> None:
    seen_by = camera(4)
    frame = draw_frame(0, seen_by, 0, 0, knockouts=Knockouts(perfect_boxes=True))
    one, other = (take(people()[n], seen_by, frame, seed=0, size=SIZE) for n in (0, 1))
    assert np.array_equal(one[:4, :4], other[:4, :4])
