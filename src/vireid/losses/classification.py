"""Cross-entropy over training identities."""

from torch import Tensor
from torch.nn import functional as F

__all__ = ["identity_loss"]


def identity_loss(logits: Tensor, labels: Tensor, *, smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy of logits (N, identities) and labels (N,) int64; a scalar, in fp32 under autocast.

    smoothing: share of the target spread evenly over all identities (Szegedy et al., "Rethinking the Inception
    Architecture for Computer Vision", CVPR 2016, section 7). A departure from implementations that share it among
    the other identities only: there the target is larger by smoothing / identities.
    """
    return F.cross_entropy(logits.float(), labels, label_smoothing=smoothing)
