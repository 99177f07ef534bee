"""SYSU-MM01's `rand_perm_cam.mat`: the authors' own order of every person's pictures, one per trial."""

import hashlib
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vireid.data.sampling import TRIALS
from vireid.errors import DataError

__all__ = ["PERMUTATION_FILE", "Permutation", "read_permutation"]

IntArray = NDArray[np.int64]

PERMUTATION_FILE = "exp/rand_perm_cam.mat"
_VARIABLE = "rand_perm_cam"


@dataclass(frozen=True, kw_only=True, eq=False)
class Permutation:
    """orders: per (identity, camera) a (10, n) array of positions from 0, one row per trial; `path`: where from."""

    path: Path
    orders: Mapping[tuple[int, int], IntArray]

    def draw(self, trial: int, sizes: Mapping[tuple[int, int], int], *, shots: int = 1) -> list[list[int]]:
        """For every (identity, camera) the ascending positions of the first `shots` pictures of its trial's row.

        Fewer than `shots` pictures are taken whole.

        Raises:
            DataError: the file orders another number of pictures than `sizes` says there are.
        """
        chosen = []
        for (identity, camera), size in sizes.items():
            order = self.orders.get((identity, camera))
            known = 0 if order is None else order.shape[1]
            if order is None or known != size:
                raise DataError(
                    f"{self.path}: orders {known} pictures of identity {identity} before camera {camera}, but the data "
                    f"set has {size}; file and pictures do not belong together"
                )
            chosen.append(sorted(int(position) for position in order[trial, :shots]))
        return chosen

    def digest(self, keys: Iterable[tuple[int, int]]) -> str:
        """SHA-256 (hex) of the orders of `keys` (where known)."""
        running = hashlib.sha256()
        for key in sorted(keys):
            if key in self.orders:
                running.update(f"{key}:".encode() + self.orders[key].astype("<i8").tobytes())
        return running.hexdigest()


def read_permutation(path: Path) -> Permutation:
    """Read the authors' file: a cell per camera, in it a cell per identity, in it 10 permutations of 1 to n.

    Raises:
        DataError: the file is missing (says where to get it) or of another form.
    """
    if not path.is_file():
        raise DataError(
            f"{path} does not exist; the official galleries are drawn from it. The repository wuancong/SYSU-MM01 on "
            f"GitHub holds it as evaluation/data_split/{path.name}: put it there, or use a protocol whose name ends "
            "in -agw"
        )
    from scipy.io import loadmat  # here, because it takes longer to import than all readers together
    from scipy.io.matlab import MatReadError

    # What scipy raises on a file that is cut off, is a web page, or holds other variables.
    damage = (MatReadError, OSError, IndexError, zlib.error, KeyError, ValueError, TypeError, NotImplementedError)
    try:
        cameras = loadmat(path)[_VARIABLE].ravel()
        orders = {
            (identity, camera): np.asarray(order, dtype=np.int64) - 1
            for camera, cells in enumerate(cameras, start=1)
            for identity, order in enumerate(np.ravel(cells), start=1)
            if np.size(order)
        }
    except damage as error:
        raise DataError(f"{path}: not a MATLAB file with the cells {_VARIABLE!r} ({error})") from error
    for (identity, camera), order in orders.items():
        if order.ndim != 2 or len(order) < TRIALS or (np.sort(order, axis=1) != np.arange(order.shape[1])).any():
            raise DataError(
                f"{path}: the entry of identity {identity}, camera {camera} is not {TRIALS} permutations of 1 to n"
            )
    return Permutation(path=path, orders=orders)
