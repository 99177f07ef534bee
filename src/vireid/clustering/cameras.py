"""Neighbours that a camera contradicts: two pictures of one camera in different clusters of that camera."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from vireid.errors import UsageError

__all__ = ["refine_by_camera"]

IntArray = NDArray[np.integer[Any]]


def refine_by_camera(
    neighbours: Any,
    *,
    cameras: IntArray,
    local_labels: IntArray,
    bank_cameras: IntArray | None = None,
    bank_labels: IntArray | None = None,
) -> csr_array:
    """The neighbours without those whom their camera's own clusters tell apart.

    Picture j is taken out of i's neighbours if both are of one camera, both are in a cluster of that camera, and it is
    not the same. Neighbours of other cameras stay, and so does noise of either side. All are judged at once; code that
    takes items out of the list it walks through skips the one after each.

    Args:
        neighbours: (N, M) SciPy sparse; what it stores are neighbours, zeros too.
        cameras: (N,), local_labels: (N,) of `cluster_each`, -1 for noise, of the pictures that have neighbours.
        bank_cameras, bank_labels: (M,) of the neighbours; None: they are the same pictures.

    Raises:
        UsageError: shapes that do not fit.
    """
    stored = csr_array(neighbours).tocoo()
    sides = (
        (cameras, local_labels),
        (
            cameras if bank_cameras is None else bank_cameras,
            local_labels if bank_labels is None else bank_labels,
        ),
    )
    for count, name, side in zip(stored.shape, ("row", "column"), sides, strict=True):
        if any(np.shape(each) != (count,) for each in side):
            raise UsageError(
                f"neighbours have shape {stored.shape}; give {count} cameras and labels, one for each {name}"
            )
    (camera, label), (other_camera, other_label) = ((np.asarray(a), np.asarray(b)) for a, b in sides)
    row, column = stored.row, stored.col
    known = (label[row] >= 0) & (other_label[column] >= 0)
    apart = (camera[row] == other_camera[column]) & known & (label[row] != other_label[column])
    kept = ~apart
    refined = csr_array((stored.data[kept], (row[kept], column[kept])), shape=stored.shape)
    refined.sort_indices()
    return refined
