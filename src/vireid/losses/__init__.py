"""Losses, one file per family; everything here needs torch."""

from vireid.losses.centres import centre_consistency, hetero_centre_triplet, modality_centres
from vireid.losses.classification import identity_loss
from vireid.losses.gather import gather
from vireid.losses.triplet import euclidean_distances, margin_triplet, weighted_regularised_triplet

__all__ = [
    "centre_consistency",
    "euclidean_distances",
    "gather",
    "hetero_centre_triplet",
    "identity_loss",
    "margin_triplet",
    "modality_centres",
    "weighted_regularised_triplet",
]
