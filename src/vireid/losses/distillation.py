"""What a slow scorer of pairs, or a large network, knows, taught to vectors."""

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["pair_distillation", "similarity_distillation", "vector_distillation"]

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


def vector_distillation(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean of 1 - cosine of a student's vectors (N, D), of any length, and a teacher's unit rows (N, D), in fp32.

    The form of FitNets (Romero et al., ICLR 2015) for vectors that are compared by their angle.
    """
    return 1 - (F.normalize(student.float(), dim=1) * teacher.detach().float()).sum(dim=1).mean()


def similarity_distillation(student: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
    """How much else a picture's likeness to the others of a batch is to the student than to the teacher; in fp32.

    student: (N, D) and teacher: (N, E) unit rows, N at least 2. `pair_distillation` of their cosines, a picture's with
    itself left out. Widths may differ: only what is like what is taught. (Tung and Mori, "Similarity-Preserving
    Knowledge Distillation", ICCV 2019; the divergence is that of Passalis and Tefas, "Learning Deep Representations
    with Probabilistic Knowledge Transfer", ECCV 2018.)
    """
    with torch.autocast(student.device.type, enabled=False):
        own, theirs = (rows.float() @ rows.float().T for rows in (student, teacher.detach()))
    others = ~torch.eye(len(own), dtype=torch.bool, device=own.device)
    return pair_distillation(theirs / temperature, own, temperature=temperature, looked=others)


def _divergence(teacher: Tensor, student: Tensor) -> Tensor:
    """Mean over rows."""
    return F.kl_div(student.log_softmax(dim=1), teacher.log_softmax(dim=1), reduction="batchmean", log_target=True)
