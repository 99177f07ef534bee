"""What matched, for CAL: the score is a sum over pairs of positions, so it is divided among them without covering any.

A part is its picture's features averaged by attention, so the cosine of two parts is a sum over pairs of positions of
attention x attention x product of gated features / lengths. Shares of a pair of regions add up to the score.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vireid.methods.cal.adapter import Prepared, attend, read
from vireid.methods.explain import GRID, Explanation, MatchedPart

__all__ = ["Side", "explain_parts"]

FloatArray = NDArray[np.float64]


class Side(NamedTuple):
    """One picture: what the adapter knows of it, its mined regions if any, and rows and columns of its map."""

    prepared: Prepared
    masks: Tensor | None
    shape: tuple[int, int]


class _Looked(NamedTuple):
    """Parts looked up in a map: attention (parts, positions), and each position's share (parts, positions, C) of them,
    divided by their lengths."""

    attention: Tensor
    shares: Tensor


def explain_parts(query: Side, candidate: Side, *, retrieval: str) -> Explanation:
    """Shares of the score of `retrieval` (an option of CAL), by regions of the usual grid and by parts."""
    directions = []
    if retrieval in {"self", "target-aware"}:
        asks = query if retrieval == "target-aware" else candidate
        directions.append((_look(query, query), _look(candidate, asks)))
    else:
        directions.append((_look(query, query), _look(candidate, query)))
        directions.append((_look(query, candidate), _look(candidate, candidate)))
    between = torch.stack([torch.einsum("pxc,pyc->pxy", a.shares, b.shares) for a, b in directions]).mean(dim=0)
    weights = between.sum(dim=(1, 2)) / len(between)
    positions = (between.mean(dim=0)).double().cpu().numpy()
    rows, columns = _regions(query.shape), _regions(candidate.shape)
    together = rows @ positions @ columns.T
    attention = [torch.stack([pair[side].attention for pair in directions]).mean(dim=0) for side in (0, 1)]
    return Explanation(
        score=float(weights.double().sum()),
        query=together.sum(axis=1).reshape(GRID),
        candidate=together.sum(axis=0).reshape(GRID),
        together=together,
        parts=tuple(
            MatchedPart(
                name=f"part {part + 1}",
                weight=float(weights[part]),
                query=_picture(attention[0][part], query.shape),
                candidate=_picture(attention[1][part], candidate.shape),
                query_region=None if query.masks is None else _picture(query.masks[0, part], query.shape),
                candidate_region=None
                if candidate.masks is None
                else _picture(candidate.masks[0, part], candidate.shape),
            )
            for part in range(len(weights))
        ),
    )


def _look(seen: Side, asks: Side) -> _Looked:
    """The parts that `asks` queries, looked up in the map of `seen`."""
    tokens, keys, gates = seen.prepared.tokens, seen.prepared.keys, asks.prepared.gates
    attention = attend(keys, asks.prepared.queries)
    lengths = torch.linalg.vector_norm(read(attention, tokens, gates).float(), dim=2).clamp(min=1e-12)
    shares = attention[0, :, :, None] * tokens[0].float()[None] * (gates[0].float() / lengths[0, :, None])[:, None]
    return _Looked(attention[0], shares)


def _regions(shape: tuple[int, int]) -> FloatArray:
    """(regions, positions) share of every position of a map that lies in each region of the grid; columns sum to 1."""
    weights: FloatArray = np.kron(_overlaps(shape[0], GRID[0]), _overlaps(shape[1], GRID[1])).astype(np.float64)
    return weights


def _overlaps(positions: int, regions: int) -> FloatArray:
    """(regions, positions) shares of equal intervals on one line."""
    edges, cuts = np.arange(positions + 1) / positions, np.arange(regions + 1) / regions
    ends = np.minimum(edges[None, 1:], cuts[1:, None]) - np.maximum(edges[None, :-1], cuts[:-1, None])
    shares: FloatArray = ends.clip(min=0) * positions
    return shares


def _picture(values: Tensor, shape: tuple[int, int]) -> FloatArray:
    found: FloatArray = values.double().cpu().numpy().reshape(shape)
    return found
