"""What searches return: the best, the worst, and some that nobody chose."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vireid.matching import best_of
from vireid.report.blocks import Block, Hit, Ranking, Section, Text
from vireid.report.material import Material

__all__ = ["HIDDEN", "chosen_queries", "hit_of", "ranked", "ranked_gallery"]

HIDDEN = (
    "The pictures of this data set may not be passed on without leave, so that only their words stand here; whoever "
    "has that leave adds --show-restricted."
)
_HITS = 10
_EACH = {"best": 3, "worst": 3, "random": 4}

IntArray = NDArray[np.int64]


def ranked(run: Material) -> Section:
    """Ranked lists of the first trial."""
    blocks: list[Block] = [] if run.album.shown else [Text(HIDDEN)]
    kinds = chosen_queries(run)
    places = np.concatenate(list(kinds.values()))
    names = [kind for kind, found in kinds.items() for _ in found]
    gallery, scores = ranked_gallery(run, places)
    ap = np.asarray(run.result.trials[0].ranking.ap)[places]
    for number, kind in enumerate(names):
        query = int(run.trial.query[places[number]])
        person = run.identity[query]
        blocks.append(
            Ranking(
                f"{kind.capitalize()}: average precision {100 * ap[number]:.1f} %",
                hit_of(run, query, f"camera {run.camera[query]}"),
                [
                    hit_of(run, row, f"camera {run.camera[row]}, {score:.3f}", right=bool(run.identity[row] == person))
                    for row, score in zip(gallery[number], scores[number], strict=True)
                    if row >= 0
                ],
            )
        )
    return Section("Ranked answers", blocks)


def ranked_gallery(run: Material, places: IntArray, count: int = _HITS) -> tuple[IntArray, NDArray[Any]]:
    """Rows of the image table (P, count), best first, and their scores, for the queries at `places` of the first trial.

    -1 where the protocol permits fewer.
    """
    indices, scores = best_of(run.scores[places], count, invalid=run.trial.invalid[places])
    return np.where(indices < 0, -1, run.trial.gallery[indices]), scores


def chosen_queries(run: Material) -> dict[str, IntArray]:
    """Places among the first trial's queries, each of another person: by AP, and drawn by the seed."""
    ranking = run.result.trials[0].ranking
    valid = np.flatnonzero(np.asarray(ranking.valid))
    ap, rng = np.asarray(ranking.ap)[valid], np.random.default_rng(run.seed)
    orders = {
        "best": valid[np.argsort(-ap, kind="stable")],
        "worst": valid[np.argsort(ap, kind="stable")],
        "random": rng.permutation(valid),
    }
    taken: set[int] = set()
    return {kind: np.array(_first(run, order, taken, _EACH[kind]), np.int64) for kind, order in orders.items()}


def hit_of(run: Material, row: int, about: str, *, right: bool | None = None) -> Hit:
    picture = run.album.of(str(run.dataset.images["path"].iloc[row]))
    return Hit(picture, f"person {run.identity[row]}", about, right)


def _first(run: Material, order: Iterable[int], taken: set[int], count: int) -> list[int]:
    """The first places in `order` that show people who were not taken."""
    found: list[int] = []
    for place in order:
        person = int(run.identity[run.trial.query[place]])
        if len(found) < count and person not in taken:
            taken.add(person)
            found.append(int(place))
    return found
