"""Which stripes of two pictures the score rests on: the score taken apart, and attention followed to where it read."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from vireid.methods.cmt.alignment import Aligned
from vireid.methods.explain import Explanation

__all__ = ["explain_by_parts"]


def explain_by_parts(
    query: Aligned,
    candidate: Aligned,
    scale: Tensor,
    shift: Tensor,
    *,
    by_part: bool,
    covered: Explanation | None = None,
) -> Explanation:
    """The cosine of one query and one candidate, as a sum over pairs of stripes.

    A complete part is the picture's own part plus a made one, and the numerator of the cosine is bilinear, so that the
    score is a sum of four kinds of products. Own parts count for their stripe. A made part counts for the stripes that
    it attended to, by their shares; the encoder has mixed stripes before, which this does not follow. What the shift
    alone contributes counts for the query's stripe on both sides. All weights together are the score.

    scale, shift: (d,), the query's. by_part: the mean of the parts' cosines instead of that of all parts as one.
    covered: takes the place of the sum, for a score that is none; the details are added to it.
    """
    details = {"scale of channels by the query": scale, "shift of channels by the query": shift}
    for name, side in (("query", query), ("candidate", candidate)):
        if side.attention is not None:
            details[f"prototype attention in the {name}"] = side.attention[0]
    arrays = {name: value.double().cpu().numpy() for name, value in details.items()}
    if covered is not None:
        return replace(covered, details=arrays)
    together = _pairs(query, candidate, scale.double(), shift.double(), by_part=by_part).cpu().numpy()
    return Explanation(
        score=float(together.sum()),
        query=together.sum(axis=1, keepdims=True),
        candidate=together.sum(axis=0)[:, None],
        together=together,
        details=arrays,
    )


def _pairs(query: Aligned, candidate: Aligned, scale: Tensor, shift: Tensor, *, by_part: bool) -> Tensor:
    """(p, p) share of the score of a query stripe (row) and a candidate stripe (column)."""
    complete, other = query.complete[0].double(), candidate.complete[0].double()
    changed = scale * other + shift
    if by_part:
        weight = 1 / (len(complete) * complete.norm(dim=1) * changed.norm(dim=1)).clamp(min=1e-12)
    else:
        weight = (1 / (complete.norm() * changed.norm()).clamp(min=1e-12)).expand(len(complete))
    together = torch.diag((complete @ shift) * weight)
    for left, left_shares in _terms(query):
        for right, right_shares in _terms(candidate):
            product = (left * scale * right).sum(dim=1) * weight
            together = together + torch.einsum("i,ij,ik->jk", product, left_shares, right_shares)
    return together


def _terms(side: Aligned) -> list[tuple[Tensor, Tensor]]:
    """The summands (p, d) of the complete parts, each with the share (p, p) that every stripe has in it."""
    own = side.own[0].double()
    terms = [(own, torch.eye(len(own), dtype=own.dtype, device=own.device))]
    if side.made is not None and side.attention is not None:
        terms.append((side.made[0].double(), side.attention[0].double()))
    return terms
