"""The nearest rows of every row, exactly, in blocks: with NumPy, or with torch on any device."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vireid.clustering.memory import BLOCK, Reserve, free_of_device, in_words
from vireid.errors import UsageError, training_packages

__all__ = ["Features", "by_rows", "is_tensor", "nearest", "on_host", "where_asked"]

IntArray = NDArray[np.int32]
FloatArray = NDArray[np.floating[Any]]
Features: TypeAlias = Any
"""(N, D) rows of unit length: a NumPy array or a torch tensor."""

_TOLERANCE = 0.01  # what rounding to bfloat16 may do to a length of one
COPY = 1 - 2.0**-20  # products above are those of copies: what tells them apart is rounding
_ROWS = 256  # rows that a thread takes at a time


def nearest(features: Features, k: int, *, device: str | None = None, memory: int | None = None) -> IntArray:
    """(N, min(k, N)) rows by falling inner product, each row itself first.

    Equal ones stand in order of their numbers, and so do copies, whatever rounding makes of their products.

    Args:
        features: (N, D) unit rows. A tensor on an accelerator is compared there.
        k: how many, itself included.
        device: compare there with torch, wherever the features are. None: NumPy, for all that is in main memory.
        memory: bytes that may be taken; None takes what is free.

    Raises:
        UsageError: k below 1, features that are no matrix of unit rows, or too little memory.
        MissingExtraError: a device was asked for and torch is not installed.
    """
    if k < 1:
        raise UsageError(f"k is {k}; it counts neighbours and must be at least 1")
    held = where_asked(features, device)
    check_unit(held)
    if is_tensor(held):
        return _by_torch(held, k)
    count = len(held)
    remedy = "give fewer pictures, or a device with memory of its own"
    Reserve(memory).check(min(BLOCK, count * count) * held.itemsize + 4 * count * min(k, count), "neighbours", remedy)
    return _by_numpy(held, k)


def is_tensor(value: Any) -> bool:
    """Whether `value` is a torch tensor. Whoever holds one has imported torch, so it is not imported here."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def on_host(features: Features) -> FloatArray:
    """As a NumPy array of float32 or float64 with contiguous rows; the same memory where possible."""
    if is_tensor(features):
        tensor = features.detach().cpu()
        features = (tensor if tensor.element_size() >= 4 else tensor.float()).numpy()
    array = np.asarray(features)
    if array.dtype.kind != "f":
        raise UsageError(f"features are {array.dtype}; give floating-point numbers")
    return np.ascontiguousarray(array, array.dtype if array.itemsize in (4, 8) else np.float32)


def where_asked(features: Features, device: str | None) -> Features:
    """A tensor of at least float32 on the accelerator that holds the features or was asked for, or a NumPy array."""
    if device is None and not (is_tensor(features) and features.device.type != "cpu"):
        return on_host(features)
    with training_packages():
        import torch
    tensor = features.detach() if is_tensor(features) else torch.from_numpy(on_host(features))
    moved = tensor if device is None else tensor.to(device)
    return moved if moved.element_size() >= 4 else moved.float()


def check_unit(features: Features) -> None:
    """Refuse what is no (N, D) matrix of rows of unit length.

    Raises:
        UsageError: with the first row that is not.
    """
    if features.ndim != 2:
        raise UsageError(f"features have shape {tuple(features.shape)}; give a matrix (N, D), one row a picture")
    lengths = np.asarray(
        features.norm(dim=1).cpu() if is_tensor(features) else np.sqrt(np.einsum("nd,nd->n", features, features))
    )
    wrong = np.flatnonzero(~(np.abs(lengths - 1) <= _TOLERANCE))
    if len(wrong):
        raise UsageError(
            f"row {wrong[0]} of the features has length {lengths[wrong[0]]:.4g} ({len(wrong)} of {len(lengths)} rows "
            f"are not of unit length); divide every row by its length"
        )


def by_rows(work: Callable[[int, int], None], count: int, *, at_once: int = _ROWS) -> None:
    """Call work(start, stop) for all rows in as many threads as there are cores; what it compiles is compiled once."""
    work(0, 0)
    starts = range(0, count, at_once)
    workers = min(
        len(starts), len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    if workers <= 1:
        work(0, count)
        return
    with ThreadPoolExecutor(workers) as pool:
        for done in [pool.submit(work, start, min(start + at_once, count)) for start in starts]:
            done.result()


def _by_numpy(features: FloatArray, k: int) -> IntArray:
    from vireid.clustering.compiled import keep_best

    count = len(features)
    ranked = np.empty((count, min(k, count)), np.int32)
    rows = max(1, BLOCK // max(1, count))
    buffer = np.empty((min(rows, count), count), features.dtype)
    for first in range(0, count, rows):
        part = features[first : first + rows]
        scores = np.matmul(part, features.T, out=buffer[: len(part)])
        by_rows(lambda start, stop: keep_best(scores, first, COPY, start, stop, ranked), len(part))  # noqa: B023
    return ranked


def _by_torch(features: Any, k: int) -> IntArray:
    torch = sys.modules["torch"]
    count = len(features)
    k = min(k, count)
    ranked = np.empty((count, k), np.int32)
    rows = max(1, 4 * BLOCK // max(1, count))
    free, size = free_of_device(features.device), 3 * min(rows, count) * count * features.element_size()
    if free is not None and size > free:
        raise UsageError(
            f"neighbours on {features.device} would take {in_words(size)}, {in_words(free)} are free there; free "
            f"some of it, or compare in main memory"
        )
    for first in range(0, count, rows):
        scores = features[first : first + rows] @ features.T
        scores.clamp_(max=COPY)
        own = torch.arange(len(scores), device=scores.device)
        scores[own, first + own] = torch.inf
        values, found = scores.topk(k, dim=1)
        # topk keeps any of those that tie for the last place; the first in order of rows are wanted.
        tied = ((scores >= values[:, -1:]).sum(dim=1) > k).nonzero()[:, 0]
        found = found.sort(dim=1).values
        if len(tied):
            first_of_tied = scores[tied].sort(dim=1, descending=True, stable=True).indices[:, :k]
            found[tied] = first_of_tied.sort(dim=1).values
        order = scores.gather(1, found).sort(dim=1, descending=True, stable=True).indices
        ranked[first : first + rows] = found.gather(1, order).cpu().numpy()
    return ranked
