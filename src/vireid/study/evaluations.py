"""The evaluation file that `vireid evaluate` leaves beside a model."""

from __future__ import annotations

from pathlib import Path

from vireid.data import Protocol
from vireid.evaluation import EvaluationResult
from vireid.evaluation.records import EVALUATIONS, Origin, QueryRecords
from vireid.methods.bundle import Bundle
from vireid.training.recipe import Recipe
from vireid.training.run import Run

__all__ = ["configuration_of", "keep_evaluation"]


def keep_evaluation(model: Path, bundle: Bundle, protocol: Protocol, result: EvaluationResult) -> Path:
    """Write the queries of `result` into the run folder `model`, or beside the bundle that it is; returns the file.

    Raises:
        OSError: it cannot be written there.
    """
    run = Run(model)
    known = run.recipe_file.is_file()
    origin = Origin(
        bundle=bundle.digest,
        method=bundle.method_name,
        seed=bundle.card.seed,
        trained_on=bundle.card.dataset_fingerprint,
        configuration=configuration_of(run.recipe()) if known else None,
    )
    folder = model / EVALUATIONS if known else bundle.path.with_name(f"{bundle.path.name}-{EVALUATIONS}")
    return QueryRecords.of(result, protocol.images["identity"].to_numpy(), origin=origin).save(folder)


def configuration_of(recipe: Recipe) -> str:
    """SHA-256 of a recipe without its seed, and on RegDB without the split: what runs of one configuration share."""
    changes: dict[str, object] = {"seed": 0}
    if recipe.data.kind == "regdb":
        changes["data"] = recipe.data.model_copy(update={"protocol": None})
    return recipe.model_copy(update=changes).digest
