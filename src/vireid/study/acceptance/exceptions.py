"""The three ways in which a place may tell a person, as in the real sets, and that a seed says every byte."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vireid.data import Dataset, Protocol, open_dataset
from vireid.data.protocol import Draw, Rule
from vireid.data.synthetic import LAYOUTS, synthesize
from vireid.study.acceptance.edges import EdgeMaps
from vireid.study.acceptance.findings import Finding
from vireid.study.acceptance.oracle import factor_table
from vireid.study.acceptance.retrieval import Score, protocol_rows, retrieve
from vireid.types import Modality

__all__ = ["exceptions", "inflation", "location_rule", "one_walk", "same_bytes", "same_place"]

FloatArray = NDArray[np.floating[Any]]
BoolArray = NDArray[np.bool_]

SHARED_ROOM = 3
"""SYSU-MM01's infrared camera that hangs in the room of visible camera 2."""
QUERIES, TRIALS = 300, 2
"""What the location rule is judged on: comparing edges under every shift takes its time."""
INFLATION = 5.0
"""Points of rank-1 that dropping the location rule must add at least."""
PLACE_LIFT = 2.0
"""How many times better a shared place must match than other places do."""
ONE_WALK = 0.25
"""Radians by which mean headings of one walk may differ between the modalities."""


def location_rule(dataset: Dataset) -> Finding:
    """Points of rank-1 by shifted edges that camera 3's queries win if camera 2's pictures may be found."""
    edges = EdgeMaps.of(dataset, protocol_rows(_of_camera(dataset.protocol("all-single-agw"), SHARED_ROOM)))
    return inflation(dataset, edges.score, by="edges", queries=QUERIES)


def inflation(dataset: Dataset, score: Score, *, by: str, queries: int | None = None) -> Finding:
    """The same by any score; `queries` bounds how many take part."""
    kept = _of_camera(dataset.protocol("all-single-agw"), SHARED_ROOM, queries=queries)
    with_rule, without = (retrieve(each, score).rank1 for each in (kept, replace(kept, rule=Rule.NONE)))
    return Finding(
        name=f"SYSU: rank-1 of camera 3 that dropping the location rule adds, by {by}",
        value=without - with_rule,
        unit="points",
        low=INFLATION,
        note=f"{with_rule:.1f} % with the rule, {without:.1f} % without",
    )


def same_place(backgrounds: Dataset) -> Finding:
    """How much better scenes without people match inside one LLCM camera than across cameras; `only=background`."""
    images = backgrounds.images
    edges = EdgeMaps.of(backgrounds, np.arange(len(images)))
    visible, infrared = (backgrounds.rows(modality=modality) for modality in Modality)
    scores = edges.score(infrared, visible)
    identity, camera = ((images[n].to_numpy()[infrared], images[n].to_numpy()[visible]) for n in ("identity", "camera"))
    place = camera[0][:, None] == camera[1][None]
    right = identity[0][:, None] == identity[1][None]
    lift = {word: _lift(scores, right, allowed) for word, allowed in (("same", place), ("other", ~place))}
    return Finding(
        name="LLCM: background-only rank-1 at one place, in multiples of chance, over that between places",
        value=lift["same"] / max(lift["other"], 1.0),
        unit="times",
        low=PLACE_LIFT,
        note=f"{lift['same']:.1f} times chance at one place, {lift['other']:.1f} times between places",
    )


def _lift(scores: FloatArray, right: BoolArray, allowed: BoolArray) -> float:
    """Rank-1 over the allowed pairs, in multiples of what a random allowed picture would reach."""
    asked = (right & allowed).any(axis=1)
    best = np.where(allowed, scores, -np.inf).argmax(axis=1)
    hit = right[np.arange(len(right)), best][asked].mean()
    chance = ((right & allowed).sum(axis=1) / np.maximum(allowed.sum(axis=1), 1))[asked].mean()
    return float(hit / chance)


def one_walk(dataset: Dataset) -> Finding:
    """Greatest difference between the mean headings of a RegDB person's visible and infrared pictures, in radians."""
    table = factor_table(dataset)
    turned = np.exp(1j * table["heading"].to_numpy())
    mean = table.assign(turn=turned).groupby(["identity", "modality"])["turn"].mean().unstack()
    apart = np.abs(np.angle(mean["visible"] * np.conj(mean["infrared"])))
    return Finding(
        name="RegDB: greatest difference in mean heading between the modalities of one person",
        value=float(apart.max()),
        unit="radians",
        high=ONE_WALK,
    )


def same_bytes(folder: Path, *, preset: str = "tiny", seed: int = 0, workers: Sequence[int] = (1, 2, 3)) -> Finding:
    """How many files of any layout differ between sets rendered by one, two and three processes, in `folder`."""
    differing = 0
    for layout in LAYOUTS:
        found = []
        for count in workers:
            root = folder / f"{layout}-{count}"
            synthesize(root, layout=layout, preset=preset, seed=seed, workers=count)
            found.append(_digests(root))
        names = set().union(*found)
        differing += sum(len({digests.get(name) for digests in found}) > 1 for name in names)
    told = ", ".join(map(str, workers))
    return Finding(
        name="files that differ between sets of one seed",
        value=differing,
        unit="",
        high=0,
        note=f"preset {preset}, layouts {', '.join(LAYOUTS)}, processes {told}",
    )


def exceptions(sysu: Dataset, folder: Path, *, seed: int, workers: int = 1) -> list[Finding]:
    """All three, on `sysu` and on small sets of the other layouts rendered into `folder`."""
    synthesize(folder / "llcm", layout="llcm", preset="tiny", seed=seed, workers=workers, only="background")
    synthesize(folder / "regdb", layout="regdb", preset="tiny", seed=seed, workers=workers)
    return [
        location_rule(sysu),
        same_place(open_dataset("llcm", folder / "llcm")),
        one_walk(open_dataset("regdb", folder / "regdb")),
    ]


def _of_camera(protocol: Protocol, camera: int, *, queries: int | None = None) -> Protocol:
    """The first trials of the protocol with queries of one camera, at most about `queries` of them."""
    seen = protocol.images["camera"].to_numpy()
    rows = protocol.draws[0].query[seen[protocol.draws[0].query] == camera]
    some = rows if queries is None else rows[:: max(1, len(rows) // queries)]
    return replace(protocol, draws=tuple(Draw(some, draw.gallery) for draw in protocol.draws[:TRIALS]))


def _digests(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }
