"""Walks, boxes and cameras: nuisance that knows nothing of the person, and what the knock-outs take out of it."""

from dataclasses import replace

import numpy as np
import pytest

from vireid.data.synthetic import sightings
from vireid.data.synthetic.cameras import Camera, draw_camera
from vireid.data.synthetic.knockouts import NOTHING_OUT, Knockouts
from vireid.data.synthetic.plan_llcm import MOUNTS as LLCM
from vireid.data.synthetic.plan_regdb import MOUNTS as REGDB
from vireid.data.synthetic.plan_sysu import MOUNTS as SYSU
from vireid.data.synthetic.sightings import Frame, draw_frame, draw_walk

PEOPLE = 150


def cameras(knockouts: Knockouts = NOTHING_OUT) -> list[Camera]:
    return [draw_camera(0, mount, knockouts) for mount in SYSU]


def frames(knockouts: Knockouts = NOTHING_OUT, camera: int = 3) -> list[Frame]:
    seen = draw_camera(0, SYSU[camera], knockouts)
    return [draw_frame(0, seen, person, frame, knockouts=knockouts) for person in range(PEOPLE) for frame in range(6)]


def test_the_box_shifts_by_six_to_eight_percent() -> None:
    assert 0.06 <= np.std([frame.shift[1] for frame in frames()]) <= 0.08


def test_occluders_cover_legs_often_and_heads_seldom() -> None:
    drawn = frames()
    assert np.mean([frame.lower is not None for frame in drawn]) == pytest.approx(0.30, abs=0.05)
    assert np.mean([frame.upper is not None for frame in drawn]) == pytest.approx(0.08, abs=0.03)


def test_carried_state_changes_in_some_sightings() -> None:
    walks = [draw_walk(0, cameras()[3], person) for person in range(1000)]
    changed = [walk.carried.coat_open or walk.carried.hood_up or walk.carried.bag_swapped for walk in walks]
    assert 0.10 <= np.mean(changed) <= 0.20


def test_perfect_boxes() -> None:
    for frame in frames(Knockouts(perfect_boxes=True)):
        assert frame.shift == (0.0, 0.0)
        assert frame.zoom == 1.0
        assert frame.lower is None
        assert frame.upper is None


def test_a_knockout_leaves_other_draws_alone() -> None:
    loose, tight = frames()[7], frames(Knockouts(perfect_boxes=True))[7]
    assert replace(loose, shift=(0.0, 0.0), zoom=1.0, lower=None, upper=None) == tight


def test_same_yaw() -> None:
    headings = {camera: [f.heading for f in frames(Knockouts(same_yaw_no_twins=True), camera)] for camera in (3, 5)}
    assert np.std(headings[3]) < 0.25
    assert np.mean(headings[3]) == pytest.approx(np.mean(headings[5]), abs=0.03)
    assert np.std([frame.heading for frame in frames()]) > 0.5


def test_headings_differ_between_modalities() -> None:
    visible, infrared = ([np.cos(f.heading) for f in frames(camera=camera)] for camera in (3, 5))
    assert np.mean(visible) - np.mean(infrared) > 0.3


def test_sensors_differ_until_a_knockout_makes_them_one() -> None:
    def distinct(knockouts: Knockouts, *, visible: bool) -> int:
        chosen = [c.sensor for c in cameras(knockouts) if (c.mount.modality == "visible") == visible]
        return len(set(chosen))

    assert distinct(NOTHING_OUT, visible=True) == 4
    assert distinct(NOTHING_OUT, visible=False) == 2
    assert distinct(Knockouts(one_visible_camera=True), visible=True) == 1
    assert distinct(Knockouts(one_visible_camera=True), visible=False) == 2
    assert distinct(Knockouts(one_ir_sensor=True), visible=False) == 1
    assert distinct(Knockouts(one_ir_sensor=True), visible=True) == 4


def test_infrared_cameras_cast_no_shadow() -> None:
    assert all(c.sensor.shadow == 0 for c in cameras() if c.mount.modality == "infrared")
    assert all(c.sensor.lamp == (0.0, 0.0, 1.0) for c in cameras() if c.mount.modality == "infrared")
    assert all(c.sensor.shadow > 0 for c in cameras() if c.mount.number in (4, 5))


def test_only_one_room_is_shared_between_sysu_modalities() -> None:
    visible = {mount.place for mount in SYSU if mount.modality == "visible"}
    infrared = {mount.place for mount in SYSU if mount.modality == "infrared"}
    assert visible & infrared == {2}
    walks = [draw_walk(0, cameras()[camera], 5) for camera in (1, 2, 5)]
    assert walks[0] == walks[1] != walks[2]


def test_llcm_cameras_and_regdb_pairs_share_their_place() -> None:
    assert all(mount.place == mount.number for mount in LLCM)
    assert REGDB[0].place == REGDB[1].place


def test_nuisance_streams_are_numbered_by_person_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    purposes: list[tuple[int, ...]] = []
    real = sightings.stream

    def spy(seed: int, purpose: sightings.Purpose, *numbers: int) -> np.random.Generator:
        purposes.append((seed, int(purpose), *numbers))
        return real(seed, purpose, *numbers)

    monkeypatch.setattr(sightings, "stream", spy)
    draw_frame(3, cameras()[0], 11, 2, knockouts=NOTHING_OUT)
    identity = int(sightings.Purpose.POPULATION)
    assert {key[1] for key in purposes}.isdisjoint({identity})
    assert all(11 in key[2:] for key in purposes)


def test_patches_of_one_person_at_two_places_are_unrelated() -> None:
    one = [draw_walk(0, cameras()[3], person).patch[0] for person in range(400)]
    other = [draw_walk(0, cameras()[4], person).patch[0] for person in range(400)]
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.15
