"""One picture from start to end: body, rays, surface, light, background, sensor."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from vireid.data.synthetic.appearance import Surface, surface
from vireid.data.synthetic.backgrounds import LENGTH, PLAY, panorama
from vireid.data.synthetic.body import STATURE, build
from vireid.data.synthetic.cameras import Camera, Sensor
from vireid.data.synthetic.cues import Only, isolated, shown
from vireid.data.synthetic.occluders import occlude
from vireid.data.synthetic.people import Person
from vireid.data.synthetic.render import Hits, Viewpoint, cast
from vireid.data.synthetic.sightings import Frame
from vireid.data.synthetic.spectrum import Spectrum

__all__ = ["FEET", "FILL", "take"]

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

SAMPLES = 2
"""Rays per pixel and axis."""
FILL = 0.88
"""Share of the crop's height that the person takes when the box sits right."""
FEET = 0.955
"""Where the ground point under the person is then, as a share of the crop's height."""


def take(
    person: Person, camera: Camera, frame: Frame, *, seed: int, size: tuple[int, int], only: Only | None = None
) -> Bytes:
    """(H, W, 3) picture of a person, or `only` one cue of it; infrared pictures hold three equal channels."""
    height, width = size
    spectrum = camera.mount.spectrum
    solids = build(person, frame.pose, frame.carried)
    view = _viewpoint(person, camera, frame, size)
    hits = cast(solids, view, height * SAMPLES, width * SAMPLES)
    hits = hits if only is None else shown(hits, only)
    skin = surface(hits, solids, person, frame.carried, spectrum, frame.crumple)
    lit, cover = _light(hits, skin, camera.sensor, frame, spectrum)
    picture = _place(camera, frame, seed, size)
    if only is Only.HEAD:
        picture[:] = 0.5  # the place must not shine through at the head's rim
    if camera.sensor.shadow > 0 or spectrum == Spectrum.VISIBLE:
        picture *= _shadow(cover, camera.sensor, frame)[:, :, None]
    if spectrum == Spectrum.NEAR:
        picture *= np.float32(0.62)
    picture *= (1 - cover)[:, :, None]
    picture += lit
    occlude(picture, frame, spectrum)
    developed = _develop(picture, camera.sensor, frame)
    return developed if only is None else isolated(developed, cover, frame, spectrum, only)


def _viewpoint(person: Person, camera: Camera, frame: Frame, size: tuple[int, int]) -> Viewpoint:
    height, width = size[0] * SAMPLES, size[1] * SAMPLES
    stature = STATURE * person.shape.height * 1.01
    return Viewpoint(
        heading=frame.heading,
        tilt=camera.tilt,
        distance=camera.distance,
        scale=FILL * height * frame.zoom / (stature * np.cos(camera.tilt) * (1 + stature / 2 / camera.distance * 0.2)),
        column=width * (0.5 + frame.shift[0]),
        row=height * (FEET + frame.shift[1]),
    )


def _light(hits: Hits, skin: Surface, sensor: Sensor, frame: Frame, spectrum: Spectrum) -> tuple[Floats, Floats]:
    """The lit person at final size, (H, W, C), already weighted by (H, W) coverage."""
    lamp = _turned(sensor.lamp, frame.lamp_turn)
    toward = _along(skin.normal, lamp)
    shade = sensor.ambient * (np.float32(0.72) + np.float32(0.28) * skin.normal[1])
    shade += sensor.lamp_strength * np.maximum(toward, 0)
    if spectrum == Spectrum.THERMAL:
        shade = sensor.ambient + sensor.lamp_strength * skin.normal[2] + 0.06 * (skin.normal[1] - skin.normal[0])
    colour = skin.colour * shade
    if spectrum != Spectrum.THERMAL:
        half = lamp + np.array([0, 0, 1], dtype=np.float32)
        half /= np.linalg.norm(half)
        shine = np.maximum(_along(skin.normal, half), 0) ** 24
        colour += skin.gloss * shine * np.float32(0.8 if spectrum == Spectrum.VISIBLE else 0.35)
    channels = len(colour)
    plane = np.zeros((channels + 1, hits.height * hits.width), dtype=np.float32)
    plane[:channels, hits.pixel] = colour
    plane[channels, hits.pixel] = 1
    small = _averaged(plane.reshape(channels + 1, hits.height, hits.width))
    return np.ascontiguousarray(small[:channels].transpose(1, 2, 0)), small[channels]


def _along(normal: Floats, direction: Floats) -> Floats:
    # Written out: a product by a threaded library may round differently from one number of threads to another.
    cosine: Floats = normal[0] * direction[0] + normal[1] * direction[1] + normal[2] * direction[2]
    return cosine


def _averaged(plane: Floats) -> Floats:
    # Strided sums: several times faster here than a mean over two axes.
    rows = plane[:, ::SAMPLES].copy()
    for start in range(1, SAMPLES):
        rows += plane[:, start::SAMPLES]
    cells: Floats = rows[:, :, ::SAMPLES].copy()
    for start in range(1, SAMPLES):
        cells += rows[:, :, start::SAMPLES]
    return cells * np.float32(1 / SAMPLES**2)


def _turned(lamp: tuple[float, float, float], turn: float) -> Floats:
    x, y, z = lamp
    if (x, y) == (0.0, 0.0):
        return np.array(lamp, dtype=np.float32)
    c, s = np.cos(turn), np.sin(turn)
    return np.array([c * x + s * z, y, c * z - s * x], dtype=np.float32)


def _place(camera: Camera, frame: Frame, seed: int, size: tuple[int, int]) -> Floats:
    height, width = size
    mount = camera.mount
    whole = panorama(seed, mount.place, mount.outdoor, mount.spectrum, height, width)
    left = int(((frame.patch[0] * (LENGTH - 1)) % (LENGTH - 1)) * width - frame.shift[0] * width)
    # The floor moves with the box; the second share lets walks differ in their distance to the wall.
    top = int((PLAY / 2 - frame.shift[1] + 0.14 * (frame.patch[1] - 0.5)) * height)
    left = min(max(left, 0), whole.shape[1] - width)
    top = min(max(top, 0), whole.shape[0] - height)
    patch: Floats = whole[top : top + height, left : left + width].copy()
    return patch


def _shadow(cover: Floats, sensor: Sensor, frame: Frame) -> Floats:
    """(H, W) factor: contact shade at the feet, and the cast shadow where the sun shines."""
    height, width = cover.shape
    feet, middle = (FEET + frame.shift[1]) * height, (0.5 + frame.shift[0]) * width
    rows, columns = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)[None, :]
    contact = ((columns - middle) / (0.34 * width)) ** 2 + ((rows - feet + 0.01 * height) / (0.03 * height)) ** 2
    factor = 1 - np.float32(0.35) * np.exp(-contact)
    if sensor.shadow > 0:
        lamp = _turned(sensor.lamp, frame.lamp_turn)
        # Behind the person when the sun stands before them, in front of them otherwise.
        reach = np.float32(0.3 * (lamp[2] if abs(lamp[2]) > 0.2 else 0.2))
        rise = (feet - rows) / reach
        source_row = np.clip(feet - rise, 0, height - 1).astype(int)
        source_column = (columns + rise * lamp[0] * 0.6).astype(int)
        valid = (rise > 0) & (rise < feet) & (source_column >= 0) & (source_column < width)
        cast_on = np.where(valid, cover[source_row, np.clip(source_column, 0, width - 1)], 0)
        factor *= 1 - np.float32(sensor.shadow) * cast_on
    shaded: Floats = factor.astype(np.float32)
    return shaded


def _develop(picture: Floats, sensor: Sensor, frame: Frame) -> Bytes:
    height, width, channels = picture.shape
    if sensor.spot_fall > 0:
        rows, columns = np.linspace(0, 1, height), np.linspace(0, 1, width)
        away = ((rows - sensor.spot[1])[:, None] / 0.75) ** 2 + ((columns - sensor.spot[0])[None, :] / 0.9) ** 2
        picture *= (1.15 * np.exp(-sensor.spot_fall * away)).astype(np.float32)[:, :, None]
    if channels == 3:
        grey = picture.mean(2, keepdims=True)
        picture = grey + np.float32(sensor.saturation) * (picture - grey)
        picture *= np.array(sensor.gains, dtype=np.float32)
    picture *= np.float32(sensor.exposure * frame.exposure)
    picture += np.float32(sensor.lift)
    np.clip(picture, 1e-4, None, out=picture)
    if abs(sensor.gamma - 1) > 0.01:
        np.power(picture, np.float32(sensor.gamma), out=picture)
    # A soft shoulder: bright cloth nears white without a hard edge.
    picture = np.where(picture > 0.8, 1 - 0.2 * np.exp(-(picture - 0.8) * 5), picture).astype(np.float32)
    for axis in (0, 1):
        picture = gaussian_filter1d(picture, sensor.blur * height, axis=axis, truncate=2.0)
    grain = np.random.Generator(np.random.Philox(key=frame.grain))
    picture += grain.standard_normal(picture.shape, dtype=np.float32) * np.float32(sensor.noise)
    values: Bytes = np.clip(picture * 255 + 0.5, 0, 255).astype(np.uint8)
    return values if channels == 3 else np.repeat(values, 3, axis=2)
