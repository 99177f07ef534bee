"""Pictures of one cue alone: nothing else may be told by them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vireid.data import open_dataset
from vireid.data.synthetic import Only, synthesize
from vireid.data.synthetic.cameras import draw_camera
from vireid.data.synthetic.cues import BACKDROP, GREY, OUTLINE
from vireid.data.synthetic.families import TEST, TRAIN
from vireid.data.synthetic.knockouts import NOTHING_OUT
from vireid.data.synthetic.people import Group, Person, draw_people
from vireid.data.synthetic.picture import take
from vireid.data.synthetic.plan_regdb import MOUNTS as REGDB
from vireid.data.synthetic.plan_sysu import MOUNTS as SYSU
from vireid.data.synthetic.sightings import Occluder, draw_frame
from vireid.errors import UsageError

SIZE = (96, 48)
CAMERAS = pytest.mark.parametrize("mount", [SYSU[0], SYSU[3], SYSU[5], REGDB[1]], ids=lambda mount: str(mount.spectrum))


@pytest.fixture(scope="module")
def people() -> list[Person]:
    groups = [Group(block=TRAIN, size=1)] * 4 + [Group(block=TEST, size=4)] * 2
    return draw_people(0, groups, test_identities=8, knockouts=NOTHING_OUT)


def shot(person: Person, mount, only: Only | None, *, number: int = 1, **changes):  # type: ignore[no-untyped-def]
    camera = draw_camera(0, mount, NOTHING_OUT)
    frame = replace(draw_frame(0, camera, number, 2, knockouts=NOTHING_OUT), **changes)
    return take(person, camera, frame, seed=0, size=SIZE, only=only)


@CAMERAS
def test_a_background_is_the_same_whoever_walked_there(people: list[Person], mount) -> None:  # type: ignore[no-untyped-def]
    seen = [shot(person, mount, Only.BACKGROUND) for person in people]
    assert all(np.array_equal(seen[0], other) for other in seen[1:])
    assert not np.array_equal(seen[0], shot(people[0], mount, None))


@CAMERAS
def test_a_silhouette_has_two_values(people: list[Person], mount) -> None:  # type: ignore[no-untyped-def]
    picture = shot(people[0], mount, Only.SILHOUETTE, lower=None, upper=None)
    assert set(np.unique(picture).tolist()) == {BACKDROP, OUTLINE}
    assert 0.1 < (picture == OUTLINE).mean() < 0.6


def test_a_silhouette_says_nothing_of_colour_and_light(people: list[Person]) -> None:
    dressed = people[0]
    other = replace(
        dressed,
        upper=replace(dressed.upper, tone=0.9, colour=(0.9, 0.1, 0.1)),
        hair=replace(dressed.hair, colour=(0.9, 0.9, 0.9)),
    )
    for mount in (SYSU[3], SYSU[5]):
        assert np.array_equal(shot(dressed, mount, Only.SILHOUETTE), shot(other, mount, Only.SILHOUETTE, exposure=0.7))


@CAMERAS
def test_a_head_is_shown_on_grey_without_clothes_and_place(people: list[Person], mount) -> None:  # type: ignore[no-untyped-def]
    free = {"lower": None, "upper": None, "shift": (0.0, 0.0), "zoom": 1.0}
    person = people[0]
    undressed = replace(person, upper=replace(person.upper, tone=0.9, warmth=0.1, colour=(0.9, 0.1, 0.1)))
    heads = [shot(each, mount, Only.HEAD, **free) for each in (person, undressed)]
    assert np.array_equal(*heads)
    shown = (heads[0] != GREY).any(axis=2)
    assert 0.002 < shown.mean() < 0.1
    assert np.flatnonzero(shown.any(axis=1)).max() < 0.4 * SIZE[0]
    full = shot(person, mount, None, **free)
    inner = shown & np.roll(shown, 2, 0) & np.roll(shown, -2, 0) & np.roll(shown, 2, 1) & np.roll(shown, -2, 1)
    assert np.abs(heads[0][inner].astype(int) - full[inner].astype(int)).max() <= 24


def test_what_stands_in_front_hides_outline_and_head(people: list[Person]) -> None:
    front = {
        "lower": Occluder(look=2, edge=0.0, side=0.5),
        "upper": Occluder(look=2, edge=1.0, side=0.5),
    }
    free = {"lower": None, "upper": None}
    hidden, shown = (shot(people[0], SYSU[3], Only.SILHOUETTE, **each) for each in (front, free))
    assert (hidden == OUTLINE).sum() < (shown == OUTLINE).sum()


def test_a_cue_has_a_name_and_a_fingerprint_of_its_own(tiny_sets: dict[str, Path], tmp_path: Path) -> None:
    synthesize(tmp_path / "head", layout="regdb", preset="tiny", seed=0, only="head")
    stated = json.loads((tmp_path / "head" / "expected.json").read_text())
    assert stated["only"] == "head"
    assert stated["name"].endswith("-only-head")
    full = json.loads((tiny_sets["regdb"] / "expected.json").read_text())
    assert "only" not in full
    assert full["counts"] == stated["counts"]
    alone, whole = open_dataset("regdb", tmp_path / "head"), open_dataset("regdb", tiny_sets["regdb"])
    assert alone.fingerprint != whole.fingerprint
    with pytest.raises(UsageError, match="holds another set"):
        synthesize(tmp_path / "head", layout="regdb", preset="tiny", seed=0)
    with pytest.raises(UsageError, match="unknown cue 'heads'; did you mean 'head'"):
        synthesize(tmp_path / "new", layout="sysu", preset="tiny", seed=0, only="heads")


def test_times_of_writing_say_nothing_of_people(tiny_sets: dict[str, Path]) -> None:
    images = open_dataset("sysu", tiny_sets["sysu"]).images
    one = images[images["camera"] == 4]
    written = np.array([Path(path).stat().st_mtime_ns for path in one["path"]])
    assert abs(np.corrcoef(written.argsort().argsort(), one["identity"])[0, 1]) < 0.35
