"""Switches that take one cause out of the benchmark, so that a gain can be shown to vanish with its cause."""

from dataclasses import dataclass
from typing import Literal

from vireid.errors import UsageError, choose

__all__ = ["NOTHING_OUT", "Knockouts"]


@dataclass(frozen=True, kw_only=True)
class Knockouts:
    """What is taken out of a synthetic set; the default takes nothing out.

    finish_map: `permuted` draws each garment's near-infrared tone from the row of another garment's finish: tones are
        spread as before, but the finish says nothing about them.
    rgb_nir_correlation: 0 makes colour channels and near-infrared tone independent; 1 leaves them related.
    perfect_boxes: crops sit exactly around the person, feet are never cut and nothing stands in front.
    no_contrast_inversion: patterns that survive in near infrared keep their sign.
    same_yaw_no_twins: every sighting has the same mean heading, and no near-twins are drawn.
    one_ir_sensor: all infrared cameras share gain, gamma, blur, noise and headlight.
    one_visible_camera: all visible cameras share colour, exposure, light, blur and noise.
    """

    finish_map: Literal["true", "permuted"] = "true"
    rgb_nir_correlation: float = 1.0
    perfect_boxes: bool = False
    no_contrast_inversion: bool = False
    same_yaw_no_twins: bool = False
    one_ir_sensor: bool = False
    one_visible_camera: bool = False

    def __post_init__(self) -> None:
        choose(self.finish_map, ("true", "permuted"), "finish_map")
        if self.rgb_nir_correlation not in (0.0, 1.0):
            raise UsageError(f"rgb_nir_correlation is {self.rgb_nir_correlation} (allowed: 0 or 1)")


NOTHING_OUT = Knockouts()
