"""Switches that take one cause out of the benchmark, so that a gain can be shown to vanish with its cause."""

from typing import Literal

from pydantic import Field

from vireid.options import Options

__all__ = ["NOTHING_OUT", "Knockouts"]


class Knockouts(Options):
    """What is taken out of a synthetic set; the default takes nothing out."""

    finish_map: Literal["true", "permuted"] = Field(
        "true",
        description="permuted: each garment's near-infrared tone comes from the row of another garment's finish, so "
        "that tones are spread as before and the finish says nothing about them",
    )
    rgb_nir_correlation: Literal[0, 1] = Field(
        1, description="0: colour channels and near-infrared tone are independent"
    )
    perfect_boxes: bool = Field(
        False, description="crops sit exactly around the person, feet are never cut, nothing stands in front"
    )
    no_contrast_inversion: bool = Field(False, description="patterns that survive in near infrared keep their sign")
    same_yaw_no_twins: bool = Field(
        False, description="every sighting has the same mean heading, and no near-twins are drawn"
    )
    one_ir_sensor: bool = Field(False, description="all infrared cameras share gain, gamma, blur, noise and headlight")
    one_visible_camera: bool = Field(
        False, description="all visible cameras share colour, exposure, light, blur and noise"
    )


NOTHING_OUT = Knockouts()
