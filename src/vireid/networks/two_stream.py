"""A ResNet whose first stages exist once per modality and whose later stages are shared."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import timm
import torch
from torch import Tensor, nn

from vireid.errors import UsageError, choose
from vireid.networks.narrow import NARROW
from vireid.networks.non_local import NonLocal
from vireid.networks.weights import LoadReport, fill
from vireid.types import Modality

__all__ = ["ResNetPart", "TwoStreamResNet"]

_STAGES = ("stem", "layer1", "layer2", "layer3", "layer4")
_STEM = ("conv1", "bn1", "act1", "maxpool")
_NON_LOCAL_BLOCKS = {"layer2": 2, "layer3": 3}  # so many last blocks of the stage get one
_ATTENTION = "attention"


class TwoStreamResNet(nn.Module):
    """Feature maps of visible and infrared pictures by a two-stream ResNet.

    Ye et al., "Deep Learning for Person Re-identification: A Survey and Outlook", TPAMI 2022, section 4. Of the five
    stages (stem, layer1..layer4) each modality has the first `separate_stages` of its own, starting equal; 0 shares
    all, 5 makes two networks. `last_stride` 1 halves the stride of layer4 (Luo et al., CVPR Workshops 2019), so that
    maps are 1/16 of the picture; 2 leaves it. `non_local` puts a block that starts as the identity after each of
    the last 2 blocks of layer2 and the last 3 of layer3, fewer where the layer is shorter.

    architecture: a ResNet of timm, with its tag where other than the default ImageNet weights are meant
    (`resnet50.tv_in1k`).

    Raises:
        UsageError: the architecture, the number of stages or the stride is not known.
    """

    def __init__(
        self, architecture: str, *, separate_stages: int = 1, last_stride: int = 1, non_local: bool = False
    ) -> None:
        super().__init__()
        if not 0 <= separate_stages <= len(_STAGES):
            raise UsageError(f"separate_stages must be 0..{len(_STAGES)}, not {separate_stages}")
        if last_stride not in (1, 2):
            raise UsageError(f"last_stride must be 1 or 2, not {last_stride}")
        backbone = _timm_resnet(architecture)
        if last_stride == 1:
            _keep_resolution(backbone.layer4[0])
        self.architecture = architecture
        self.separate_stages = separate_stages
        self.channels: int = backbone.num_features
        self.own_channels: int = backbone.feature_info[separate_stages - 1]["num_chs"] if separate_stages else 3
        self.visible = ResNetPart(backbone, _STAGES[:separate_stages], non_local=non_local)
        self.infrared = copy.deepcopy(self.visible)
        self.shared = ResNetPart(backbone, _STAGES[separate_stages:], non_local=non_local)

    def forward(self, visible: Tensor | None, infrared: Tensor | None) -> Tensor:
        """Images (Nv, 3, H, W) and (Ni, 3, H, W), either may be None -> maps (Nv + Ni, C, h, w), visible first.

        Both pass the shared stages together, so that their BatchNorm sees both modalities.
        """
        maps: Tensor = self.shared(self.own_stages(visible, infrared))
        return maps

    def own_stages(self, visible: Tensor | None, infrared: Tensor | None) -> Tensor:
        """The same images -> what comes out of each modality's own stages (Nv + Ni, `own_channels`, h, w)."""
        own = [
            part(images) for part, images in ((self.visible, visible), (self.infrared, infrared)) if images is not None
        ]
        if not own:
            raise UsageError("a two-stream network needs visible or infrared images; both are None")
        return torch.cat(own) if len(own) == 2 else own[0]

    def load_start(self, state: Mapping[str, Tensor], *, source: str = "a state") -> LoadReport:
        """Fill the network, both modalities' own stages alike, from the state of a timm ResNet.

        Raises:
            WeightsError: the state does not fit.
        """
        return fill(self, self._timm_names(), state, source=source, classifier=("fc.weight", "fc.bias"))

    def start_state(self, modality: Modality) -> dict[str, Tensor]:
        """The path of one modality under timm's keys, without attention blocks: what `load_start` takes."""
        own = self.state_dict()
        path = (f"{modality.value}.", "shared.")
        return {name: own[key] for key, name in self._timm_names().items() if key.startswith(path)}

    def _timm_names(self) -> dict[str, str]:
        """The network's keys with a counterpart in timm, and that counterpart."""
        named = {key: key.partition(".")[2] for key in self.state_dict()}
        return {key: name for key, name in named.items() if not name.startswith(f"{_ATTENTION}.")}


class ResNetPart(nn.Module):
    """Consecutive stages of a timm ResNet, under timm's names. No stages: the identity."""

    def __init__(self, backbone: Any, stages: Sequence[str], *, non_local: bool) -> None:
        super().__init__()
        self.stages = tuple(stages)
        self.attention = nn.ModuleDict()
        for stage in stages:
            for name in _STEM if stage == "stem" else (stage,):
                self.add_module(name, backbone.get_submodule(name))
            if non_local and stage in _NON_LOCAL_BLOCKS:
                blocks = len(getattr(backbone, stage))
                channels = backbone.feature_info[_STAGES.index(stage)]["num_chs"]
                for place in range(max(0, blocks - _NON_LOCAL_BLOCKS[stage]), blocks):
                    self.attention[f"{stage}_{place}"] = NonLocal(channels)

    def forward(self, maps: Tensor) -> Tensor:
        """Images or maps -> maps of the last stage."""
        for stage in self.stages:
            if stage == "stem":
                for name in _STEM:
                    maps = self.get_submodule(name)(maps)
                continue
            for place, block in enumerate(self.get_submodule(stage).children()):
                maps = block(maps)
                if f"{stage}_{place}" in self.attention:
                    maps = self.attention[f"{stage}_{place}"](maps)
        return maps


def _timm_resnet(architecture: str) -> Any:
    name, _, tag = architecture.partition(".")
    choose(name, [*timm.list_models(module="resnet", exclude_filters="test_*"), *NARROW], "ResNet architecture")
    if tag:
        tags = [known.partition(".")[2] for known in timm.list_pretrained(f"{name}.*")]
        choose(tag, tags, f"weights tag of {name}")
    return timm.create_model(architecture, pretrained=False, num_classes=0)


def _keep_resolution(block: Any) -> None:
    """Take the stride out of a stage's first block: its convolutions, its average pooling, its anti-aliasing."""
    for module in block.modules():
        if isinstance(module, nn.Conv2d):
            module.stride = (1, 1)
    block.aa = nn.Identity()
    downsample = block.downsample
    if isinstance(downsample, nn.Sequential) and isinstance(downsample[0], nn.AvgPool2d):
        downsample[0] = nn.Identity()
