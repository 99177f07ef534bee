"""Vision transformers that keep what re-identification needs: any picture size, overlapping patches, all tokens."""

import math
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import timm
import torch
from timm.layers.patch_embed import PatchEmbed
from torch import Tensor, nn
from torch.nn import functional as F

from vireid.errors import UsageError, WeightsError, choose
from vireid.networks.narrow import NARROW_VIT
from vireid.networks.weights import LoadReport, fill
from vireid.types import Modality

__all__ = ["ClassToken", "Tokens", "ViT", "is_vit", "resized_positions"]

_POSITIONS, _GRID = "pos_embed", "pos_grid"  # timm's key; the rows and columns of its positions, which timm omits


def is_vit(architecture: str) -> bool:
    """Whether the name is a ViT's rather than a ResNet's: timm's begin with `vit_`."""
    return architecture.startswith("vit_")


class Tokens(NamedTuple):
    """What a transformer says of N pictures. whole: (N, C) class tokens. patches: (N, T, C), row by row.

    attention: (N, T), how much the class token looks at each patch in the last block; None unless asked for.
    """

    whole: Tensor
    patches: Tensor
    attention: Tensor | None = None


class ClassToken(nn.Module):
    """What stands where a network of maps has its pooling."""

    def forward(self, tokens: Tokens) -> Tensor:
        """Tokens -> class tokens (N, C)."""
        return tokens.whole


class ViT(nn.Module):
    """Class and patch tokens of visible and infrared pictures, after the last LayerNorm; both share all weights.

    Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021. Patches overlap where `stride` is below the patch
    size (He et al., "TransReID: Transformer-based Object Re-Identification", ICCV 2021, section 3.1), and the grid has
    floor((size - patch) / stride) + 1 rows and columns.

    architecture: a ViT of timm with a class token and no registers, with its tag where other than the default ImageNet
    weights are meant. dropout: on tokens, attention outputs and within the perceptrons. path_dropout: of whole blocks,
    rising linearly from 0 to this.

    Raises:
        UsageError: the architecture is not known or has other tokens; a picture below the patch; a stride that leaves
            pixels out.
    """

    def __init__(
        self,
        architecture: str,
        *,
        image_size: tuple[int, int],
        stride: int | None = None,
        dropout: float = 0.0,
        path_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        name, _, tag = architecture.partition(".")
        choose(name, [*timm.list_models("vit_*", module="vision_transformer"), *NARROW_VIT], "ViT architecture")
        if tag:
            tags = [known.partition(".")[2] for known in timm.list_pretrained(f"{name}.*")]
            choose(tag, tags, f"weights tag of {name}")
        model: Any = timm.create_model(
            architecture,
            pretrained=False,
            num_classes=0,
            img_size=image_size,
            embed_layer=partial(_Patches, stride=stride),
            pos_drop_rate=dropout,
            proj_drop_rate=dropout,
            drop_path_rate=path_dropout,
        )
        if not _has_class_and_patches_alone(model):
            raise UsageError(
                f"architecture {name!r} does not end in one class token and patch tokens; take one of the kind of "
                "vit_base_patch16_224"
            )
        self.architecture = architecture
        self.image_size = image_size
        self.channels: int = model.num_features
        self.grid: tuple[int, int] = model.patch_embed.grid_size
        self.model = model

    def forward(self, visible: Tensor | None, infrared: Tensor | None, *, attention: bool = False) -> Tokens:
        """Images (Nv, 3, H, W) and (Ni, 3, H, W), either may be None -> tokens of Nv + Ni pictures, visible first.

        attention: also say how much the class token looks at each patch: the mean over the last block's heads.

        Raises:
            UsageError: both are None, or a size that the network was not built for.
        """
        given = [images for images in (visible, infrared) if images is not None]
        if not given:
            raise UsageError("a ViT needs visible or infrared images; both are None")
        if sizes := {tuple(images.shape[2:]) for images in given} - {tuple(self.image_size)}:
            raise UsageError(f"this ViT was built for images of {self.image_size}, not {sizes.pop()}")
        images = torch.cat(given) if len(given) == 2 else given[0]
        if not attention:
            tokens = self.model.forward_features(images)
            return Tokens(tokens[:, 0], tokens[:, 1:])
        last, seen = self.model.blocks[-1], []
        with last.register_forward_pre_hook(lambda _, given: seen.append(given[0])):
            tokens = self.model.forward_features(images)
        return Tokens(tokens[:, 0], tokens[:, 1:], _class_attention(last, seen[0]))

    def last(self, blocks: int) -> list[nn.Parameter]:
        """Parameters of the last `blocks` blocks and of what follows them.

        Raises:
            UsageError: there are not so many.
        """
        if not 0 <= blocks <= len(self.model.blocks):
            raise UsageError(f"{self.architecture} has {len(self.model.blocks)} blocks, not {blocks} that could learn")
        chosen = [self.model.norm, *self.model.blocks[len(self.model.blocks) - blocks :]]
        return [parameter for module in chosen for parameter in module.parameters()]

    def load_start(self, state: Mapping[str, Tensor], *, source: str = "a state") -> LoadReport:
        """Fill the network from the state of a timm ViT; its positions are resized to this grid, bilinearly.

        They form a square, as timm's do, or two on top of each other, unless the state says otherwise (`start_state`
        does).

        Raises:
            WeightsError: the state does not fit.
        """
        state = dict(state)
        grid = state.pop(_GRID, None)
        if _POSITIONS in state:
            state[_POSITIONS] = resized_positions(state[_POSITIONS], grid, self.grid, source)
        names = {key: key.partition(".")[2] for key in self.state_dict()}
        return fill(self, names, state, source=source, classifier=("head.weight", "head.bias"))

    def start_state(self, modality: Modality) -> dict[str, Tensor]:  # noqa: ARG002 - both share all
        """The weights under timm's keys, and the grid of their positions: what `load_start` takes."""
        return {**self.model.state_dict(), _GRID: torch.tensor(self.grid)}


class _Patches(PatchEmbed):
    """timm's patch embedding at a stride of its own."""

    def __init__(self, *, img_size: tuple[int, int], patch_size: int, stride: int | None, **options: Any) -> None:
        super().__init__(img_size=img_size, patch_size=patch_size, **options)
        step = patch_size if stride is None else stride
        if min(img_size) < patch_size:
            raise UsageError(f"images of {tuple(img_size)} are smaller than one patch of {patch_size} pixels")
        if not 1 <= step <= patch_size:
            raise UsageError(f"stride must be 1..{patch_size}, the size of a patch, not {step}")
        self.proj.stride = (step, step)
        rows, columns = ((size - patch_size) // step + 1 for size in img_size)
        self.grid_size, self.num_patches = (rows, columns), rows * columns


@torch.no_grad()
def _class_attention(block: Any, tokens: Tensor) -> Tensor:
    """Attention (N, T) of the class token to the patches in a block that is given tokens (N, 1 + T, C)."""
    attention, channels = block.attn, tokens.shape[2]
    given = block.norm1(tokens)
    weight, bias = attention.qkv.weight.split(channels), attention.qkv.bias
    offsets = (None, None) if bias is None else bias.split(channels)[:2]
    asked, offered = F.linear(given[:, :1], weight[0], offsets[0]), F.linear(given, weight[1], offsets[1])
    heads = (tokens.shape[0], -1, attention.num_heads, channels // attention.num_heads)
    query, key = (side.reshape(heads).transpose(1, 2) for side in (asked, offered))
    products = attention.q_norm(query).float() @ attention.k_norm(key).float().mT * attention.scale
    seen: Tensor = products.softmax(dim=-1).mean(dim=1)[:, 0, 1:]
    return seen


def _has_class_and_patches_alone(model: Any) -> bool:
    positions: bool = model.pos_embed is not None and model.pos_embed.shape[1] == model.patch_embed.num_patches + 1
    tokens: bool = model.has_class_token and model.num_prefix_tokens == 1
    return tokens and positions and isinstance(model.norm, nn.LayerNorm)


def resized_positions(positions: Tensor, grid: Tensor | None, wanted: tuple[int, int], source: str) -> Tensor:
    """(1, 1 + T, C) position embeddings of another grid; that of the class token is kept."""
    count = positions.shape[1] - 1
    columns = math.isqrt(max(count, 0))
    rows = columns
    if rows * columns != count:  # pictures of people are often twice as high as wide
        columns = math.isqrt(max(count // 2, 0))
        rows = 2 * columns
    if grid is not None:
        rows, columns = (int(size) for size in grid)
    if rows * columns != count or count < 1:
        raise WeightsError(
            f"start weights {source!r} hold {count} positions of patches, which are no square, nor one on another; "
            f"give weights made by `vireid pretrain` or timm's"
        )
    if (rows, columns) == wanted:
        return positions
    square = positions[:, 1:].transpose(1, 2).reshape(1, -1, rows, columns)
    resized = F.interpolate(square, size=wanted, mode="bilinear", align_corners=False)
    return torch.cat([positions[:, :1], resized.flatten(2).transpose(1, 2)], dim=1)
