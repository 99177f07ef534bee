"""What a slow scorer of pairs knows, taught to vectors."""

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["pair_distillation"]

_NEVER = -1e4  # finite, so that a weight of 0 times it is 0


def pair_distillation(logits: Tensor, cosines: Tensor, *, temperature: float, looked: Tensor | None = None) -> Tensor:
    """Divergence of the order that cosines give from that which a pair network gives; a scalar, in fp32.

    logits: (V, I) of the network, which is not changed by this. cosines: (V, I) of vectors. looked: (V, I) bool, pairs
    that count, at least one a row and a column; None: all. The Kullback-Leibler divergence from softmax(logits) to
    softmax(cosines / temperature), in every row and in every column; the mean over rows and that over columns,
    averaged. (Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015.)
    """
    teacher = logits.detach().float()
    student = cosines.to(torch.promote_types(cosines.dtype, torch.float32)) / temperature
    if looked is not None:
        teacher, student = (values.masked_fill(~looked, _NEVER) for values in (teacher, student))
    return (_divergence(teacher, student) + _divergence(teacher.T, student.T)) / 2


def _divergence(teacher: Tensor, student: Tensor) -> Tensor:
    """Mean over rows."""
    return F.kl_div(student.log_softmax(dim=1), teacher.log_softmax(dim=1), reduction="batchmean", log_target=True)
