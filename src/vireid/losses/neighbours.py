"""Contrast of pictures with their neighbours in a bank of all pictures."""

from typing import Literal

import torch
from torch import Tensor

__all__ = ["neighbour_contrast"]


def neighbour_contrast(
    queries: Tensor,
    bank: Tensor,
    begins: Tensor,
    columns: Tensor,
    *,
    temperature: float,
    weights: Tensor | None = None,
    reduction: Literal["macro", "micro"] = "macro",
) -> Tensor:
    """-log softmax(bank . query / temperature) at the query's neighbours, averaged; a scalar in fp32.

    Yang, Chen and Ye, "Shallow-Deep Collaborative Learning for Unsupervised Visible-Infrared Person
    Re-Identification", CVPR 2024, in the form of one logsumexp a query and a look-up a pair: a cross-entropy for every
    pair would compute the same denominator again for each.

    Args:
        queries: (B, D) unit rows. bank: (M, D) unit rows; it gets no gradient.
        begins, columns: (B + 1,) and (P,): the neighbours of query i are columns[begins[i]:begins[i + 1]].
        weights: (P,) of each neighbour, positive; None: all alike.
        reduction: `macro` averages over a query's neighbours, then over the queries that have any; `micro` over pairs.

    Where there is no neighbour at all, the loss is an exact 0 without gradient.
    """
    if len(columns) == 0:
        return queries.new_zeros((), dtype=torch.float32)
    exact = torch.promote_types(queries.dtype, torch.float32)
    counts = begins.diff()
    rows = torch.repeat_interleave(torch.arange(len(queries), device=columns.device), counts)
    with torch.autocast(queries.device.type, enabled=False):  # neighbours are counted here too, in products
        logits = queries.to(exact) @ bank.detach().to(exact).T / temperature
        pairs = logits.logsumexp(dim=1)[rows] - logits[rows, columns]
        share = torch.ones_like(pairs) if weights is None else weights.to(exact)
        if reduction == "micro":
            return (share * pairs).sum() / share.sum()
        # Sums of each query's pairs as a product: scattered sums are not reproducible on every device.
        own = (rows == torch.arange(len(queries), device=rows.device)[:, None]).to(exact)
        totals, weight = own @ (share * pairs), own @ share
        some = counts > 0
        return (totals[some] / weight[some]).mean()
