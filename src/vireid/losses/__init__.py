"""Losses, one file per family; everything here needs torch."""

from vireid.losses.centres import centre_consistency, hetero_centre_triplet, modality_centres
from vireid.losses.classification import identity_loss
from vireid.losses.gather import gather, own_rows
from vireid.losses.mmd import MultiKernelMMD, mean_distance_bandwidths, multi_kernel_mmd
from vireid.losses.triplet import batch_hard_triplet, euclidean_distances, margin_triplet, weighted_regularised_triplet

__all__ = [
    "MultiKernelMMD",
    "batch_hard_triplet",
    "centre_consistency",
    "euclidean_distances",
    "gather",
    "hetero_centre_triplet",
    "identity_loss",
    "margin_triplet",
    "mean_distance_bandwidths",
    "modality_centres",
    "multi_kernel_mmd",
    "own_rows",
    "weighted_regularised_triplet",
]
