"""What stands between the pooled feature and the identity classifier."""

from torch import Tensor, nn

__all__ = ["BNNeck", "IdentityHead"]

_CLASSIFIER_STD = 1e-3


class BNNeck(nn.BatchNorm1d):
    """BatchNorm over (N, C) features whose bias stays at 0.

    Luo et al., "Bag of Tricks and a Strong Baseline for Deep Person Re-identification", CVPR Workshops 2019,
    section 3.6: the triplet loss sees the features before it, classifier and cosine retrieval those after it.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.bias.requires_grad_(False)


class IdentityHead(nn.Module):
    """`BNNeck`, then a linear classifier over the training identities, without bias."""

    def __init__(self, channels: int, identities: int) -> None:
        super().__init__()
        self.neck = BNNeck(channels)
        self.classifier = nn.Linear(channels, identities, bias=False)
        nn.init.normal_(self.classifier.weight, std=_CLASSIFIER_STD)

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Pooled features (N, C) -> features after the neck (N, C) and logits (N, identities)."""
        features = self.neck(pooled)
        return features, self.classifier(features)
