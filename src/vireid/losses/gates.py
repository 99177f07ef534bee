"""Channel gates that pictures of one person share and other people do not."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["GateForm", "gate_consistency"]

GateForm = Literal["variance", "cosine", "pull"]

_LIKE = 0.3  # cosine of centred gates above which different people are pushed apart


def gate_consistency(gates: Tensor, labels: Tensor, *, margin: float = 0.01, form: GateForm = "variance") -> Tensor:
    """How much the gates (N, C) differ within a class, and how little between classes; a scalar in fp32.

    The paper says only that weights of one identity should agree and of others differ; this is our form.

    variance: mean over pictures of the squared distance to their class's mean, divided by C, plus the mean over pairs
    of classes of [margin - squared distance of their means / C]+. pull: the first term alone. cosine: of the logits of
    the gates, less their mean over the batch, 1 - cos over pairs of one class plus [cos - 0.3]+ over pairs of two.
    A term with nothing to compare is 0. Labels below 0 do not count.
    """
    kept = labels >= 0
    gates, labels = gates[kept].float(), labels[kept]
    if len(labels) == 0:
        return gates.sum()
    if form == "cosine":
        return _cosine_form(gates, labels)
    present, place = torch.unique(labels, return_inverse=True)
    member = (torch.arange(len(present), device=place.device)[:, None] == place).float()
    with torch.autocast(gates.device.type, enabled=False):
        means = (member / member.sum(dim=1, keepdim=True)) @ gates
    within: Tensor = (gates - means[place]).square().mean(dim=1).mean()
    if form == "pull" or len(present) < 2:
        return within
    apart = (means[:, None] - means[None]).square().mean(dim=2)
    other = ~torch.eye(len(present), dtype=torch.bool, device=gates.device)
    repelled: Tensor = (margin - apart[other]).clamp(min=0).mean()
    return within + repelled


def _cosine_form(gates: Tensor, labels: Tensor) -> Tensor:
    logits = torch.logit(gates, eps=1e-6)
    centred = F.normalize(logits - logits.mean(dim=0), dim=1)
    with torch.autocast(gates.device.type, enabled=False):
        cosines = centred @ centred.T
    same = labels[:, None] == labels
    own = same & ~torch.eye(len(labels), dtype=torch.bool, device=gates.device)
    terms = [(1 - cosines[own]).mean()] if bool(own.any()) else []
    if not bool(same.all()):
        terms.append((cosines[~same] - _LIKE).clamp(min=0).mean())
    return torch.stack(terms).sum() if terms else gates.sum() * 0
