"""What differs between a reproduction and what was published, as rows that its result carries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from vireid.data import Dataset
from vireid.methods.bundle import Bundle
from vireid.study.published import Published
from vireid.training.recipe import Recipe, load_recipe

__all__ = ["deviations_of"]

_NO_MATTER = {"data.root", "data.cache", "workers", "checkpoint_every"}
_SPLITS = 10


def deviations_of(
    paper: Published, dataset: Dataset, bundles: Sequence[Bundle], protocols: Iterable[str], *, recipe: Recipe | None
) -> list[dict[str, str]]:
    """Known departures of vireid, changes to the shipped recipe, and what of the published evaluation is missing.

    recipe: what was trained by; None where released models are tested.
    """
    known = paper.departures(dataset.kind, trained=recipe is not None)
    rows = [(one.what, one.paper, one.here) for one in known]
    rows += _changes(recipe, f"{paper.recipe}-{dataset.kind}") if recipe else _unknown(bundles)
    if dataset.kind == "regdb" and len(bundles) < _SPLITS:
        rows.append(("splits of RegDB", f"mean over {_SPLITS}", f"{len(bundles)}: {', '.join(protocols)}"))
    missing = [name for name in dataset.known_protocols() if name not in dataset.protocols()]
    if missing:
        rows.append(("protocols that this copy cannot serve", "", ", ".join(missing)))
    return [{"what": what, "paper": there, "here": here} for what, there, here in rows]


def _changes(recipe: Recipe, shipped: str) -> list[tuple[str, str, str]]:
    """Values of the recipe that are not the shipped ones; on RegDB the split is no change."""
    skipped = _NO_MATTER | ({"data.protocol"} if recipe.data.kind == "regdb" else set())
    old, new = _flat(load_recipe(shipped).resolved()), _flat(recipe.resolved())
    return [
        (f"recipe: {key}", f"{old.get(key)} ({shipped})", str(new.get(key)))
        for key in dict.fromkeys([*old, *new])
        if key not in skipped and old.get(key) != new.get(key)
    ]


def _unknown(bundles: Sequence[Bundle]) -> list[tuple[str, str, str]]:
    rows = [("weights", "", bundle.card.imported) for bundle in bundles if bundle.card.imported]
    if any(not bundle.card.identities for bundle in bundles):
        rows.append(("people trained on", "none of the test", "unknown: not checked against the test's"))
    return rows


def _flat(values: Any, prefix: str = "") -> dict[str, Any]:
    """Values by dotted path; phases by their name."""
    if isinstance(values, list) and values and isinstance(values[0], dict):
        values = {str(item.get("name", place)): item for place, item in enumerate(values)}
    if not isinstance(values, dict):
        return {prefix: values}
    return {
        key: value
        for name, child in values.items()
        for key, value in _flat(child, f"{prefix}.{name}" if prefix else str(name)).items()
    }
