"""Checkpoint files of other programs, read without running anything that they hold."""

from __future__ import annotations

import hashlib
import math
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vireid.errors import WeightsError

__all__ = ["Checkpoint", "read_checkpoint"]

_STATES = ("net", "state_dict", "model")  # where a checkpoint that holds more keeps the weights
_DATA_PARALLEL = "module."
_NOTED = 20  # numbers of an array that are kept as a note
_NUMBERS = ("float16", "float32", "float64", "int32", "int64", "bool")


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Weights by name, and what else the file says of itself (epoch, accuracy) as plain numbers."""

    path: Path
    sha256: str
    state: Mapping[str, Tensor]
    notes: Mapping[str, Any]


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a file of torch.save, of today's form or of the one before torch 1.6.

    The pickle inside may ask for tensors, containers and NumPy's numbers and arrays; whatever asks for more is refused
    before it is looked up, so nothing in the file runs. Names lose the prefix of torch's DataParallel.

    Raises:
        WeightsError: no such file, not readable, not allowed, no weights in it, or weights that are not numbers.
    """
    if not path.is_file():
        raise WeightsError(f"checkpoint {str(path)!r} does not exist")
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    loaded = _unpickle(path)
    state, rest = _state_of(loaded, path)
    if all(name.startswith(_DATA_PARALLEL) for name in state):
        state = {name.removeprefix(_DATA_PARALLEL): value for name, value in state.items()}
    broken = [name for name, value in state.items() if value.is_floating_point() and not value.isfinite().all()]
    if broken:
        raise WeightsError(f"checkpoint {str(path)!r} holds values that are no numbers, in {broken[0]!r}")
    return Checkpoint(path=path, sha256=digest, state=state, notes=_notes(rest))


def _unpickle(path: Path) -> Any:
    try:
        with torch.serialization.safe_globals(_numpy_globals()):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        asked = re.search(r"GLOBAL ([\w.]+)", str(error))
        if asked:
            raise WeightsError(
                f"checkpoint {str(path)!r} was refused: it asks for {asked[1]}, which weights have no need of; nothing "
                "in it was run. If you trust its source, load it there and save the state dict alone"
            ) from None
        told = str(error).partition("\n")[0]
        raise WeightsError(f"checkpoint {str(path)!r} cannot be read without running what is in it: {told}") from None
    except (RuntimeError, EOFError, ValueError, LookupError, AttributeError, TypeError) as error:
        told = str(error).partition("\n")[0]
        raise WeightsError(f"{str(path)!r} is no checkpoint of torch.save, or is damaged: {told}") from None


def _numpy_globals() -> list[Any]:
    """What a pickled NumPy number or array asks for, by the names of NumPy 1 and 2."""
    rebuild, scalar = np.zeros(1).__reduce__()[0], np.float64(0).__reduce__()[0]
    dtypes = [type(np.dtype(name)) for name in _NUMBERS]
    named = [(rebuild, "_reconstruct"), (scalar, "scalar")]
    places = ("numpy.core.multiarray", "numpy._core.multiarray")
    return [np.ndarray, np.dtype, *dtypes, *((found, f"{place}.{name}") for found, name in named for place in places)]


def _state_of(loaded: Any, path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    if not isinstance(loaded, Mapping):
        raise WeightsError(f"checkpoint {str(path)!r} holds a {type(loaded).__name__}, not weights by name")
    inside = next((name for name in _STATES if isinstance(loaded.get(name), Mapping)), None)
    state = dict(loaded[inside] if inside else loaded)
    if not state or not all(isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()):
        names = ", ".join(map(str, list(state)[:5])) or "nothing"
        raise WeightsError(
            f"checkpoint {str(path)!r} holds no weights by name, at its top or under {', '.join(_STATES)} (it holds: "
            f"{names})"
        )
    return state, {str(name): value for name, value in loaded.items() if name != inside} if inside else {}


def _notes(rest: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers and short lists of numbers among `rest`."""
    notes: dict[str, Any] = {}
    for name, value in rest.items():
        numbers = np.asarray(value.detach() if isinstance(value, Tensor) else value).ravel()
        if numbers.dtype.kind not in "biuf" or not 0 < numbers.size <= 10 * _NOTED:
            continue
        listed = [number for number in numbers[:_NOTED].tolist() if math.isfinite(number)]
        if listed:
            notes[name] = listed[0] if np.ndim(value) == 0 else listed
    return notes
