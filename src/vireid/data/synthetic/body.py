"""From a person and a pose to solids: a walking skeleton dressed in cones, balls and boxes.

Body coordinates in metres: x to the person's left, y up from the ground, z forward. A person whose heading is 0 looks
into the camera.
"""

from dataclasses import dataclass, field, replace
from enum import IntEnum
from math import cos, pi, sin

import numpy as np
from numpy.typing import NDArray

from vireid.data.synthetic.people import Person

__all__ = ["HOODED", "STATURE", "Carried", "Form", "Part", "Pose", "Solids", "build"]

STATURE = 1.72
HOODED = ("coat", "jacket", "hoodie")
"""Garments with a hood."""
Point = tuple[float, float, float]


class Part(IntEnum):
    """What a solid is, for colour and pattern."""

    SKIN = 0
    HEAD = 1
    HAIR = 2
    UPPER = 3
    SLEEVE = 4
    LOWER = 5
    SHOE = 6
    BAG = 7
    HAT = 8
    HOOD = 9
    ARMBAND = 10
    STRAP = 11
    INNER = 12


class Form(IntEnum):
    BALL = 0
    CONE = 1
    BOX = 2


@dataclass(frozen=True, kw_only=True)
class Carried:
    """What changes from sighting to sighting without changing the person."""

    coat_open: bool = False
    hood_up: bool = False
    bag_swapped: bool = False


@dataclass(frozen=True, kw_only=True)
class Pose:
    """One moment of a walk. `phase` runs 0 to 2 pi per two steps; angles in radians."""

    phase: float
    stride: float
    arm_swing: float
    elbow: float
    lean: float
    head_turn: float


@dataclass
class Solids:
    """Forms as rows: `a` is a centre or a cone's first end, `b` a cone's second end.

    radii: a ball's or box's half-axes; of a cone, (side, unused, front) at `a`. taper: radius at `b` over that at `a`.
    hips and trunk: height of the hips and length from there to the shoulders in metres, for placing prints.
    """

    hips: float = 0.0
    trunk: float = 1.0
    form: list[int] = field(default_factory=list)
    part: list[int] = field(default_factory=list)
    a: list[Point] = field(default_factory=list)
    b: list[Point] = field(default_factory=list)
    radii: list[Point] = field(default_factory=list)
    taper: list[float] = field(default_factory=list)

    def add(self, form: Form, part: Part, a: Point, b: Point, radii: Point, taper: float) -> None:
        self.form.append(int(form))
        self.part.append(int(part))
        self.a.append(a)
        self.b.append(b)
        self.radii.append(radii)
        self.taper.append(taper)

    def ball(self, part: Part, centre: Point, radii: Point | float) -> None:
        half = (radii, radii, radii) if isinstance(radii, float) else radii
        self.add(Form.BALL, part, centre, centre, half, 1.0)

    def box(self, part: Part, centre: Point, half: Point) -> None:
        self.add(Form.BOX, part, centre, centre, half, 1.0)

    def cone(self, part: Part, a: Point, b: Point, first: float, last: float, *, flat: float = 1.0) -> None:
        """A cone from `a` to `b` with side radii `first` and `last`; `flat` is the front radius over the side one."""
        self.add(Form.CONE, part, a, b, (first, 1.0, first * flat), last / first)

    def arrays(self) -> tuple[NDArray[np.float64], ...]:
        """(form, part, a, b, radii, taper) as arrays."""
        return (
            np.array(self.form),
            np.array(self.part),
            np.array(self.a),
            np.array(self.b),
            np.array(self.radii),
            np.array(self.taper),
        )


def build(person: Person, pose: Pose, carried: Carried) -> Solids:
    """The person's solids in body coordinates."""
    figure = _Figure(person, pose, carried)
    figure.legs()
    figure.torso()
    figure.arms()
    figure.head()
    figure.bag()
    return figure.solids


class _Figure:
    """The landmarks of one body in one pose, and the solids built on them so far."""

    def __init__(self, person: Person, pose: Pose, carried: Carried) -> None:
        shape = person.shape
        hooded = carried.hood_up and person.code.upper in HOODED
        self.person, self.pose, self.carried, self.code = person, pose, replace(carried, hood_up=hooded), person.code
        self.solids = Solids()
        self.h = STATURE * shape.height
        self.girth = shape.girth
        self.hip_y = 0.53 * self.h * shape.legs
        bounce = 0.012 * self.h * abs(sin(pose.phase)) - 0.006 * self.h
        self.hip_y += bounce
        self.trunk = 0.295 * self.h
        self.lean = pose.lean
        self.shoulder_w = 0.112 * self.h * shape.shoulders
        self.hip_w = 0.088 * self.h * shape.hips
        self.hands: list[Point] = []
        self.solids.hips, self.solids.trunk = self.hip_y, self.trunk

    def spine(self, share: float, *, x: float = 0.0, z: float = 0.0) -> Point:
        """A point of the trunk, `share` of the way from hips to shoulders."""
        up = share * self.trunk
        return (x, self.hip_y + up * cos(self.lean), z + up * sin(self.lean))

    def legs(self) -> None:
        add, code, g = self.solids, self.code, self.girth
        thigh, shin = self.hip_y * 0.47, self.hip_y * 0.47
        wide = {"trousers": 1.26, "slim": 0.84, "skirt": 0.92, "shorts": 1.26}[code.lower]
        for side in (-1, 1):
            phase = self.pose.phase + (0 if side > 0 else pi)
            swing = self.pose.stride * sin(phase) + 0.05
            bend = self.pose.stride * (0.25 + 1.15 * max(0.0, cos(phase)))
            hip = (side * self.hip_w * 0.56, self.hip_y, 0.0)
            knee = _below(hip, thigh, swing)
            ankle = _below(knee, shin, swing - bend)
            bare = Part.SKIN if code.lower in ("skirt", "shorts") else Part.LOWER
            thick, calf = 0.05 * self.h * g, 0.026 * self.h * g
            if code.lower == "shorts":
                add.cone(Part.LOWER, hip, _toward(hip, knee, 0.9), thick * wide, thick * wide * 0.95)
            upper_leg = Part.SKIN if code.lower == "skirt" else Part.LOWER
            if code.lower != "shorts":
                add.cone(upper_leg, hip, knee, thick * min(wide, 1.06), 0.036 * self.h * g * wide)
            else:
                add.cone(Part.SKIN, _toward(hip, knee, 0.5), knee, thick * 0.85, 0.033 * self.h * g)
            add.ball(bare, knee, 0.0355 * self.h * g * (wide if bare == Part.LOWER else 0.92))
            ends = calf * (wide if bare == Part.LOWER else 0.85)
            add.cone(bare, knee, ankle, 0.036 * self.h * g * (wide if bare == Part.LOWER else 0.92), ends)
            if code.shoes == "boots":
                add.cone(Part.SHOE, _toward(ankle, knee, 0.6), ankle, calf * 1.45, calf * 1.3)
            toe = (swing - bend) * 0.5
            centre = (ankle[0] + side * 0.008, ankle[1] - 0.018 * self.h, ankle[2] + 0.034 * self.h)
            add.ball(Part.SHOE, centre, (0.030 * self.h, 0.028 * self.h, (0.078 - 0.02 * abs(toe)) * self.h))

    def torso(self) -> None:
        add, code, h, g = self.solids, self.code, self.h, self.girth
        loose = {"coat": 1.12, "jacket": 1.10, "hoodie": 1.06, "shirt": 0.98, "vest": 1.12}[code.upper]
        chest, waist, hips = self.shoulder_w * 0.84 * loose, self.hip_w * 0.92 * loose * g, self.hip_w * 1.04 * loose
        flat = 0.72
        add.ball(Part.LOWER, self.spine(0.01), (self.hip_w * 0.94, 0.055 * h, self.hip_w * 0.64))
        add.cone(Part.UPPER, self.spine(0.74), self.spine(0.36), chest, waist, flat=flat)
        add.cone(Part.UPPER, self.spine(0.365), self.spine(-0.06), waist, hips, flat=flat * 1.03)
        add.ball(Part.UPPER, self.spine(0.74), (chest * 1.01, 0.068 * h, chest * flat * 1.01))
        add.ball(Part.UPPER, self.spine(0.90), (self.shoulder_w * 0.86, 0.030 * h, 0.048 * h))
        add.cone(Part.UPPER, self.spine(1.10), self.spine(0.88), 0.036 * h, 0.074 * h, flat=0.9)
        if code.upper == "coat":
            low = (0.0, self.hip_y - 0.2 * h, 0.0)
            flare = 1.06 + 0.45 * self.pose.stride * abs(sin(self.pose.phase))
            add.cone(Part.UPPER, self.spine(-0.05), low, hips, hips * flare, flat=0.86)
        elif code.upper == "hoodie":
            add.ball(Part.UPPER, self.spine(-0.02), (hips * 1.04, 0.02 * h, hips * flat * 1.08))
        if code.lower == "skirt":
            low = (0.0, self.hip_y - 0.235 * h, 0.0)
            add.cone(Part.LOWER, self.spine(0.05), low, self.hip_w * 1.03, self.hip_w * 1.42, flat=0.9)
        if code.upper == "hoodie" and not self.carried.hood_up:
            add.ball(Part.HOOD, self.spine(1.0, z=-0.035 * h), (0.055 * h, 0.03 * h, 0.035 * h))
        add.cone(Part.SKIN, self.spine(0.98), self.spine(1.22, z=0.008 * h), 0.034 * h * g, 0.031 * h * g)

    def arms(self) -> None:
        add, code, h, g = self.solids, self.code, self.h, self.girth
        loose = {"coat": 1.18, "jacket": 1.18, "hoodie": 1.12, "shirt": 1.0, "vest": 1.0}[code.upper]
        cloth = Part.INNER if code.upper == "vest" else Part.SLEEVE
        for side in (-1, 1):
            swing = self.pose.arm_swing * sin(self.pose.phase + (pi if side > 0 else 0))
            bend = self.pose.elbow + 0.35 * max(0.0, swing)
            shoulder = self.spine(0.85, x=side * self.shoulder_w * 0.93)
            elbow = _below(shoulder, 0.172 * h, swing - 0.08, out=side * 0.1)
            hand = _below(elbow, 0.15 * h, swing - 0.08 + bend, out=side * 0.03)
            thick, wrist = 0.031 * h * g, 0.0185 * h * g
            add.ball(cloth, shoulder, 0.033 * h * g * (0.6 + 0.4 * loose))
            long_upper = code.sleeves != "short"
            cut = elbow if long_upper else _toward(shoulder, elbow, 0.62)
            add.cone(cloth, shoulder, cut, thick * 1.1 * loose, thick * 0.95 * loose)
            if not long_upper:
                add.cone(Part.SKIN, _toward(shoulder, elbow, 0.4), elbow, thick * 0.9, thick * 0.78)
            fore = cloth if code.sleeves == "long" else Part.SKIN
            add.ball(cloth if long_upper else Part.SKIN, elbow, thick * (0.95 * loose if long_upper else 0.8))
            add.cone(fore, elbow, hand, thick * (0.93 * loose if fore == cloth else 0.78), wrist * (loose * 1.15))
            add.ball(Part.SKIN, _below(hand, 0.028 * h, swing + bend * 0.5), (0.018 * h, 0.032 * h, 0.021 * h))
            self.hands.append(_below(hand, 0.045 * h, 0.0))
            if code.armband == ("left" if side > 0 else "right"):
                ends = _toward(shoulder, elbow, 0.35), _toward(shoulder, elbow, 0.66)
                add.cone(Part.ARMBAND, *ends, thick * 1.12 * loose + 0.006, thick * 1.05 * loose + 0.006)

    def head(self) -> None:
        add, code = self.solids, self.code
        r = 0.060 * self.h * self.person.shape.head
        x, y, z = self.spine(1.37, z=0.012 * self.h)
        turn = self.pose.head_turn
        ahead, across = cos(turn), sin(turn)
        add.ball(Part.HEAD, (x, y, z), (r * 0.86, r * 1.18, r * 1.0))
        back = (x - across * r * 0.28, y + r * 0.22, z - ahead * r * 0.28)
        if code.hair != "bald" and not self.carried.hood_up:
            add.ball(Part.HAIR, back, (r * 0.98, r * 1.08, r * 0.98))
        if code.hair == "long" and not self.carried.hood_up:
            low = (x - across * r * 0.6, y - r * 2.0, z - ahead * r * 0.6)
            add.cone(Part.HAIR, (back[0], y + r * 0.2, back[2]), low, r * 0.98, r * 0.8, flat=0.7)
            add.ball(Part.HAIR, low, (r * 0.8, r * 0.4, r * 0.55))
        if code.hair == "bun":
            add.ball(Part.HAIR, (x - across * r * 1.1, y + r * 0.75, z - ahead * r * 1.1), r * 0.48)
        if self.carried.hood_up:
            add.ball(Part.HOOD, (back[0], back[1], back[2] - r * 0.1), (r * 1.16, r * 1.28, r * 1.12))
        elif code.hat == "cap":
            add.ball(Part.HAT, (x - across * r * 0.05, y + r * 0.62, z - ahead * r * 0.05), (r, r * 0.72, r * 1.12))
            add.ball(Part.HAT, (x + across * r * 1.1, y + r * 0.62, z + ahead * r * 1.1), (r * 0.7, r * 0.12, r * 0.7))
        elif code.hat == "beanie":
            add.ball(
                Part.HAT, (x - across * r * 0.08, y + r * 0.6, z - ahead * r * 0.08), (r * 1.06, r * 0.95, r * 1.1)
            )

    def bag(self) -> None:
        add, h, kind = self.solids, self.h, self.code.bag
        if kind == "none":
            return
        if kind == "backpack":
            depth = self.shoulder_w * 0.66
            add.box(Part.BAG, self.spine(0.52, z=-depth - 0.045 * h), (0.078 * h, 0.105 * h, 0.045 * h))
            add.ball(Part.BAG, self.spine(0.88, z=-depth - 0.04 * h), (0.076 * h, 0.035 * h, 0.043 * h))
            return
        side = 1 if kind.endswith("left") else -1
        side = -side if self.carried.bag_swapped else side
        if kind.startswith("shoulder"):
            x = side * (self.hip_w * 1.2 + 0.03 * h)
            add.box(Part.BAG, self.spine(-0.08, x=x, z=-0.02 * h), (0.028 * h, 0.07 * h, 0.085 * h))
            top = self.spine(0.98, x=side * self.shoulder_w * 0.72)
            add.cone(Part.STRAP, top, self.spine(0.1, x=x), 0.010 * h, 0.010 * h, flat=3.0)
        else:
            x, y, z = self.hands[0 if side < 0 else 1]
            add.box(Part.BAG, (x, y - 0.095 * h, z), (0.026 * h, 0.072 * h, 0.095 * h))


def _below(start: Point, length: float, angle: float, *, out: float = 0.0) -> Point:
    """End of a limb that hangs from `start`, swung forward by `angle` and sideways by `out`."""
    return (
        start[0] + length * sin(out),
        start[1] - length * cos(angle) * cos(out),
        start[2] + length * sin(angle) * cos(out),
    )


def _toward(a: Point, b: Point, share: float) -> Point:
    return (a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share, a[2] + (b[2] - a[2]) * share)
