"""Pictures read and embedded on the machines of a Ray cluster, in order, for the one process that writes a gallery."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Generator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from vireid.errors import GalleryError, MissingExtraError
from vireid.gallery.reading import ReadPicture, read_rows
from vireid.methods.bundle import Bundle
from vireid.types import Embeddings, Modality

if TYPE_CHECKING:
    from vireid.methods.encoder import Encoder

__all__ = ["Bulk"]

_BLOCKS = 1000  # parts of a run; what a part found is written when all of it is done


@dataclass(frozen=True, kw_only=True)
class Bulk:
    """Embeds on Ray: in the cluster that RAY_ADDRESS names, or in processes of this machine.

    bundle: the model, which every machine finds at its path, as it does the pictures. encoder: sent to the machines in
    the place of the bundle's own. A machine's worker has a core, or a GPU where the cluster has some. Ray's usage
    statistics are switched off.

    Raises:
        MissingExtraError: Ray is not installed.
    """

    bundle: Bundle
    encoder: Encoder | None
    device: str | None
    batch_size: int

    def __post_init__(self) -> None:
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # read when Ray is imported, and when it starts a cluster
        try:
            import ray.data  # noqa: F401
        except ModuleNotFoundError as error:
            raise MissingExtraError("ray", "ray") from error

    def read(
        self, rows: Sequence[Mapping[str, Any]], modality: Modality, *, known: Set[str], size: tuple[int, int]
    ) -> Generator[ReadPicture]:
        """As `read_ahead`; what is not known comes embedded.

        Raises:
            GalleryError: a worker failed.
        """
        import ray
        from ray.exceptions import RayError

        parts = [list(rows[start : start + self.batch_size]) for start in range(0, len(rows), self.batch_size)]
        with _started():
            context = ray.data.DataContext.get_current()
            context.execution_options.preserve_order = True
            context.enable_progress_bars = False
            given = ray.data.from_items(
                [{"part": json.dumps(part)} for part in parts], override_num_blocks=min(len(parts), _BLOCKS)
            )
            arguments = self._opener(), str(modality), ray.put(frozenset(known)), size
            try:
                found = given.map_batches(
                    _Worker, batch_size=1, fn_constructor_args=arguments, **_resources(self.device, len(parts))
                )
                for part, answer in zip(parts, found.iter_rows(), strict=True):
                    if answer["failed"]:
                        raise GalleryError(f"embedding on Ray failed, and what was written is kept: {answer['failed']}")
                    yield from _pictures(part, answer)
            except RayError as error:
                raise GalleryError(f"embedding on Ray failed, and what was written is kept: {error}") from error

    def _opener(self) -> Callable[[], Encoder]:
        if self.encoder is not None:
            return partial(_same, self.encoder)
        return partial(_own, str(self.bundle.path.absolute()), self.device)


class _Worker:
    """Lives in a process of the cluster: reads the pictures of a part and embeds those that are new."""

    def __init__(self, opener: Callable[[], Encoder], modality: str, known: Any, size: tuple[int, int]) -> None:
        import ray

        self.encoder = opener()
        self.modality = Modality(modality)
        self.known: frozenset[str] = ray.get(known)
        self.size = size

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        [part] = batch["part"]
        try:
            told, arrays = self._embedded(json.loads(part))
        except Exception as error:  # noqa: BLE001 - Ray would lose what it was; the process that writes raises it
            return {"told": ["[]"], "arrays": [b""], "failed": [f"{type(error).__name__}: {error}"]}
        packed = io.BytesIO()
        np.savez(packed, **arrays)
        return {"told": [json.dumps(told)], "arrays": [packed.getvalue()], "failed": [""]}

    def _embedded(self, part: list[dict[str, Any]]) -> tuple[list[list[Any]], dict[str, Any]]:
        """What became of each picture (hash, embedded or not, problem), and the fields of those that were embedded."""
        pictures = list(read_rows(part, known=self.known, size=self.size))
        pixels = [picture.pixels for picture in pictures if picture.pixels is not None]
        arrays: dict[str, Any] = self.encoder.embed(pixels, self.modality).arrays() if pixels else {}
        return [[picture.sha256, picture.pixels is not None, picture.problem] for picture in pictures], arrays


def _pictures(rows: Sequence[Mapping[str, Any]], answer: Mapping[str, Any]) -> Generator[ReadPicture]:
    with np.load(io.BytesIO(answer["arrays"]), allow_pickle=False) as held:
        arrays = {name: held[name] for name in held.files}
    place = 0
    for row, (key, embedded, problem) in zip(rows, json.loads(answer["told"]), strict=True):
        picture = ReadPicture(row=row, sha256=key, problem=problem)
        if embedded:
            one = {name: array[place : place + 1] for name, array in arrays.items()}
            picture = replace(picture, embedded=Embeddings.from_arrays(one))
            place += 1
        yield picture


@contextmanager
def _started() -> Generator[None]:
    """Ray, connected or started here and then left again."""
    import ray

    if ray.is_initialized():
        yield
        return
    ray.init(log_to_driver=False, include_dashboard=False if "RAY_ADDRESS" not in os.environ else None)
    try:
        yield
    finally:
        ray.shutdown()


def _resources(device: str | None, parts: int) -> dict[str, Any]:
    """What a worker takes, and how many there are."""
    import ray
    from ray.data import ActorPoolStrategy

    held: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    gpus = 0 if device == "cpu" else int(held.get("GPU", 0))
    if gpus:
        return {"num_gpus": 1, "compute": ActorPoolStrategy(size=min(gpus, parts))}
    return {"num_cpus": 1, "compute": ActorPoolStrategy(size=max(1, min(int(held.get("CPU", 1)), parts)))}


def _own(path: str, device: str | None) -> Encoder:
    return Bundle.open(path).encoder(device=device)


def _same(encoder: Encoder) -> Encoder:
    return encoder
