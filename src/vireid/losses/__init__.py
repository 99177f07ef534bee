"""Losses, one file per family; everything here needs torch."""

from vireid.losses.classification import identity_loss
from vireid.losses.gather import gather
from vireid.losses.mmd import MultiKernelMMD, mean_distance_bandwidths, multi_kernel_mmd
from vireid.losses.triplet import batch_hard_triplet, euclidean_distances, weighted_regularised_triplet

__all__ = [
    "MultiKernelMMD",
    "batch_hard_triplet",
    "euclidean_distances",
    "gather",
    "identity_loss",
    "mean_distance_bandwidths",
    "multi_kernel_mmd",
    "weighted_regularised_triplet",
]
