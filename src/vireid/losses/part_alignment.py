"""Losses on parts of pictures that were read with part queries of the same or of another picture.

Wu, Liu, Su, Shi and Tang, "Learning Concordant Attention via Target-aware Alignment for Visible-Infrared Person
Re-identification", ICCV 2023. Parts are tensors (N, parts, C); every loss is computed in at least fp32.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from vireid.losses.triplet import euclidean_distances

__all__ = [
    "divergence",
    "identity_centres",
    "part_aligned_centre_loss",
    "part_centre_loss",
    "region_overlap",
    "unit_parts",
]


def part_aligned_centre_loss(
    own: tuple[Tensor, Tensor],
    crossed: tuple[Tensor, Tensor],
    labels: tuple[Tensor, Tensor],
    *,
    margin: float,
) -> Tensor:
    """Cross-refined parts to the centre of the pictures that asked, and centres of different people apart; a scalar.

    own: self-refined parts of visible and of infrared pictures. crossed: for the same pictures, what their queries
    found in a picture of the same person and of the other modality. labels: of both, from the same identities.

    The mean over pictures of the distance to their identity's centre in their own modality, for each modality; plus
    the mean over ordered pairs of people of [margin - distance]+ between visible and infrared, infrared, and visible
    centres. Parts are scaled to unit length first, since the margin means nothing on raw features, and each part has a
    loss of its own, of which the mean is taken (the paper leaves both open).
    """
    identities: Tensor = torch.unique(labels[0])
    centres = [identity_centres(side, of, identities) for side, of in zip(own, labels, strict=True)]
    pulls = [
        _distances_to_centres(side, centre, torch.searchsorted(identities, of)).mean()
        for side, centre, of in zip(crossed, centres, labels, strict=True)
    ]
    count = len(identities)
    distances = euclidean_distances(torch.cat(centres).transpose(0, 1))  # (parts, 2 * identities, 2 * identities)
    short = (margin - distances).clamp(min=0)
    visible, infrared = slice(0, count), slice(count, 2 * count)
    pairs = ((visible, infrared), (infrared, infrared), (visible, visible))
    return sum(pulls, start=sum((_mean_off_diagonal(short[:, a, b]) for a, b in pairs), start=pulls[0].new_zeros(())))


def part_centre_loss(parts: Tensor, labels: Tensor) -> Tensor:
    """Mean squared distance of unit parts to the centre of all pictures of their identity in the batch; a scalar.

    Wen et al., "A Discriminative Feature Learning Approach for Deep Face Recognition", ECCV 2016, Eq. 2, with the
    batch's centres in place of learnt ones and without its factor 1/2.
    """
    identities: Tensor = torch.unique(labels)
    centres = identity_centres(parts, labels, identities)
    return _distances_to_centres(parts, centres, torch.searchsorted(identities, labels)).square().mean()


def identity_centres(parts: Tensor, labels: Tensor, identities: Tensor) -> Tensor:
    """Means (identities, parts, C) of unit parts per identity."""
    units = unit_parts(parts)
    member = (labels[None, :] == identities[:, None]).to(units.dtype)
    with torch.autocast(parts.device.type, enabled=False):
        return torch.einsum("in,npc->ipc", member / member.sum(dim=1, keepdim=True), units)


def region_overlap(masks: Tensor) -> Tensor:
    """Sum over pairs of different parts of the inner product of their masks (N, parts, positions) -> (N,)."""
    with torch.autocast(masks.device.type, enabled=False):
        gram = torch.bmm(masks, masks.transpose(1, 2))
    return gram.triu(diagonal=1).sum(dim=(1, 2))


def divergence(teacher: Tensor, student: Tensor) -> Tensor:
    """KL(teacher || student) of logits (..., classes) -> (...). The teacher gets no gradient."""
    logs = teacher.detach().float().log_softmax(dim=-1)
    return (logs.exp() * (logs - student.float().log_softmax(dim=-1))).sum(dim=-1)


def unit_parts(parts: Tensor) -> Tensor:
    """Parts (N, parts, C), each of unit length, in at least fp32."""
    return F.normalize(parts.to(torch.promote_types(parts.dtype, torch.float32)), dim=2)


def _distances_to_centres(parts: Tensor, centres: Tensor, places: Tensor) -> Tensor:
    """(N, parts) Euclidean distances of unit parts to centres[places]."""
    distances: Tensor = torch.linalg.vector_norm(unit_parts(parts) - centres[places], dim=2)
    return distances


def _mean_off_diagonal(values: Tensor) -> Tensor:
    """Mean of (parts, n, n) without the diagonals; 0 where there is one identity."""
    count = values.shape[1]
    apart = values.masked_fill(torch.eye(count, dtype=torch.bool, device=values.device), 0)
    return apart.sum() / max(1, values.shape[0] * count * (count - 1))
