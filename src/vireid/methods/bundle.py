"""A bundle: what a trained model is to everybody else. One folder, one hash, nothing that unpickles.

    bundle.json          method, options, data, preprocessing, model card, SHA-256 of the weights
    weights.safetensors  the method's state
    figures.json         what was measured with it since; not part of the hash, since knowledge grows
    calibration.json     what its scores mean, where that was measured; bound to the hash and not part of it

Reading a bundle needs no torch; `method()` and the encoder do.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock
from pydantic import Field

from vireid.errors import BundleError, LeakError, RecipeError, training_packages
from vireid.files import file_digest, new_folder, write_json
from vireid.matching import Matcher, create_matcher, is_registered
from vireid.matching.calibration import Calibration
from vireid.methods import create
from vireid.options import Options, parse
from vireid.types import DataInfo

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from vireid.data import Dataset
    from vireid.methods.base import Method
    from vireid.methods.encoder import Encoder

__all__ = ["Bundle", "Card", "Preprocessing", "identity_names", "save_bundle"]

HEADER, WEIGHTS, FIGURES, _LOCK = "bundle.json", "weights.safetensors", "figures.json", ".figures.lock"
CALIBRATION, EXPORT = "calibration.json", "export.json"


class Preprocessing(Options):
    """How a picture becomes the network's input: bilinear resize, division by 255, normalisation per channel."""

    height: int = Field(gt=0)
    width: int = Field(gt=0)
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    @property
    def size(self) -> tuple[int, int]:
        return self.height, self.width


class Card(Options):
    """Where a model comes from: the training data and its terms, and how it was trained."""

    dataset: str
    dataset_kind: str
    dataset_fingerprint: str
    licence: str
    restricted: bool = Field(description="pictures of this data may not be shown in reports without an explicit flag")
    protocol: str = Field(description="protocol whose training split was used")
    identities: tuple[int, ...] = Field(description="identities trained on; a test that contains one is refused")
    identity_names: tuple[str, ...] = Field(
        (), description="their names, where the data set names them and numbers them itself"
    )
    held_out: tuple[int, ...] = Field(
        (), description="those of them that were kept out of the losses, to select the epoch; calibration may use them"
    )
    recipe: str = Field(description="SHA-256 of the resolved recipe; empty for a model that was imported")
    seed: int
    vireid: str
    teacher: Card | None = Field(None, description="card of the model that this one learnt from, where it did")
    imported: str = Field("", description="file that the weights came from, and its SHA-256, where others trained them")


class _Header(Options):
    format: int = Field(1, ge=1, le=1)
    method: str
    options: dict[str, Any]
    data: dict[str, Any]
    matcher: str
    preprocessing: Preprocessing
    card: Card
    weights_sha256: str


@dataclass(frozen=True)
class Bundle:
    """A bundle on disk, checked when opened."""

    path: Path
    header: _Header

    @classmethod
    def open(cls, path: str | Path) -> Bundle:
        """Open the bundle at `path`, or the one inside the run folder `path`; an export is opened as one.

        Raises:
            BundleError: there is none, it is damaged, or it was written by another version.
        """
        folder = Path(path)
        if not (folder / HEADER).is_file() and (folder / "bundle" / HEADER).is_file():
            folder = folder / "bundle"
        if not (folder / HEADER).is_file():
            raise BundleError(f"{path} is no bundle and holds none (no {HEADER}); train one with `vireid train`")
        try:
            header = parse(
                _Header, json.loads((folder / HEADER).read_text(encoding="utf-8")), where=str(folder / HEADER)
            )
        except (json.JSONDecodeError, RecipeError) as error:
            raise BundleError(f"{folder / HEADER} is damaged or of another version: {error}") from None
        if (folder / EXPORT).is_file():
            from vireid.methods.exported import ExportedBundle

            return ExportedBundle.of_folder(cls(folder, header))
        weights = folder / WEIGHTS
        if not weights.is_file() or file_digest(weights) != header.weights_sha256:
            raise BundleError(
                f"{weights} is missing or not the file this bundle was written with; copy the bundle again"
            )
        return cls(folder, header)

    @cached_property
    def digest(self) -> str:
        """The model's hash: SHA-256 of the header, which holds that of the weights."""
        return file_digest(self.path / HEADER)

    @property
    def method_name(self) -> str:
        return self.header.method

    @property
    def preprocessing(self) -> Preprocessing:
        return self.header.preprocessing

    @property
    def card(self) -> Card:
        return self.header.card

    @property
    def data(self) -> DataInfo:
        values = dict(self.header.data)
        values |= {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
        return DataInfo(**values)

    def matcher(self, *, device: str | None = None) -> Matcher:
        """How this model's embeddings are scored. Needs torch where a trained network scores them, and no other.

        device: where that network computes, `cpu` (the default) or `cuda`; other matchers compute where arrays are.

        Raises:
            MissingExtraError: a network scores pairs, and torch is not installed.
        """
        if is_registered(self.header.matcher):
            return create_matcher(self.header.matcher)
        with training_packages():
            return self.method().to(device or "cpu").matcher()

    def device(self, name: str | None = None) -> str:
        """The device that `name` means, `cpu` or `cuda`; None: CUDA where there is one.

        Raises:
            UsageError: another name, or a device that is not there. MissingExtraError: torch is not installed.
        """
        with training_packages():
            from vireid.methods.encoder import choose_device
        return str(choose_device(name))

    def encoder(self, *, device: str | None = None) -> Encoder:
        """What embeds pictures with this model, on `device`.

        Raises:
            UsageError: there is no such device. MissingExtraError: torch is not installed.
        """
        with training_packages():
            from vireid.methods.encoder import open_encoder
        return open_encoder(self, device=device)

    def method(self) -> Method:
        """The trained method, on the CPU, in evaluation mode."""
        from safetensors.torch import load_file

        method = create(self.header.method, data=self.data, **self.header.options)
        method.load_state_dict(load_file(self.path / WEIGHTS))
        return method.eval()

    def refuse_leak(self, dataset: Dataset, rows: NDArray[np.int64]) -> None:
        """Refuse a test on people this model was trained on; `rows` of `dataset.images` are what is tested.

        Two data sets of one kind and name are taken for versions of one, whatever else changed: pictures that were
        added or other lists do not make other people. Where a table names its people, names are compared, since their
        numbers change as soon as one is added.

        Raises:
            LeakError: the data is the training data, or a version of it, and people are shared.
        """
        card: Card | None = self.card
        while card is not None:  # whom a teacher was trained on, its student knows too
            _refuse_leak(card, dataset, rows)
            card = card.teacher

    def calibration(self) -> Calibration | None:
        """What this model's scores mean; None where nobody measured it (`vireid calibrate`).

        Raises:
            BundleError: the file is damaged, of another version, or of another model.
        """
        file = self.path / CALIBRATION
        if not file.is_file():
            return None
        try:
            found = parse(Calibration, json.loads(file.read_text(encoding="utf-8")), where=str(file))
        except (json.JSONDecodeError, UnicodeDecodeError, RecipeError) as error:
            raise BundleError(f"{file} is damaged or of another version ({error}); run `vireid calibrate`") from None
        if found.bundle != self.digest:
            raise BundleError(
                f"{file} calibrates model {found.bundle[:12]}, and this is {self.digest[:12]}; remove it, or run "
                f"`vireid calibrate` to replace it"
            )
        return found

    def attach(self, calibration: Calibration) -> None:
        """Keep a calibration of this model, in the place of an older one. The model's hash stays what it is.

        Raises:
            BundleError: it is of another model. OSError: the bundle cannot be written.
        """
        if calibration.bundle != self.digest:
            raise BundleError(f"the calibration is of model {calibration.bundle[:12]}, not of {self.digest[:12]}")
        write_json(self.path / CALIBRATION, calibration.model_dump(mode="json"))

    def figures(self) -> list[dict[str, Any]]:
        """What was measured with this model so far."""
        file = self.path / FIGURES
        found: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []
        return found

    def record(self, figure: Mapping[str, Any]) -> None:
        """Keep a measured figure; one of the same protocol, data and mode is replaced. Several processes may record.

        Raises:
            OSError: the bundle cannot be written.
        """
        keys = ("protocol", "fingerprint", "mode", "rerank")
        with FileLock(self.path / _LOCK):
            kept = [old for old in self.figures() if any(old.get(key) != figure.get(key) for key in keys)]
            write_json(self.path / FIGURES, [*kept, dict(figure)])


def identity_names(table: pd.DataFrame) -> tuple[str, ...]:
    """Names of the people in an image table, sorted; none where the table knows them by number alone."""
    return tuple(sorted(set(table["identity_name"]))) if "identity_name" in table else ()


def save_bundle(path: Path, method: Method, *, preprocessing: Preprocessing, card: Card) -> Bundle:
    """Write a trained method as a bundle, whole or not at all."""
    from safetensors.torch import save_file

    with new_folder(path) as folder:
        state = {name: value.detach().cpu().contiguous() for name, value in method.state_dict().items()}
        save_file(state, folder / WEIGHTS)
        header = _Header(
            format=1,
            method=method.name,
            options=method.options.model_dump(mode="json"),
            data=asdict(method.data),
            matcher=method.matcher().name,
            preprocessing=preprocessing,
            card=card,
            weights_sha256=file_digest(folder / WEIGHTS),
        )
        write_json(folder / HEADER, header.model_dump(mode="json"))
    return Bundle.open(path)


def _refuse_leak(card: Card, dataset: Dataset, rows: NDArray[np.int64]) -> None:
    tested = dataset.images.iloc[rows]
    same_table = dataset.fingerprint == card.dataset_fingerprint
    if not same_table and (dataset.kind, dataset.name) != (card.dataset_kind, card.dataset):
        return
    numbers = {int(identity) for identity in tested.identity.unique()}
    shared = _people(card.identity_names or card.identities) & _people(identity_names(tested) or numbers)
    if same_table or not card.identity_names:
        shared |= _people(numbers & set(card.identities))
    if shared:
        raise LeakError(
            f"{len(shared)} of the {len(numbers)} test identities were trained on (one is {min(shared)}): this "
            f"model was trained for protocol {card.protocol!r} of {card.dataset}; test it on that split, or train "
            "another. A data set of the same name that shows other people needs a name of its own in expected.json"
        )


def _people(identities: Iterable[int | str]) -> set[str]:
    """Identities as text; names that are whole numbers ("0006") are written as those."""
    return {str(int(text)) if (text := str(identity)).isdecimal() else text for identity in identities}
