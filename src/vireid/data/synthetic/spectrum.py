"""The kinds of light that the renderer knows."""

from enum import StrEnum

__all__ = ["Spectrum"]


class Spectrum(StrEnum):
    """Which light a surface is asked about: `thermal` and `near infrared` are both the modality infrared."""

    VISIBLE = "visible"
    NEAR = "near infrared"
    THERMAL = "thermal"
