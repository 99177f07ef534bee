"""What a method is: a module with named losses and an embedding, and hooks with defaults for everything else."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vireid.errors import UsageError, WeightsError
from vireid.matching import Dot, Matcher
from vireid.methods.explain import Explanation, Shown, explain_by_covering
from vireid.networks.weights import LoadReport
from vireid.options import Options
from vireid.types import Batch, Clock, DataInfo, Embeddings, Modality, ViewRequest

__all__ = ["Labels", "Losses", "Method", "ParameterGroup", "TrainingPictures"]


class Losses(dict[str, Tensor]):
    """Named, weighted losses of one step, with the detached embeddings that `after_step` wants to see, if any."""

    def __init__(self, losses: Mapping[str, Tensor], *, embeddings: Mapping[str, Tensor] | None = None) -> None:
        super().__init__(losses)
        self.embeddings = dict(embeddings or {})


@dataclass(frozen=True, kw_only=True)
class ParameterGroup:
    """Parameters that share a learning rate: `rate` multiplies the recipe's."""

    name: str
    parameters: list[nn.Parameter]
    rate: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Labels:
    """Training classes per modality, aligned with the training pictures; -1 leaves a picture out.

    paired: a class means the same person in every modality.
    across_cameras: the pictures of a class are drawn from as many of its cameras as possible.
    matches: (visible classes,) the infrared class that each belongs with, -1 for none; None where nothing was matched.
    told: figures about how they were found, by modality or `matched`, for metrics.jsonl. notes: what a person should be
    told. Nothing that trains reads `matches`, `told` and `notes`.
    """

    of: Mapping[Modality, NDArray[np.int64]]
    paired: bool
    across_cameras: bool = False
    matches: NDArray[np.int64] | None = None
    told: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class TrainingPictures:
    """All training pictures as a method may see them between epochs: unaugmented, without identities.

    cameras, rows: (N,) of each modality; rows are those of the data set's image table, as in a batch's views.
    classes_per_batch: classes that a batch draws from each modality; labels with fewer cannot be trained on.
    labels: None unless the method is supervised.
    """

    def __init__(
        self,
        embeddings: Any,
        *,
        cameras: Mapping[Modality, NDArray[np.int64]],
        rows: Mapping[Modality, NDArray[np.int64]],
        classes_per_batch: int,
        labels: Labels | None,
    ) -> None:
        self._embeddings = embeddings
        self.cameras = cameras
        self.rows = rows
        self.classes_per_batch = classes_per_batch
        self.labels = labels

    def embed(self, modality: Modality) -> Embeddings[NDArray[Any]]:
        """Embeddings of one modality's pictures, in the order of `cameras[modality]`."""
        result: Embeddings[NDArray[Any]] = self._embeddings(modality)
        return result


class Method(nn.Module, ABC):
    """Base of every method. `name`, `Options`, `losses` and `embed` are required; the hooks have defaults.

    The training loop calls, per phase of `phases()` and epoch: `relabel`, then for every batch `losses`, one backward
    of their sum, the optimiser's step and `after_step`; at the end of a phase `end_phase`.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    Options: ClassVar[type[Options]]
    supervised: ClassVar[bool] = True

    def __init__(self, options: Any, data: DataInfo) -> None:
        super().__init__()
        self.options = options
        self.data = data

    @property
    def identities(self) -> int:
        """Number of training classes, for classifiers of methods that are trained with labels.

        Raises:
            UsageError: it is not known.
        """
        if self.data.identities is None:
            raise UsageError(f"{self.name} is trained with labels: DataInfo.identities must be a number")
        return self.data.identities

    @abstractmethod
    def losses(self, batch: Batch, clock: Clock) -> dict[str, Tensor]:
        """Named scalar losses, already weighted; the loop sums them."""

    @abstractmethod
    def embed(self, images: Tensor, modality: Modality) -> Embeddings[Tensor]:
        """Embeddings of normalised images (N, 3, H, W) of one modality; `vector` rows have unit length."""

    def forward(self, batch: Batch, clock: Clock) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """`losses` in a form that survives distributed wrappers: (losses, embeddings)."""
        losses = self.losses(batch, clock)
        return dict(losses), losses.embeddings if isinstance(losses, Losses) else {}

    def load_start(self, source: str) -> LoadReport | None:
        """Load start weights (`none`, `stand-in`, `imagenet` or a file) into the backbone.

        Raises:
            WeightsError: the method has no backbone to load, or the weights do not fit.
        """
        if source != "none":
            raise WeightsError(f"method {self.name!r} has no backbone to start from {source!r}; set start=none")
        return None

    def learnt(self) -> "Method":
        """What a bundle keeps of a training: this method, unless it only teaches another one."""
        return self

    def matcher(self) -> Matcher:
        """How embeddings are scored; the inner product of unit vectors unless the method says otherwise."""
        return Dot()

    def pair_scorer(self) -> nn.Module | None:
        """The network behind a `PairNetworkMatcher`, as an export writes it; None where the matcher has no network.

        Its forward takes tokens (V, T, C) of visible and (I, T, C) of infrared pictures and, of M pairs, which they are
        of, (M,) and (M,) int64; it returns logits (M,).
        """
        return None

    def explain(self, query: Shown, candidate: Shown) -> Explanation:
        """What matched in two pictures; the generic answer covers regions and looks at the score again."""
        return explain_by_covering(self, query, candidate)

    @classmethod
    def phases(cls, options: Any) -> tuple[str, ...]:  # noqa: ARG003 - hook
        """Names of the training phases in order; the recipe gives each its epochs, optimiser and schedule."""
        return ("train",)

    def views(self) -> dict[str, ViewRequest]:
        """The streams of pictures that a batch holds, by name."""
        return {modality.value: ViewRequest(modality=modality) for modality in Modality}

    def parameter_groups(self, phase: str) -> list[ParameterGroup]:  # noqa: ARG002 - hook
        """Trainable parameters of a phase, each once."""
        return [ParameterGroup(name="all", parameters=[p for p in self.parameters() if p.requires_grad])]

    def relabel(self, pictures: TrainingPictures, clock: Clock) -> Labels | None:  # noqa: ARG002 - hook
        """Labels for the coming epoch, or None to keep those in force."""
        return None

    def training_state(self) -> dict[str, Tensor]:
        """What `relabel` and `after_step` left for the steps to come and a trained model does not need (memories).

        Checkpoints keep it, of any shape and number from epoch to epoch; bundles do not.
        """
        return {}

    def load_training_state(self, state: Mapping[str, Tensor]) -> None:
        """Inverse of `training_state`; the tensors are on any device."""

    def after_step(self, batch: Batch, embeddings: Mapping[str, Tensor], clock: Clock) -> None:
        """Called after the optimiser's step without gradient, with what `losses` attached (memories live here)."""

    def end_phase(self, pictures: TrainingPictures, clock: Clock) -> None:
        """Called once after the last epoch of a phase, without gradient."""


def unit(vectors: Tensor) -> Tensor:
    """Rows of unit length, in fp32 whatever the autocast type."""
    return torch.nn.functional.normalize(vectors.float(), dim=-1)
