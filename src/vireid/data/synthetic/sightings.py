"""How one person comes to be seen by one camera: the walk, the light, and every picture of it.

Streams here are numbered by the person's place in the list, never by what was drawn for the person.
"""

from dataclasses import dataclass

import numpy as np

from vireid.data.synthetic.body import Carried, Pose
from vireid.data.synthetic.cameras import Camera
from vireid.data.synthetic.knockouts import Knockouts
from vireid.data.synthetic.seeds import Purpose, stream
from vireid.types import Modality

__all__ = ["Frame", "Occluder", "Walk", "draw_frame", "draw_walk"]

CARRIED_CHANGE = (0.05, 0.05, 0.03)
"""Chances that, in a sighting, the coat is open, the hood up, the bag on the other side; at most one of them."""

LOWER_OCCLUDED, UPPER_OCCLUDED = 0.30, 0.08
WAY = 12.0
"""Frames after which a walk has turned and moved on most of what it ever will."""
SHIFT_SPREAD = 0.063
"""Standard deviation of a box's vertical shift, as a share of the crop's height."""


@dataclass(frozen=True, kw_only=True)
class Walk:
    """One person's passage through one place. Cameras that share the place see the same walk."""

    heading: float
    drift: float
    phase: float
    step: float
    stride: float
    arm_swing: float
    elbow: float
    lean: float
    patch: tuple[float, float]
    """Where in the place: shares of the panorama's width and of its vertical play."""
    pace: float
    carried: Carried
    barrier: int
    """Number that decides what stands in front, if anything does."""


@dataclass(frozen=True, kw_only=True)
class Occluder:
    """Something before the person. `edge` is the crop's share that stays free, from the top (lower) or bottom."""

    look: int
    edge: float
    side: float


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One picture of a sighting."""

    heading: float
    pose: Pose
    carried: Carried
    shift: tuple[float, float]
    """Displacement of the box against the person: shares of the crop's width and height."""
    zoom: float
    patch: tuple[float, float]
    exposure: float
    lamp_turn: float
    crumple: int
    lower: Occluder | None
    upper: Occluder | None
    grain: int
    """Key of the sensor noise."""


def draw_walk(seed: int, camera: Camera, person: int) -> Walk:
    """The walk of a person (a number) through the camera's place."""
    rng = stream(seed, Purpose.PATH, camera.mount.place, person)
    weights = np.array([weight for weight, _, _ in camera.headings])
    _, mean, spread = camera.headings[int(rng.choice(len(weights), p=weights / weights.sum()))]
    change = int(np.searchsorted(np.cumsum(CARRIED_CHANGE), rng.random()))
    return Walk(
        heading=mean + float(rng.normal(0, spread)),
        drift=float(rng.normal(0, 0.15)),
        phase=float(rng.uniform(0, 2 * np.pi)),
        step=float(rng.uniform(0.7, 1.3)),
        stride=float(rng.uniform(0.2, 0.48)),
        arm_swing=float(rng.uniform(0.1, 0.5)),
        elbow=float(rng.uniform(0.1, 0.5)),
        lean=float(rng.normal(0.04, 0.03)),
        patch=(float(rng.random()), float(rng.random())),
        pace=float(rng.normal(0, 0.01)),
        carried=Carried(coat_open=change == 0, hood_up=change == 1, bag_swapped=change == 2),
        barrier=int(rng.integers(1 << 30)),
    )


def draw_frame(seed: int, camera: Camera, person: int, frame: int, *, knockouts: Knockouts) -> Frame:
    """Picture number `frame` of a person before a camera."""
    walk = draw_walk(seed, camera, person)
    visible = int(camera.mount.modality is Modality.VISIBLE)
    light = stream(seed, Purpose.SIGHTING, camera.mount.number, visible, person)
    exposure, lamp_turn = float(light.normal(0, 0.07)), float(light.normal(0, 0.35))
    rng = stream(seed, Purpose.FRAME, camera.mount.number, visible, person, frame)
    still = knockouts.same_yaw_no_twins
    time = frame + float(rng.normal(0, 0.15))
    # Long sightings bend and drift no further than short ones: people leave, they do not circle.
    way = WAY * float(np.tanh(time / WAY))
    wobble = float(rng.normal(0, 0.08))
    pose = Pose(
        phase=walk.phase + walk.step * time,
        stride=walk.stride * float(rng.uniform(0.9, 1.1)),
        arm_swing=walk.arm_swing * float(rng.uniform(0.85, 1.15)),
        elbow=walk.elbow + float(rng.normal(0, 0.04)),
        lean=walk.lean + float(rng.normal(0, 0.01)),
        head_turn=float(rng.normal(0, 0.25)),
    )
    shift, zoom, lower, upper = _box(rng, walk, knockouts)
    return Frame(
        heading=walk.heading + (0.0 if still else walk.drift * way / 5) + wobble,
        pose=pose,
        carried=walk.carried,
        shift=shift,
        zoom=zoom,
        patch=(walk.patch[0] + walk.pace * way, walk.patch[1]),
        exposure=float(np.exp(exposure + rng.normal(0, 0.03))),
        lamp_turn=lamp_turn,
        crumple=int(rng.integers(1 << 20)),
        lower=lower,
        upper=upper,
        grain=int(rng.integers(1 << 62)),
    )


def _box(
    rng: np.random.Generator, walk: Walk, knockouts: Knockouts
) -> tuple[tuple[float, float], float, Occluder | None, Occluder | None]:
    draws = rng.normal(size=3)
    chance = rng.random(2)
    edges = rng.random(4)
    if knockouts.perfect_boxes:
        return (0.0, 0.0), 1.0, None, None
    shift = (float(np.clip(draws[0], -2.2, 2.2)) * 0.05, float(np.clip(draws[1], -2.4, 2.4)) * SHIFT_SPREAD)
    zoom = float(np.exp(0.05 * draws[2]))
    lower = Occluder(look=walk.barrier, edge=0.62 + 0.28 * float(edges[0]), side=float(edges[1]))
    upper = Occluder(look=walk.barrier // 7, edge=0.16 + 0.22 * float(edges[2]), side=float(edges[3]))
    return (
        shift,
        zoom,
        lower if chance[0] < LOWER_OCCLUDED else None,
        upper if chance[1] < UPPER_OCCLUDED else None,
    )
