"""The ray caster: solids to depth, normals and surface coordinates, under parallel rays.

Perspective is applied to the solids' ends before casting (nearer ends grow), so that all rays of a picture share one
direction and every form is one quadratic over its own rectangle of pixels.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vireid.data.synthetic.body import Form, Solids

__all__ = ["Hits", "Viewpoint", "cast"]

Floats = NDArray[np.float32]
FAR = np.float32(-np.inf)


@dataclass(frozen=True, kw_only=True)
class Viewpoint:
    """Where the camera stands: heading of the person towards it, its downward tilt (radians), distance in metres.

    scale: pixels per metre at the person; (column, row): pixel of the ground point under the person.
    """

    heading: float
    tilt: float
    distance: float
    scale: float
    column: float
    row: float


@dataclass(frozen=True, kw_only=True)
class Hits:
    """Visible surface points, N of them, as flat arrays.

    pixel: (N,) flat index into the picture. solid: (N,) row of `Solids`. part: (N,). normal: (3, N) in camera
    coordinates (x right, y up, z towards the viewer). local: (3, N) coordinates on the form: on the unit ball, in the
    box [-1, 1], or on the cone (side, 0 to 1 from end to end, front).
    """

    pixel: NDArray[np.int64]
    solid: NDArray[np.int64]
    part: NDArray[np.int64]
    normal: Floats
    local: Floats
    height: int
    width: int


def cast(solids: Solids, view: Viewpoint, height: int, width: int) -> Hits:
    """What a camera sees of the solids on a grid of `height` x `width` pixels."""
    form, part, a, b, radii, taper = solids.arrays()
    centre, frame, taper = _to_screen(form, a, b, radii, taper, view)
    inverse = np.linalg.inv(frame).astype(np.float32)
    boxes = _bounds(form, centre, frame, taper, height, width)
    depth = np.full((height, width), FAR, dtype=np.float32)
    owner = np.full((height, width), -1, dtype=np.int16)
    rows = np.arange(height, dtype=np.float32)
    columns = np.arange(width, dtype=np.float32)
    for index in range(len(form)):
        top, bottom, left, right = boxes[index]
        if top >= bottom or left >= right:
            continue
        x = columns[left:right] - np.float32(centre[index, 0])
        y = np.float32(centre[index, 1]) - rows[top:bottom, None]
        found = _meet(int(form[index]), inverse[index], np.float32(taper[index] - 1), x, y)
        found += np.float32(centre[index, 2])
        window = depth[top:bottom, left:right]
        nearer = found > window
        np.copyto(window, found, where=nearer)
        np.copyto(owner[top:bottom, left:right], np.int16(index), where=nearer)
    return _surface(form, part, centre, inverse, taper, depth, owner)


def _to_screen(
    form: NDArray[np.float64],
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    radii: NDArray[np.float64],
    taper: NDArray[np.float64],
    view: Viewpoint,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Centres (x right, y down, z near; pixels), frames (columns are half-axes; y up) and tapers on the screen."""
    turn = _rotation(view)
    start, end = a @ turn.T, b @ turn.T
    grow_a = view.distance / (view.distance - start[:, 2]) * view.scale
    grow_b = view.distance / (view.distance - end[:, 2]) * view.scale
    start = start * np.stack([grow_a, grow_a, np.full(len(a), view.scale)], 1)
    end = end * np.stack([grow_b, grow_b, np.full(len(a), view.scale)], 1)
    frame = np.einsum("ij,nj->nij", turn, radii) * grow_a[:, None, None]
    cone = form == Form.CONE
    axis = (end - start)[cone]
    along = axis / np.maximum(np.linalg.norm(axis, axis=1, keepdims=True), 1e-6)
    front = turn[:, 2] - along * (along @ turn[:, 2])[:, None]
    front /= np.maximum(np.linalg.norm(front, axis=1, keepdims=True), 1e-6)
    side = np.cross(along, front)
    grown = grow_a[cone, None]
    # A limb's axis points down: side is turned round so that the local x stays the person's left.
    frame[cone] = np.stack([-side * radii[cone, :1] * grown, axis, front * radii[cone, 2:] * grown], axis=2)
    centre = np.stack([view.column + start[:, 0], view.row - start[:, 1], start[:, 2]], 1)
    return centre, frame, np.where(cone, taper * grow_b / grow_a, 1.0)


def _rotation(view: Viewpoint) -> NDArray[np.float64]:
    c, s = np.cos(view.heading), np.sin(view.heading)
    heading = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    c, s = np.cos(view.tilt), np.sin(view.tilt)
    tilt = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    turn: NDArray[np.float64] = tilt @ heading
    return turn


def _bounds(
    form: NDArray[np.float64],
    centre: NDArray[np.float64],
    frame: NDArray[np.float64],
    taper: NDArray[np.float64],
    height: int,
    width: int,
) -> NDArray[np.int64]:
    """(n, 4) top, bottom, left, right pixel limits of every form."""
    across = frame[:, :2, :]
    cone, box = (form == Form.CONE)[:, None], (form == Form.BOX)[:, None]
    disc = np.hypot(across[:, :, 0], across[:, :, 2])
    reach = np.where(box, np.abs(across).sum(2), np.sqrt((across**2).sum(2)))
    low = np.where(cone, np.minimum(-disc, across[:, :, 1] - disc * taper[:, None]), -reach)
    high = np.where(cone, np.maximum(disc, across[:, :, 1] + disc * taper[:, None]), reach)
    limits = np.stack(
        [
            np.floor(centre[:, 1] - high[:, 1]),
            np.ceil(centre[:, 1] - low[:, 1]) + 1,
            np.floor(centre[:, 0] + low[:, 0]),
            np.ceil(centre[:, 0] + high[:, 0]) + 1,
        ],
        axis=1,
    )
    inside: NDArray[np.int64] = np.clip(limits, 0, [height, height, width, width]).astype(np.int64)
    return inside


def _meet(form: int, inverse: Floats, slope: np.float32, x: Floats, y: Floats) -> Floats:
    """Depth of the nearest meeting point over a rectangle, relative to the form's centre; FAR where there is none."""
    ox = inverse[0, 0] * x + inverse[0, 1] * y
    oy = inverse[1, 0] * x + inverse[1, 1] * y
    oz = inverse[2, 0] * x + inverse[2, 1] * y
    dx, dy, dz = inverse[:, 2]
    if form == Form.BOX:
        return _meet_box((ox, oy, oz), (dx, dy, dz))
    if form == Form.BALL:
        square = dx * dx + dy * dy + dz * dz
        middle = ox * dx + oy * dy + oz * dz
        rest = ox * ox + oy * oy + oz * oz - 1
        disc = middle * middle - square * rest
        ball: Floats = (np.sqrt(np.maximum(disc, 0)) - middle) / square
        ball[disc < 0] = FAR
        return ball
    radius = 1 + slope * oy
    square = dx * dx + dz * dz - slope * slope * dy * dy
    if square < 1e-9:
        return np.full(ox.shape, FAR, dtype=np.float32)
    middle = ox * dx + oz * dz - slope * dy * radius
    disc = middle * middle - square * (ox * ox + oz * oz - radius * radius)
    root: Floats = (np.sqrt(np.maximum(disc, 0)) - middle) / square
    along = oy + dy * root
    root[(disc < 0) | (along < 0) | (along > 1)] = FAR
    return root


def _meet_box(origin: tuple[Floats, Floats, Floats], direction: tuple[float, float, float]) -> Floats:
    enter, leave = [], []
    for o, d in zip(origin, direction, strict=True):
        step = d if abs(d) > 1e-9 else 1e-9
        first, last = (-1 - o) / step, (1 - o) / step
        leave.append(np.minimum(first, last))
        enter.append(np.maximum(first, last))
    near: Floats = np.minimum(np.minimum(enter[0], enter[1]), enter[2]).astype(np.float32)
    near[near < np.maximum(np.maximum(leave[0], leave[1]), leave[2])] = FAR
    return near


def _surface(
    form: NDArray[np.float64],
    part: NDArray[np.float64],
    centre: NDArray[np.float64],
    inverse: Floats,
    taper: NDArray[np.float64],
    depth: Floats,
    owner: NDArray[np.int16],
) -> Hits:
    height, width = depth.shape
    pixel = np.flatnonzero(owner.ravel() >= 0)
    solid = owner.ravel()[pixel].astype(np.int64)
    row, column = np.divmod(pixel, width)
    middle = centre.astype(np.float32)
    x = column.astype(np.float32) - middle[solid, 0]
    y = middle[solid, 1] - row.astype(np.float32)
    z = depth.ravel()[pixel] - middle[solid, 2]
    m = inverse.reshape(-1, 9).T[:, solid]
    local = np.stack([m[3 * i] * x + m[3 * i + 1] * y + m[3 * i + 2] * z for i in range(3)])
    slope = (taper.astype(np.float32) - 1)[solid]
    kind = form[solid]
    gradient = local.copy()
    cone = kind == Form.CONE
    gradient[1] = np.where(cone, -slope * (1 + slope * local[1]), local[1])
    box = np.flatnonzero(kind == Form.BOX)
    if len(box):
        face = np.abs(local[:, box])
        gradient[:, box] = np.where(face == face.max(0), local[:, box], 0)
    normal = np.stack([m[i] * gradient[0] + m[3 + i] * gradient[1] + m[6 + i] * gradient[2] for i in range(3)])
    normal /= np.maximum(np.sqrt((normal * normal).sum(0)), 1e-9)
    return Hits(
        pixel=pixel,
        solid=solid,
        part=part[solid].astype(np.int64),
        normal=normal.astype(np.float32),
        local=local.astype(np.float32),
        height=height,
        width=width,
    )
