"""Losses, one file per family; everything here needs torch."""

from vireid.losses.classification import identity_loss
from vireid.losses.gather import gather
from vireid.losses.triplet import euclidean_distances, weighted_regularised_triplet

__all__ = ["euclidean_distances", "gather", "identity_loss", "weighted_regularised_triplet"]
