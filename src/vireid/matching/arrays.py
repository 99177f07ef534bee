"""NumPy arrays and torch tensors side by side, without importing torch.

Whoever holds a tensor has imported torch already, so it is looked up among the loaded modules and never loaded here.
"""

import sys
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vireid.errors import UsageError

__all__ = ["Array", "concatenate", "is_tensor", "product", "same_kind", "to_numpy"]

Array: TypeAlias = Any
"""A NumPy array or a torch tensor."""


def is_tensor(value: Any) -> bool:
    """Whether `value` is a torch tensor."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def to_numpy(value: Any) -> NDArray[Any]:
    """`value` as a NumPy array: the same memory where possible, a copy from an accelerator or from bfloat16."""
    if not is_tensor(value):
        return np.asarray(value)
    tensor = value.detach().cpu()
    if tensor.dtype == sys.modules["torch"].bfloat16:
        tensor = tensor.float()
    array: NDArray[Any] = tensor.numpy()
    return array


def same_kind(value: NDArray[Any], like: Any) -> Array:
    """The NumPy array `value` as `like` is: a tensor on its device, or itself."""
    if not is_tensor(like):
        return value
    return sys.modules["torch"].from_numpy(np.ascontiguousarray(value)).to(like.device)


def concatenate(parts: Sequence[Array], *, axis: int = 0) -> Array:
    """Parts of one kind, joined along a dimension."""
    if is_tensor(parts[0]):
        return sys.modules["torch"].cat(list(parts), dim=axis)
    return np.concatenate(parts, axis=axis)


def product(query: Array, gallery: Array) -> Array:
    """(Q, G) inner products of the rows of (Q, D) and (G, D).

    Raises:
        UsageError: the two differ in kind, or in D.
    """
    if is_tensor(query) != is_tensor(gallery):
        raise UsageError(
            f"query is a {_kind(query)} and gallery a {_kind(gallery)}; give both as NumPy arrays or both as tensors"
        )
    if query.ndim != 2 or gallery.ndim != 2 or query.shape[1] != gallery.shape[1]:
        raise UsageError(
            f"query vectors {tuple(query.shape)} and gallery vectors {tuple(gallery.shape)} must be (Q, D) and (G, D) "
            f"with one D; were they embedded by the same model?"
        )
    return query @ gallery.T


def _kind(value: Any) -> str:
    return "tensor" if is_tensor(value) else "NumPy array"
