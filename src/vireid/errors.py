"""What vireid raises on bad input. Callers catch `VireidError`; every message names the value and the remedy.

VireidError
├── UsageError           an argument, option or recipe value that is not allowed
│   └── RecipeError      one or more values of a recipe, each with its path
├── DataError            a data set that is missing, incomplete or inconsistent
│   └── ImageError       one picture that cannot be read
├── BundleError          a trained model that is damaged or does not fit
├── LeakError            a test that would use identities the model was trained on
├── ExportError          an export that would not answer as its bundle does
├── WeightsError         start weights that cannot be had or do not fit the network
├── TrainingError        training cannot go on (not-a-number, no identities, ...)
├── GalleryError         a gallery that is missing, locked or bound to another model
└── MissingExtraError    an optional part of vireid is not installed
"""

import difflib
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager

__all__ = [
    "BundleError",
    "DataError",
    "ExportError",
    "GalleryError",
    "ImageError",
    "LeakError",
    "MissingExtraError",
    "RecipeError",
    "TrainingError",
    "UsageError",
    "VireidError",
    "WeightsError",
    "choose",
    "export_packages",
    "training_packages",
]


class VireidError(Exception):
    """Base of everything vireid raises on purpose."""


class UsageError(VireidError):
    """An argument, option or recipe value is not allowed."""


class RecipeError(UsageError):
    """One or more recipe values are not allowed; one line each, with its path."""


class DataError(VireidError):
    """A data set is missing, incomplete or inconsistent."""


class ImageError(DataError):
    """One picture cannot be read."""


class BundleError(VireidError):
    """A bundle is damaged or does not fit what it is asked to do."""


class LeakError(VireidError):
    """The test would contain identities the model was trained on."""


class ExportError(VireidError):
    """An export cannot be made, or would not answer as its bundle does."""


class WeightsError(VireidError):
    """Start weights cannot be had or do not fit the network."""


class TrainingError(VireidError):
    """Training cannot go on."""


class GalleryError(VireidError):
    """A gallery is missing, locked, or bound to another bundle."""


class MissingExtraError(VireidError):
    """An optional part of vireid is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"this needs {package}, which is not installed; run: pip install 'vireid[{extra}]'")


def choose(value: str, allowed: Iterable[str], what: str) -> str:
    """Return `value` if it is one of `allowed`.

    Raises:
        UsageError: naming the value, the nearest allowed one and the whole list.
    """
    options = [str(option) for option in allowed]
    if value in options:
        return value
    near = difflib.get_close_matches(value, options, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise UsageError(f"unknown {what} {value!r}{hint} (allowed: {', '.join(options)})")


@contextmanager
def training_packages() -> Iterator[None]:
    """Turn the failed import of a package of the extra `train` into a `MissingExtraError`."""
    with _extra("train", {"accelerate", "tensorboard", "timm", "torch", "torchvision"}):
        yield


@contextmanager
def export_packages() -> Iterator[None]:
    """The same for a package of the extra `export`, which itself needs those of `train`."""
    with training_packages(), _extra("export", {"onnx", "onnxscript"}):
        yield


@contextmanager
def _extra(extra: str, packages: Collection[str]) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in packages:
            raise
        raise MissingExtraError(error.name or "", extra) from error
