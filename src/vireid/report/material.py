"""What a page tells of one run: the model, the data and a fresh test, all opened once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vireid.data import Dataset, Protocol, open_dataset
from vireid.errors import UsageError
from vireid.evaluation import EvaluationResult, evaluate
from vireid.evaluation.open_set import Comparisons, collect
from vireid.evaluation.records import Origin, QueryRecords
from vireid.evaluation.scoring import FullScores, Pictures
from vireid.files import digest_of
from vireid.methods.bundle import Bundle
from vireid.methods.encoder import TorchEncoder, open_encoder
from vireid.report.album import Album
from vireid.training.measure import EmbeddingTable
from vireid.training.recipe import Recipe
from vireid.training.run import Run
from vireid.types import Embeddings, Modality, Say, Track, Trial, silent, untracked

__all__ = ["Material", "each", "open_material"]

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Material:
    """A run that was tested under a protocol.

    recipe is None and records are empty for a bundle without its run. rows: (N,) rows of the image table that
    `embeddings` are of, ascending. seed: of what is drawn for the page. What needs single scores looks at `trial`, the
    protocol's first.
    """

    name: str
    path: Path
    bundle: Bundle
    recipe: Recipe | None
    records: list[dict[str, Any]]
    dataset: Dataset
    protocol: Protocol
    trials: list[Trial]
    rows: IntArray
    embeddings: Embeddings[NDArray[Any]]
    result: EvaluationResult
    album: Album
    seed: int = 0
    device: str | None = None
    track: Track = field(default=untracked)

    @property
    def trial(self) -> Trial:
        return self.trials[0]

    @cached_property
    def identity(self) -> IntArray:
        """(N,) of every row of the image table."""
        found: IntArray = self.dataset.images["identity"].to_numpy()
        return found

    @cached_property
    def camera(self) -> IntArray:
        """(N,) of every row of the image table."""
        found: IntArray = self.dataset.images["camera"].to_numpy()
        return found

    @cached_property
    def labels(self) -> dict[Modality, IntArray]:
        """The classes that the run trained on last, by modality, aligned with its training pictures; -1 for none."""
        return Run(self.path).labels()

    @cached_property
    def scores(self) -> FloatArray:
        """(Q, G) of the first trial."""
        return self.scores_of(self.trial.query, self.trial.gallery)

    def scores_of(self, query: IntArray, gallery: IntArray) -> FloatArray:
        """(Q, G) of embedded rows."""
        everything = np.zeros((len(query), len(gallery)), np.bool_)
        trial = Trial(index=0, query=query, gallery=gallery, invalid=everything)
        matcher = self.bundle.matcher()
        pictures = Pictures(self.embeddings, self.rows, matcher, [trial])
        return FullScores(pictures, matcher, [trial], track=self.track).of(query, gallery, everything)

    @cached_property
    def comparisons(self) -> Comparisons:
        """Scores of the first trial's permitted pairs."""
        ids = self.identity[self.trial.query], self.identity[self.trial.gallery]
        return collect(self.scores, *ids, invalid=self.trial.invalid)[1]

    @cached_property
    def queries(self) -> QueryRecords:
        """Every query of every trial."""
        origin = Origin(
            bundle=self.bundle.digest,
            method=self.bundle.method_name,
            seed=self.bundle.card.seed,
            trained_on=self.bundle.card.dataset_fingerprint,
            configuration=self.configuration,
        )
        return QueryRecords.of(self.result, self.identity, origin=origin)

    @property
    def configuration(self) -> str:
        """What runs share that differ by seed alone (on RegDB, by split); a bundle without its recipe is its own."""
        if self.recipe is None:
            return self.bundle.digest
        changes: dict[str, Any] = {"seed": 0}
        if self.recipe.data.kind == "regdb":
            changes["data"] = self.recipe.data.model_copy(update={"protocol": None})
        recipe = self.recipe.model_copy(update=changes)
        return digest_of([recipe.digest, self.bundle.card.dataset_fingerprint])

    @cached_property
    def encoder(self) -> TorchEncoder:
        return open_encoder(self.bundle, device=self.device)


def each(told: Mapping[str, str]) -> str:
    """What is told of every run, by its name; of a single one without it."""
    return "; ".join([f"{name}: {text}" for name, text in told.items()] if len(told) > 1 else told.values())


def open_material(
    path: Path,
    *,
    data: Path | None = None,
    protocol: str | None = None,
    show_restricted: bool = False,
    seed: int = 0,
    device: str | None = None,
    track: Track = untracked,
    say: Say = silent,
) -> Material:
    """Open the run or bundle at `path` and test it; pictures that were embedded already are not embedded again.

    Raises:
        BundleError: there is no trained model. UsageError: no data, or no such protocol. DataError: incomplete data.
        LeakError: people of the test were trained on.
    """
    bundle, run = Bundle.open(path), Run(path)
    recipe = run.recipe() if run.recipe_file.is_file() else None
    root = data or (recipe.data.root if recipe else None)
    if root is None:
        raise UsageError(f"{path} is a bundle and does not know where its data lies; add --data PATH")
    dataset = open_dataset(bundle.card.dataset_kind, root)
    chosen = dataset.protocol(protocol or bundle.card.protocol)
    trials = chosen.trials()
    rows = np.unique(np.concatenate([side for trial in trials for side in (trial.query, trial.gallery)]))
    bundle.refuse_leak(dataset, rows)
    folder = path / "embeddings" if recipe else bundle.path.with_name(f"{bundle.path.name}-embeddings")
    table = EmbeddingTable(folder / f"{dataset.fingerprint[:16]}.npz", bundle.digest)
    embeddings = table.of(rows, dataset, lambda: open_encoder(bundle, device=device), track=track, say=say)
    return Material(
        name=path.absolute().name,
        path=path,
        bundle=bundle,
        recipe=recipe,
        records=run.records(),
        dataset=dataset,
        protocol=chosen,
        trials=trials,
        rows=rows,
        embeddings=embeddings,
        result=evaluate(chosen, embeddings, rows, bundle.matcher(), track=track),
        album=Album(shown=show_restricted or not dataset.restricted),
        seed=seed,
        device=device,
        track=track,
    )
