"""Places and cameras: where a camera hangs, what light there is, and what its sensor makes of it."""

from dataclasses import dataclass
from math import pi, radians

import numpy as np

from vireid.data.synthetic.knockouts import Knockouts
from vireid.data.synthetic.seeds import Purpose, stream
from vireid.data.synthetic.spectrum import Spectrum
from vireid.types import Modality

__all__ = ["Camera", "Headings", "Mount", "Sensor", "draw_camera"]

Headings = tuple[tuple[float, float, float], ...]
"""Ways people walk past: (weight, mean heading, spread) in radians; heading 0 looks into the camera."""

WALKS: dict[str, Headings] = {
    "towards": ((0.55, 0.0, 0.45), (0.25, 1.2, 0.35), (0.20, pi, 0.5)),
    "across": ((0.40, 1.35, 0.35), (0.35, -1.35, 0.35), (0.25, 0.3, 0.5)),
    "away": ((0.50, pi, 0.45), (0.30, -2.2, 0.35), (0.20, 0.2, 0.5)),
    "mixed": ((0.34, 0.0, 0.5), (0.33, pi, 0.5), (0.17, 1.5, 0.4), (0.16, -1.5, 0.4)),
    "same": ((1.0, radians(25), radians(6)),),
}


@dataclass(frozen=True, kw_only=True)
class Mount:
    """One camera of a layout: its official number, what it sees with, and the place it looks at.

    Cameras with the same `place` look at the same spot: a person's walk there is one walk.
    """

    number: int
    spectrum: Spectrum
    place: int
    outdoor: bool
    walk: str

    @property
    def modality(self) -> Modality:
        return Modality.VISIBLE if self.spectrum == Spectrum.VISIBLE else Modality.INFRARED


@dataclass(frozen=True, kw_only=True)
class Sensor:
    """From light to grey values. Blur is a standard deviation as a share of the picture's height."""

    gains: tuple[float, float, float]
    lift: float
    exposure: float
    gamma: float
    saturation: float
    blur: float
    noise: float
    ambient: float
    lamp: tuple[float, float, float]
    """Unit direction towards the sun or room light, in camera coordinates; (0, 0, 1) is a headlight."""
    lamp_strength: float
    spot: tuple[float, float]
    """Middle of the headlight's bright disc, as shares of width and height."""
    spot_fall: float
    shadow: float
    """Depth of cast shadows, 0 for none."""


@dataclass(frozen=True, kw_only=True)
class Camera:
    """A mounted sensor."""

    mount: Mount
    tilt: float
    distance: float
    headings: Headings
    sensor: Sensor


def draw_camera(seed: int, mount: Mount, knockouts: Knockouts) -> Camera:
    """The camera of a mount; its place decides tilt and distance, its number the sensor."""
    place = stream(seed, Purpose.PLACE, mount.place, 1)
    visible = mount.modality is Modality.VISIBLE
    shared = knockouts.one_visible_camera if visible else knockouts.one_ir_sensor
    rng = stream(seed, Purpose.CAMERA, int(visible), 0 if shared else mount.number)
    outdoor = mount.outdoor and not shared
    if visible:
        sensor = _visible(rng, outdoor=outdoor)
    elif mount.spectrum == Spectrum.NEAR:
        sensor = _near(rng)
    else:
        sensor = _thermal(rng)
    return Camera(
        mount=mount,
        tilt=radians(float(place.uniform(5, 20))),
        distance=float(place.uniform(4.5, 9.0)),
        headings=WALKS["same" if knockouts.same_yaw_no_twins else mount.walk],
        sensor=sensor,
    )


def _visible(rng: np.random.Generator, *, outdoor: bool) -> Sensor:
    warm = float(rng.normal(0, 0.055))
    tint = float(rng.normal(0, 0.035))
    azimuth = float(rng.uniform(-1.9, 1.9))
    rise = radians(float(rng.uniform(30, 60)))
    lamp = (np.sin(azimuth) * np.cos(rise), np.sin(rise), np.cos(azimuth) * np.cos(rise))
    return Sensor(
        gains=(1 + warm, 1 + tint, 1 - warm),
        lift=float(rng.uniform(0.0, 0.07)),
        exposure=float(rng.uniform(0.82, 1.14)),
        gamma=float(rng.uniform(0.86, 1.16)),
        saturation=float(rng.uniform(0.80, 1.06)),
        blur=float(rng.uniform(0.002, 0.0045)),
        noise=float(rng.uniform(0.010, 0.026)),
        ambient=0.62 if outdoor else 0.78,
        lamp=(float(lamp[0]), float(lamp[1]), float(lamp[2])) if outdoor else (float(lamp[0]) * 0.3, 0.9, 0.42),
        lamp_strength=float(rng.uniform(0.45, 0.75)) if outdoor else float(rng.uniform(0.25, 0.4)),
        spot=(0.5, 0.5),
        spot_fall=0.0,
        shadow=float(rng.uniform(0.35, 0.6)) if outdoor else 0.0,
    )


def _near(rng: np.random.Generator) -> Sensor:
    return Sensor(
        gains=(1.0, 1.0, 1.0),
        lift=float(rng.uniform(0.0, 0.08)),
        exposure=float(rng.uniform(0.72, 0.94)),
        gamma=float(rng.uniform(0.85, 1.08)),
        saturation=1.0,
        blur=float(rng.uniform(0.0025, 0.0048)),
        noise=float(rng.uniform(0.010, 0.024)),
        ambient=0.16,
        lamp=(0.0, 0.0, 1.0),
        lamp_strength=0.95,
        spot=(float(rng.uniform(0.35, 0.65)), float(rng.uniform(0.3, 0.55))),
        spot_fall=float(rng.uniform(0.5, 1.3)),
        shadow=0.0,
    )


def _thermal(rng: np.random.Generator) -> Sensor:
    return Sensor(
        gains=(1.0, 1.0, 1.0),
        lift=float(rng.uniform(0.02, 0.1)),
        exposure=float(rng.uniform(0.95, 1.15)),
        gamma=float(rng.uniform(0.85, 1.1)),
        saturation=1.0,
        blur=0.0065,
        noise=0.012,
        ambient=0.86,
        lamp=(0.0, 0.0, 1.0),
        lamp_strength=0.14,
        spot=(0.5, 0.5),
        spot_fall=0.0,
        shadow=0.0,
    )
