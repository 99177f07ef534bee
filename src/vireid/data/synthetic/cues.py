"""Pictures that show one cue alone, to measure what it gives away: the place, the head or the outline."""

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from vireid.data.synthetic.body import Part
from vireid.data.synthetic.occluders import occlude
from vireid.data.synthetic.render import Hits
from vireid.data.synthetic.sightings import Frame
from vireid.data.synthetic.spectrum import Spectrum

__all__ = ["BACKDROP", "GREY", "OUTLINE", "Only", "isolated", "shown"]

HEAD = (Part.HEAD, Part.HAIR, Part.HAT)
"""A hood is cloth of the coat: it would tell the garment's tone."""
GREY, BACKDROP, OUTLINE = 128, 60, 200
"""Grey values: of all that is hidden, behind an outline, and of the outline; the same in both modalities."""


class Only(StrEnum):
    """What pictures show.

    background: the scene and what stands in front, without the person and their shadow.
    head: head, hair and hat as the full picture lights them; all else is grey.
    silhouette: everything of the person that nothing hides, in one grey value before another.
    """

    BACKGROUND = "background"
    HEAD = "head"
    SILHOUETTE = "silhouette"


def shown(hits: Hits, only: Only) -> Hits:
    """The surface points that belong to the cue; what they hid stays hidden."""
    if only is Only.SILHOUETTE:
        return hits
    keep = np.flatnonzero(np.isin(hits.part, HEAD)) if only is Only.HEAD else np.empty(0, np.int64)
    return Hits(
        pixel=hits.pixel[keep],
        solid=hits.solid[keep],
        part=hits.part[keep],
        normal=hits.normal[:, keep],
        local=hits.local[:, keep],
        height=hits.height,
        width=hits.width,
    )


def isolated(
    picture: NDArray[np.uint8], cover: NDArray[np.float32], frame: Frame, spectrum: Spectrum, only: Only
) -> NDArray[np.uint8]:
    """A finished picture (H, W, 3) reduced to its cue; cover: (H, W) share of each pixel that the cue takes."""
    if only is Only.BACKGROUND:
        return picture
    mask = (cover > 0.5) & ~_veiled(picture.shape, frame, spectrum)
    if only is Only.HEAD:
        return np.where(mask[:, :, None], picture, np.uint8(GREY))
    outline = np.where(mask, np.uint8(OUTLINE), np.uint8(BACKDROP))
    return np.repeat(outline[:, :, None], 3, axis=2)


def _veiled(shape: tuple[int, ...], frame: Frame, spectrum: Spectrum) -> NDArray[np.bool_]:
    """(H, W) where something stands before the person."""
    veil = np.full((*shape[:2], 3 if spectrum == Spectrum.VISIBLE else 1), np.nan, dtype=np.float32)
    occlude(veil, frame, spectrum)
    veiled: NDArray[np.bool_] = ~np.isnan(veil[:, :, 0])
    return veiled
