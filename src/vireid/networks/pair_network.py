"""The network that looks at a visible and an infrared picture together and says whether they show one person.

Xu and Niu, "BIT", CVPR 2026 (arXiv 2603.14243).
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from vireid.networks.cross_interaction import CrossInteraction, Prepared
from vireid.networks.patch_matching import ConfidenceAggregation, patch_scores
from vireid.types import Modality

__all__ = ["Looked", "PairNetwork", "PatchScoring"]

_SCALE = 16.0  # of cosines and of mean patch scores, before training


class PatchScoring(NamedTuple):
    """How patches are matched: `patch_scores` says what k, penalty, mutual and completion are.

    aggregate: a perceptron over the patches' scores, or their scaled mean.
    """

    k: int = 3
    penalty: float = 0.2
    mutual: bool = True
    completion: bool = True
    perceptron: bool = True


class Looked(NamedTuple):
    """What was seen in M pairs. logits, cosines: (M,) fp32.

    scores: (M, P) of the visible picture's patches, 0 for those that were left out; chosen: (M, T, T) bool and
    affinity: (M, T, T) of visible with infrared tokens. None where patches are not scored.
    """

    logits: Tensor
    cosines: Tensor
    scores: Tensor | None = None
    chosen: Tensor | None = None
    affinity: Tensor | None = None


class PairNetwork(nn.Module):
    """Cross interaction, then the scores of patches, or without `scoring` the scaled cosine of mean tokens.

    Rows of the patches' affinities are the visible picture's patches, whichever of the two is the query. Before
    patches are compared one LayerNorm, shared by both modalities, brings their tokens to a common size.

    channels: of the tokens given. width: of those that interact, by one linear map for both modalities; None: as given.
    patches: of a whole picture. kept: tokens of each picture that are given; None: those of all patches.
    """

    def __init__(
        self,
        interaction: CrossInteraction,
        *,
        channels: int,
        patches: int,
        scoring: PatchScoring | None,
        width: int | None = None,
        kept: int | None = None,
    ) -> None:
        super().__init__()
        self.interaction = interaction
        self.scoring = scoring
        self.patches, self.kept = patches, kept
        self.project = nn.Identity() if width is None else nn.Linear(channels, width)
        if scoring is not None:
            self.norm = nn.LayerNorm(width or channels, eps=1e-6)
        if scoring is not None and scoring.perceptron:
            self.aggregation = ConfidenceAggregation(patches)
        else:
            self.line = _Line()

    def prepare(self, tokens: Tensor, modality: Modality, places: Tensor | None = None) -> Prepared:
        """Patch tokens (N, T, C) of one modality's pictures -> what every pair they take part in starts from.

        places: (N, T) int64, which patches they are, where some were left out.
        """
        return self.interaction.prepare(self.project(tokens), modality, places)

    def forward(self, visible: Prepared, infrared: Prepared) -> Looked:
        """M visible and M infrared pictures, pair by pair."""
        sides = self.interaction(visible, infrared)
        means = [F.normalize(_exact(side).mean(dim=1), dim=1) for side in sides]
        cosines = (means[0] * means[1]).sum(dim=1)
        if self.scoring is None:
            return Looked(self.line(cosines), cosines)
        rows, columns = (self.norm(side) for side in sides)
        with torch.autocast(rows.device.type, enabled=False):
            products = _exact(rows) @ _exact(columns).mT / math.sqrt(rows.shape[2])
            scores, chosen, affinity = patch_scores(
                products,
                k=self.scoring.k,
                penalty=self.scoring.penalty,
                mutual=self.scoring.mutual,
                completion=self.scoring.completion,
            )
            if visible.places is not None:
                scores = scores.new_zeros(len(scores), self.patches).scatter(1, visible.places, scores)
            return Looked(self.aggregate(scores), cosines, scores, chosen, affinity)

    def aggregate(self, scores: Tensor) -> Tensor:
        """Scores (M, T) of visible patches -> logits (M,)."""
        perceptron = self.scoring is not None and self.scoring.perceptron
        logits: Tensor = self.aggregation(scores) if perceptron else self.line(scores.mean(dim=1))
        return logits

    def all_pairs(
        self, visible: Prepared, infrared: Prepared, *, chunk: int, looked: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """V and I prepared pictures -> logits and cosines (V, I) of all pairs, `chunk` of them at a time.

        A chunk keeps nothing but its results: the backward pass looks at it again, with the same dropout. So the chunk
        decides what is held in memory, and without dropout nothing else. looked: (V, I) bool, the pairs that are
        looked at, at least one; the others have 0. None: all.
        """
        shape = len(visible.tokens), len(infrared.tokens)
        wanted = torch.ones(shape, dtype=torch.bool) if looked is None else looked
        left, right = wanted.to(visible.tokens.device).nonzero(as_tuple=True)
        found = [
            checkpoint(self._some, visible, infrared, rows, columns, use_reentrant=False)
            for rows, columns in zip(torch.split(left, chunk), torch.split(right, chunk), strict=True)
        ]
        logits, cosines = (
            torch.zeros(shape, dtype=part[0].dtype, device=left.device).index_put((left, right), torch.cat(part))
            for part in zip(*found, strict=True)
        )
        return logits, cosines

    def _some(self, visible: Prepared, infrared: Prepared, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
        seen = self(visible.rows(rows), infrared.rows(columns))
        return seen.logits, seen.cosines


class _Line(nn.Module):
    """values * scale + bias, both learnt."""

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.bias = nn.Parameter(torch.tensor(_SCALE)), nn.Parameter(torch.tensor(0.0))

    def forward(self, values: Tensor) -> Tensor:
        return self.scale * values + self.bias


def _exact(tokens: Tensor) -> Tensor:
    """At least fp32: the choice of patches and saturating softmaxes do not bear less."""
    return tokens.to(torch.promote_types(tokens.dtype, torch.float32))
