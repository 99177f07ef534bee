"""What the surface of a person looks like before light falls on it: reflectance, gloss, folds, patterns, warmth."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vireid.data.synthetic.body import Carried, Form, Part, Solids
from vireid.data.synthetic.families import GLYPH, PROFILE, glyph, profile
from vireid.data.synthetic.garments import Garment, Ink
from vireid.data.synthetic.noise import TILE, folds
from vireid.data.synthetic.people import Person, Plain
from vireid.data.synthetic.render import Hits
from vireid.data.synthetic.spectrum import Spectrum

__all__ = ["Surface", "surface"]

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

GLOSS = {"cotton": 0.02, "polyester": 0.20, "denim": 0.01, "wool": 0.0, "nylon": 0.14, "leather": 0.55}
FOLD = {"cotton": 0.15, "polyester": 0.03, "denim": 0.05, "wool": 0.03, "nylon": 0.04, "leather": 0.10}

RELIEF = {"nylon": (0.11, 0.50, 0.0, 1.0), "wool": (0.07, 0.55, 1.0, 0.0), "denim": (0.06, 0.45, 0.7, 0.7)}
"""Ridges of a cloth: metres from one to the next, steepness, and direction (around, up)."""

FURROW = 0.20
"""By how much the middle between ridge and furrow is darker than the ridge."""


@dataclass(frozen=True)
class Surface:
    """Per visible point: colour (C, N) reflectance (3 channels, or 1 for infrared; warmth for thermal), gloss (N,),
    normal (3, N) with folds."""

    colour: Floats
    gloss: Floats
    normal: Floats


@dataclass(frozen=True)
class _Chart:
    """Cloth coordinates per point: turn (radians, 0 in front, positive to the person's left), metres around, metres
    up from the ground, and height on the trunk (0 hips, 1 shoulders)."""

    turn: Floats
    around: Floats
    up: Floats
    rise: Floats


def surface(hits: Hits, solids: Solids, person: Person, carried: Carried, spectrum: Spectrum, crumple: int) -> Surface:
    """Reflectance, gloss and folded normals of the visible points; `crumple` moves the folds."""
    chart = _chart(hits, solids)
    colour = _base(person, spectrum)[:, hits.part].copy()
    _weave(colour, hits, chart, person, spectrum)
    trunk = np.flatnonzero(hits.part == Part.UPPER)
    _prints(colour, trunk, chart, person, spectrum)
    _open_coat(colour, trunk, chart, person, carried, spectrum)
    if spectrum == Spectrum.VISIBLE:
        _face(colour, hits)
    gloss, depth = _finish(person)
    normal = _folded(hits, chart, depth[hits.part], crumple)
    _ridges(colour, normal, hits, chart, person)
    normal /= np.sqrt((normal * normal).sum(0))
    return Surface(colour, gloss[hits.part], normal)


def _chart(hits: Hits, solids: Solids) -> _Chart:
    form, _, a, b, radii, taper = solids.arrays()
    cone = form == Form.CONE
    low = a[:, 1].astype(np.float32)
    span = np.where(cone, b[:, 1] - a[:, 1], radii[:, 1]).astype(np.float32)
    girth = (radii[:, 0] * (1 + taper) / 2).astype(np.float32)
    turn = np.arctan2(hits.local[0], hits.local[2])
    up = low[hits.solid] + span[hits.solid] * hits.local[1]
    rise = (up - np.float32(solids.hips)) / np.float32(solids.trunk)
    return _Chart(turn, turn * girth[hits.solid], up, rise)


def _base(person: Person, spectrum: Spectrum) -> Floats:
    """(C, parts) value of every part without patterns."""
    upper, lower = person.upper, person.lower
    skin, hair, inner = person.skin, person.hair, person.inner
    owners: dict[Part, Plain | Garment] = {
        Part.SKIN: skin, Part.HEAD: skin, Part.HAIR: hair, Part.UPPER: upper, Part.SLEEVE: upper, Part.LOWER: lower,
        Part.SHOE: person.shoes, Part.BAG: person.bag, Part.HAT: person.hat, Part.HOOD: upper,
        Part.ARMBAND: person.armband, Part.STRAP: person.bag, Part.INNER: inner,
    }  # fmt: skip
    if spectrum == Spectrum.VISIBLE:
        return np.array([owners[part].colour for part in Part], dtype=np.float32).T
    if spectrum == Spectrum.NEAR:
        return np.array([[owners[part].tone for part in Part]], dtype=np.float32)
    return np.array([[owners[part].warmth for part in Part]], dtype=np.float32)


def _ink(ground: Garment, ink: Ink, spectrum: Spectrum) -> Floats | None:
    """(C, 1) value of an ink, or None where this light does not show it."""
    if spectrum == Spectrum.VISIBLE:
        return np.array(ink.colour, dtype=np.float32)[:, None]
    if spectrum == Spectrum.NEAR and ink.survives:
        return np.array([[ground.tone + ink.contrast]], dtype=np.float32)
    return None


def _blend(colour: Floats, points: NDArray[np.int64], mask: Floats, value: Floats) -> None:
    colour[:, points] += mask * (value - colour[:, points])


def _weave(colour: Floats, hits: Hits, chart: _Chart, person: Person, spectrum: Spectrum) -> None:
    code = person.code
    for pattern, garment, parts in (
        (code.upper_pattern, person.upper, (Part.UPPER, Part.SLEEVE)),
        (code.lower_pattern, person.lower, (Part.LOWER,)),
    ):
        value = _ink(garment, garment.weave, spectrum)
        if pattern == "plain" or value is None:
            continue
        points = np.flatnonzero(np.isin(hits.part, parts))
        _blend(colour, points, _pattern(pattern, garment.weave, chart, points), value)


def _pattern(pattern: str, ink: Ink, chart: _Chart, points: NDArray[np.int64]) -> Floats:
    around, up = chart.around[points], chart.up[points]
    if pattern == "band":
        low = 0.35 + 0.2 * (ink.variant % 100) / 100
        rise = chart.rise[points]
        return ((rise > low) & (rise < low + 0.28)).astype(np.float32)
    if pattern == "print":
        period, mask = ink.period * 1.3, glyph(ink.family, ink.variant)
        return mask[_cell(-up, period, GLYPH), _cell(around, period, GLYPH)]
    bars = profile(ink.family)
    if pattern == "check":
        return np.float32(0.5) * (bars[_cell(up, ink.period, PROFILE)] + bars[_cell(around, ink.period, PROFILE)])
    slope = ink.family % 3
    along = up if slope == 0 else around if slope == 1 else (up + around) * np.float32(0.7)
    return bars[_cell(along, ink.period, PROFILE)]


def _cell(metres: Floats, period: float, cells: int) -> NDArray[np.int64]:
    cell: NDArray[np.int64] = np.floor(metres * np.float32(cells / period)).astype(np.int64) % cells
    return cell


FRONT = {"logo": (0.30, 0.72, 0.17, 0.09), "print": (0.0, 0.55, 0.62, 0.25), "text": (0.0, 0.62, 0.80, 0.10)}
BACK = {"print": (0.0, 0.52, 0.70, 0.28), "number": (0.0, 0.55, 0.36, 0.28)}
"""Prints on the trunk: middle (turn, rise) and half-widths (turn, rise)."""


def _prints(colour: Floats, trunk: NDArray[np.int64], chart: _Chart, person: Person, spectrum: Spectrum) -> None:
    code, upper = person.code, person.upper
    turn, rise = chart.turn[trunk], chart.rise[trunk]
    behind = np.where(turn > 0, turn - np.float32(np.pi), turn + np.float32(np.pi))
    for kind, ink, angle, places in ((code.front, upper.front, turn, FRONT), (code.back, upper.back, behind, BACK)):
        value = _ink(upper, ink, spectrum)
        if kind == "plain" or value is None:
            continue
        if kind == "panel":
            mask = (np.abs(angle) < 0.55).astype(np.float32)
        elif kind == "yoke":
            mask = ((np.abs(angle) < 1.35) & (rise > 0.62)).astype(np.float32)
        else:
            mask = _stamp(ink, angle, rise, places[kind])
        _blend(colour, trunk, mask, value)


def _stamp(ink: Ink, angle: Floats, rise: Floats, place: tuple[float, float, float, float]) -> Floats:
    middle, level, wide, high = place
    p, q = (angle - np.float32(middle)) / np.float32(wide), (np.float32(level) - rise) / np.float32(high)
    inside = (np.abs(p) < 1) & (np.abs(q) < 1)
    column = np.clip((p + 1) * (GLYPH / 2), 0, GLYPH - 1).astype(np.int64)
    row = np.clip((q + 1) * (GLYPH / 2), 0, GLYPH - 1).astype(np.int64)
    stamped: Floats = glyph(ink.family, ink.variant)[row, column] * inside
    return stamped


def _open_coat(
    colour: Floats, trunk: NDArray[np.int64], chart: _Chart, person: Person, carried: Carried, spectrum: Spectrum
) -> None:
    if person.code.upper not in ("coat", "jacket", "vest"):
        return
    turn = np.abs(chart.turn[trunk])
    if carried.coat_open:
        below = person.lower if person.code.upper == "coat" else person.inner
        gap = np.float32(0.34) - np.float32(0.1) * chart.rise[trunk]
        for points, owner in (
            (trunk[(turn < gap) & (chart.rise[trunk] > 0)], person.inner),
            (trunk[(turn < gap) & (chart.rise[trunk] <= 0)], below),
        ):
            value = {Spectrum.VISIBLE: owner.colour, Spectrum.NEAR: (owner.tone,)}.get(spectrum, (owner.warmth,))
            colour[:, points] = np.array(value, dtype=np.float32)[:, None]
    else:
        seam = trunk[turn < 0.03]
        colour[:, seam] *= np.float32(0.72 if spectrum != Spectrum.THERMAL else 1.06)


def _face(colour: Floats, hits: Hits) -> None:
    x, y, z = hits.local
    head = (hits.part == Part.HEAD) & (z > 0.3)
    eyes = head & (np.abs(np.abs(x) - 0.38) < 0.17) & (np.abs(y - 0.08) < 0.09)
    mouth = head & (np.abs(x) < 0.26) & (np.abs(y + 0.48) < 0.06)
    colour[:, eyes] *= np.float32(0.62)
    colour[:, mouth] *= np.array([[0.8], [0.6], [0.6]], dtype=np.float32)


def _finish(person: Person) -> tuple[Floats, Floats]:
    """Gloss and fold depth by part."""
    gloss, depth = np.full(len(Part), 0.03, dtype=np.float32), np.full(len(Part), 0.04, dtype=np.float32)
    for garment, parts in ((person.upper, (Part.UPPER, Part.SLEEVE, Part.HOOD)), (person.lower, (Part.LOWER,))):
        gloss[list(parts)], depth[list(parts)] = GLOSS[garment.finish], FOLD[garment.finish]
    gloss[Part.HAIR], depth[Part.HAIR], depth[Part.BAG] = 0.1, 0.16, 0.03
    return gloss, depth


def _folded(hits: Hits, chart: _Chart, depth: Floats, crumple: int) -> Floats:
    """Normals tilted by creases."""
    across, along = folds()
    column = ((chart.around * np.float32(120)).astype(np.int64) + crumple) % TILE
    row = ((chart.up * np.float32(75)).astype(np.int64) + (crumple >> 7)) % TILE
    normal = hits.normal.copy()
    normal[0] += across[row, column] * depth
    normal[1] += along[row, column] * depth
    return normal


def _ridges(colour: Floats, normal: Floats, hits: Hits, chart: _Chart, person: Person) -> None:
    """The relief of a cloth: tilts normals, and darkens the furrows, which less light reaches whatever its colour."""
    for garment, parts in ((person.upper, (Part.UPPER, Part.SLEEVE)), (person.lower, (Part.LOWER,))):
        if garment.finish not in RELIEF:
            continue
        period, steep, around, up = RELIEF[garment.finish]
        worn = np.flatnonzero(np.isin(hits.part, parts))
        phase = (chart.around[worn] * np.float32(around) + chart.up[worn] * np.float32(up)) * np.float32(
            2 * np.pi / period
        )
        ridge = np.sin(phase) * np.float32(steep)
        normal[0, worn] += ridge * np.float32(around)
        normal[1, worn] += ridge * np.float32(up)
        colour[:, worn] *= np.float32(1 - FURROW) + np.float32(FURROW) * np.cos(phase)
