"""Two pictures compared: what their score is worth as evidence that they show one person."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from vireid.data.images import read_image
from vireid.errors import UsageError, choose
from vireid.methods.bundle import Bundle
from vireid.types import Modality

if TYPE_CHECKING:
    from vireid.methods.encoder import Encoder

__all__ = ["Verification", "verify"]

_WIDTH = 1.96  # standard errors of a 95 % interval


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What a model says of two pictures.

    llr: natural log-likelihood ratio of one person against two, with its 95 % interval over the people of the
    calibration. seen: whether the calibration saw scores like this one. false_match_rate: share of pairs of two people
    that reach it. prior, posterior: probability that it is one person, before and after; None where no prior was
    declared. calibration: its digest.
    """

    modalities: tuple[str, str]
    score: float
    llr: float
    interval: tuple[float, float]
    seen: bool
    false_match_rate: float
    prior: float | None
    posterior: float | None
    calibration: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def verify(
    bundle: Bundle | str | Path,
    pictures: tuple[str | Path | bytes | NDArray[np.uint8], str | Path | bytes | NDArray[np.uint8]],
    modalities: tuple[str, str],
    *,
    prior: float | None = None,
    encoder: Encoder | None = None,
    device: str | None = None,
) -> Verification:
    """Compare two pictures, the first as the query; a model may see the other order slightly otherwise.

    Args:
        pictures: files, bytes of files or arrays (H, W, 3) uint8. modalities: of each, `visible` or `infrared`.
        prior: probability, before the pictures were compared, that they show one person; from the case, not from here.
        encoder: embeds the pictures (default: the bundle's own, on `device`).

    Raises:
        UsageError: the model is not calibrated for these modalities; a prior outside (0, 1); an unknown modality.
        ImageError: a picture cannot be read.
    """
    sides = [Modality(choose(str(one), list(Modality), "modality")) for one in modalities]
    if prior is not None and not 0 < prior < 1:
        raise UsageError(f"prior is {prior}; a probability strictly between 0 and 1 is needed")
    model = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
    calibration = model.calibration()
    if calibration is None:
        raise UsageError(f"{model.path} is not calibrated, so a score says nothing of two pictures; `vireid calibrate`")
    worth = calibration.needed(*sides)
    encoder = encoder or model.encoder(device=device)
    if encoder.digest != model.digest:
        raise UsageError("the encoder is of another model than the bundle; leave it out or give the bundle's own")
    found = [
        encoder.embed([picture if isinstance(picture, np.ndarray) else read_image(picture)], side)
        for picture, side in zip(pictures, sides, strict=True)
    ]
    score = float(np.asarray(model.matcher(device=device).score(found[0], found[1]))[0, 0])
    llr, error = float(worth.llr(score)), float(worth.error(score))
    return Verification(
        modalities=(str(sides[0]), str(sides[1])),
        score=score,
        llr=llr,
        interval=(llr - _WIDTH * error, llr + _WIDTH * error),
        seen=worth.seen(score),
        false_match_rate=float(worth.false_match_rate(llr)),
        prior=prior,
        posterior=None if prior is None else float(expit(logit(prior) + llr)),
        calibration=calibration.digest,
    )
