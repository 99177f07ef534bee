"""Modality-level alignment: part features are refined, and completed by those of the modality that was not seen."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vireid.methods.cmt.options import ModalityOptions
from vireid.types import Modality

__all__ = ["Aligned", "ModalityAlignment", "PrototypeDecoder"]

_PROTOTYPE_STD = 0.02


@dataclass(frozen=True, kw_only=True)
class Aligned:
    """Part features of N pictures of one modality.

    complete: (N, p, d), what is compared: own + made. own: (N, p, d). made: (N, p, d), the other modality's features,
    None where none are made. attention: (N, p, p), the share that a made part (row) took of each part of the picture
    (column), mean over heads, None with `made`.
    """

    complete: Tensor
    own: Tensor
    made: Tensor | None = None
    attention: Tensor | None = None


class PrototypeDecoder(nn.Module):
    """Makes the missing modality's part features out of a picture's, guided by learnt prototypes of that modality.

    One bank of p prototypes a modality, the decoder shared by both. The prototypes attend to one another, whatever the
    picture, and then to the picture's parts. Read literally, what they gather is the result; `residual` adds the
    prototypes themselves, which are the same for every picture, and `feed_forward` a further layer.
    """

    def __init__(
        self, parts: int, channels: int, heads: int, *, residual: bool, feed_forward: int | None = None
    ) -> None:
        super().__init__()
        self.prototypes = nn.ParameterDict(
            {modality.value: nn.Parameter(_PROTOTYPE_STD * torch.randn(parts, channels)) for modality in Modality}
        )
        self.self_attention = nn.MultiheadAttention(channels, heads, batch_first=True)
        self.self_norm = nn.LayerNorm(channels)
        self.cross_attention = nn.MultiheadAttention(channels, heads, batch_first=True)
        self.cross_norm = nn.LayerNorm(channels) if residual else None
        self.feed_forward = _feed_forward(channels, feed_forward) if feed_forward else None
        self.last_norm = nn.LayerNorm(channels) if feed_forward else None

    def queries(self, modality: Modality) -> Tensor:
        """(p, d) prototypes of `modality` after their attention to one another; no picture takes part."""
        prototypes = self.prototypes[modality.value]
        attended, _ = self.self_attention(*[prototypes[None]] * 3, need_weights=False)
        normalised: Tensor = self.self_norm(prototypes + attended[0])
        return normalised

    def forward(self, refined: Tensor, modality: Modality) -> tuple[Tensor, Tensor]:
        """Refined parts (N, p, d) of pictures of `modality` -> the other modality's (N, p, d), attention (N, p, p)."""
        queries = self.queries(modality.other).expand(refined.shape[0], -1, -1)
        made, attention = self.cross_attention(queries, refined, refined)
        if self.cross_norm is not None:
            made = self.cross_norm(queries + made)
        if self.feed_forward is not None and self.last_norm is not None:
            made = self.last_norm(made + self.feed_forward(made))
        return made, attention


class ModalityAlignment(nn.Module):
    """Encoder and decoder. The completed feature adds what was made to the features as they were before the encoder."""

    def __init__(self, parts: int, channels: int, options: ModalityOptions) -> None:
        super().__init__()
        hidden = options.feed_forward * channels
        layer = nn.TransformerEncoderLayer(channels, options.heads, hidden, options.dropout, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, options.layers, enable_nested_tensor=False)
        self.decoder = (
            PrototypeDecoder(
                parts,
                channels,
                options.heads,
                residual=options.decoder_residual,
                feed_forward=hidden if options.decoder_feed_forward else None,
            )
            if options.compensation
            else None
        )

    def forward(self, own: Tensor, modality: Modality) -> Aligned:
        """Part features (N, p, d) of pictures of one modality."""
        refined = self.encoder(own)
        if self.decoder is None:
            return Aligned(complete=refined, own=refined)
        made, attention = self.decoder(refined, modality)
        return Aligned(complete=own + made, own=own, made=made, attention=attention)


def _feed_forward(channels: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels))
