"""Sizes of synthetic sets."""

from dataclasses import dataclass

__all__ = ["LAYOUTS", "PRESETS", "Preset"]

LAYOUTS = ("sysu", "regdb", "llcm")


@dataclass(frozen=True, kw_only=True)
class Preset:
    """How large a set is.

    train, test: identities (RegDB, split in halves anew in every trial, has twice `half`). size: picture (height,
    width). images: pictures per identity and camera (RegDB always has 10 per modality). official: take identities,
    splits, cameras and counts of the real data set instead.
    """

    train: int
    test: int
    half: int
    size: tuple[int, int]
    images: int
    official: bool = False


PRESETS = {
    "tiny": Preset(train=16, test=8, half=12, size=(96, 48), images=4),
    "demo": Preset(train=100, test=96, half=100, size=(144, 72), images=10),
    "study": Preset(train=300, test=300, half=300, size=(144, 72), images=12),
    "full": Preset(train=395, test=96, half=206, size=(288, 144), images=20, official=True),
}
