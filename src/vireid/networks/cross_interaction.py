"""Bidirectional cross interaction: the tokens of a visible and an infrared picture read each other, block by block.

Xu and Niu, "BIT", CVPR 2026 (arXiv 2603.14243). Attention over several heads is Vaswani et al., "Attention Is All You
Need", NeurIPS 2017, in blocks that normalise first.
"""

from typing import Literal, NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

from vireid.errors import UsageError
from vireid.types import Modality

__all__ = ["CrossInteraction", "CrossReadingBlock", "Direction", "Prepared"]

Direction = Literal["both", "visible", "infrared"]
VISIBLE, INFRARED = Modality.VISIBLE, Modality.INFRARED


class Prepared(NamedTuple):
    """Tokens (N, T, C) of one modality's pictures, with what the first block makes of each picture by itself.

    asked: (N, T, C) queries. offered: (N, T, 2 C) keys and values for the other modality's pictures. None where the
    direction does not need them. places: (N, T) int64, which patches of the picture the tokens are; None: all.
    """

    tokens: Tensor
    asked: Tensor | None
    offered: Tensor | None
    places: Tensor | None = None

    def rows(self, index: Tensor) -> "Prepared":
        """Pictures by an index tensor (M,): how pairs are put together."""
        return Prepared(*(None if part is None else part[index] for part in self))  # type: ignore[arg-type]

    def one(self, number: int, count: int) -> "Prepared":
        """One picture as the partner of `count` others, without copies."""
        parts = (
            None if part is None else part[number : number + 1].expand(count, -1, *part.shape[2:]) for part in self
        )
        return Prepared(*parts)  # type: ignore[arg-type]


class CrossReadingBlock(nn.Module):
    """One stream's block: tokens x that read a partner's tokens y.

    x' = x + O attention(Q norm(x), K norm(y), V norm(y)), and x' + W2 gelu(W1 norm2(x')).
    """

    def __init__(self, channels: int, *, heads: int, ratio: int = 4, dropout: float = 0.0) -> None:
        super().__init__()
        if channels % heads:
            raise UsageError(f"{heads} heads do not divide {channels} channels; take a divisor")
        self.heads = heads
        self.dropout = dropout
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.query = nn.Linear(channels, channels)
        self.key_value = nn.Linear(channels, 2 * channels)
        self.out = nn.Linear(channels, channels)
        self.norm_between = nn.LayerNorm(channels, eps=1e-6)
        self.widen = nn.Linear(channels, ratio * channels)
        self.narrow = nn.Linear(ratio * channels, channels)

    def asked(self, tokens: Tensor) -> Tensor:
        """Queries (M, T, C) of the stream's own tokens (M, T, C)."""
        queries: Tensor = self.query(self.norm(tokens))
        return queries

    def offered(self, partner: Tensor) -> Tensor:
        """Keys and values (M, T, 2 C) of the partner's tokens (M, T, C)."""
        pairs: Tensor = self.key_value(self.norm(partner))
        return pairs

    def forward(self, tokens: Tensor, asked: Tensor, offered: Tensor) -> Tensor:
        """Tokens (M, T, C), their queries and the partner's keys and values -> tokens that have read (M, T, C)."""
        key, value = offered.chunk(2, dim=-1)
        read = F.scaled_dot_product_attention(self._split(asked), self._split(key), self._split(value))
        read = self.out(read.transpose(1, 2).flatten(2))
        tokens = tokens + self._dropped(read)
        return tokens + self._dropped(self.narrow(self._dropped(F.gelu(self.widen(self.norm_between(tokens))))))

    def _split(self, tokens: Tensor) -> Tensor:
        """(M, T, C) -> (M, heads, T, C / heads)."""
        count, length, channels = tokens.shape
        return tokens.view(count, length, self.heads, channels // self.heads).transpose(1, 2)

    def _dropped(self, tokens: Tensor) -> Tensor:
        return F.dropout(tokens, self.dropout, self.training)


class CrossInteraction(nn.Module):
    """`blocks` blocks in which both streams are made anew from the same tokens, those before the block.

    direction: which pictures read: both, or those of one modality alone, whose partner's tokens then stay as they are.
    share_streams: one set of weights for both modalities, instead of one each.

    What depends on one picture alone (the first block's projections) is computed by `prepare`, once a picture.
    """

    def __init__(
        self,
        channels: int,
        *,
        heads: int,
        blocks: int,
        direction: Direction = "both",
        share_streams: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()

        def stream() -> nn.ModuleList:
            return nn.ModuleList(CrossReadingBlock(channels, heads=heads, dropout=dropout) for _ in range(blocks))

        self.readers = tuple(modality for modality in Modality if direction in ("both", modality))
        self.shared = share_streams and len(self.readers) == 2
        self.streams = nn.ModuleDict({"both": stream()} if self.shared else {name: stream() for name in self.readers})

    def prepare(self, tokens: Tensor, modality: Modality, places: Tensor | None = None) -> Prepared:
        """Tokens (N, T, C) of one modality's pictures, ready to meet those of the other; places: see `Prepared`."""
        return self._prepared(tokens, modality, 0)._replace(places=places)

    def forward(self, visible: Prepared, infrared: Prepared) -> tuple[Tensor, Tensor]:
        """M visible and M infrared pictures, pair by pair -> their tokens (M, T, C) after the last block."""
        sides = {VISIBLE: visible, INFRARED: infrared}
        depth = len(next(iter(self.streams.values())))  # type: ignore[arg-type]
        for number in range(depth):
            tokens = {modality: side.tokens for modality, side in sides.items()}
            for modality in self.readers:
                side, partner = sides[modality], sides[modality.other]
                tokens[modality] = self._block(modality, number)(side.tokens, side.asked, partner.offered)
            if number + 1 < depth:
                sides = {modality: self._prepared(value, modality, number + 1) for modality, value in tokens.items()}
        return tokens[VISIBLE], tokens[INFRARED]

    def _prepared(self, tokens: Tensor, modality: Modality, number: int) -> Prepared:
        asked = self._block(modality, number).asked(tokens) if modality in self.readers else None
        offered = self._block(modality.other, number).offered(tokens) if modality.other in self.readers else None
        return Prepared(tokens, asked, offered)

    def _block(self, modality: Modality, number: int) -> CrossReadingBlock:
        """The block in which pictures of `modality` read."""
        block: CrossReadingBlock = self.streams["both" if self.shared else modality][number]  # type: ignore[index]
        return block
