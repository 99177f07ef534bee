"""Names of weights in the files of the AGW line, and the names of the same weights here.

As in the public code of AGW and CAJ (mangye16/Cross-Modal-Re-ID-baseline), DEEN (ZYK100/LLCM) and PMT (hulu88/PMT):
`visible_module.visible`, `thermal_module.thermal` and `base_resnet.base` are whole ResNet-50s, of which the first two
serve with their stem alone and the third without it; `NL_2` and `NL_3` are non-local blocks; `bottleneck` is the neck.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

__all__ = ["CLASSIFIER", "family", "left_over", "names_of", "trunk_names", "widened"]

CLASSIFIER = "classifier.weight"
_STREAMS = {"visible": "visible_module.visible", "infrared": "thermal_module.thermal", "shared": "base_resnet.base"}
_HEAD = {"head.neck.": "bottleneck.", "head.classifier.": "classifier."}
_FIRST_BLOCK = {"layer2": 2, "layer3": 3}  # of ResNet-50, with a non-local block after it
_NON_LOCAL = {"theta": "theta", "phi": "phi", "value": "g.0", "out": "W.0", "norm": "W.1"}
_STEM = r"(conv1|bn1)\."
_UNUSED = (
    (
        r"(visible_module\.visible|thermal_module\.thermal)\.layer[1-4]\.",
        "layers 1 to 4 of a modality's own ResNet, which the released network never runs",
    ),
    (rf"base_resnet\.base\.{_STEM}", "the stem of the shared ResNet, which the released network never runs"),
    (r"[\w.]*\.fc\.", "the ImageNet classifier of a ResNet, which the released network never runs"),
)
_OTHERS = (
    (r"(DEE|MFA\d)\.", "deen"),
    (r"base\.(cls_token|pos_embed|patch_embed|blocks)", "pmt"),
    (r"(visible_module|thermal_module|base_resnet)\.", "agw"),
)


def family(names: Iterable[str]) -> str | None:
    """Whose network has weights of these names: `agw` (CAJ's is the same), `deen`, `pmt`, or None."""
    listed = list(names)
    return next((found for pattern, found in _OTHERS if any(re.match(pattern, name) for name in listed)), None)


def names_of(own: Iterable[str]) -> dict[str, str]:
    """Released name of each weight of method `agw` on ResNet-50."""
    return {name: _released(name) for name in own}


def trunk_names(names: Iterable[str]) -> dict[str, str]:
    """timm's name of each weight on the way of visible pictures through the ResNet."""
    stem, shared = f"{_STREAMS['visible']}.", f"{_STREAMS['shared']}."
    found = {name: name.removeprefix(stem) for name in names if re.match(re.escape(stem) + _STEM, name)}
    layers = re.escape(shared) + r"layer[1-4]\."
    return found | {name: name.removeprefix(shared) for name in names if re.match(layers, name)}


def left_over(names: Iterable[str]) -> dict[str, str]:
    """Why each of the weights that the released network holds but never runs has no place here."""
    found = {}
    for name in names:
        reason = next((reason for pattern, reason in _UNUSED if re.match(pattern, name)), None)
        if reason:
            found[name] = reason
    return found


def widened(own: Mapping[str, Tensor], state: Mapping[str, Tensor], names: Mapping[str, str]) -> dict[str, Tensor]:
    """Weights of `state` by own name; non-local blocks with fewer channels inside are filled up with zeros.

    Most of the line's code gives its non-local blocks one channel, where the paper halves their number. A channel of
    zeros adds nothing to the product, so the filled block computes the same.
    """
    found = {name: state[released] for name, released in names.items() if released in state}
    for name, value in found.items():
        inside = re.search(r"\.attention\.\w+\.(theta|phi|value|out)\.(weight|bias)$", name)
        if not inside or inside.groups() == ("out", "bias"):
            continue  # the one with as many values as the block has channels outside
        wanted, side = own[name].shape, 1 if inside[1] == "out" else 0
        if value.ndim == len(wanted) and value.shape[side] < wanted[side]:
            missing = list(value.shape)
            missing[side] = wanted[side] - value.shape[side]
            found[name] = torch.cat([value, value.new_zeros(missing)], dim=side)
    return found


def _released(own: str) -> str:
    for here, there in _HEAD.items():
        if own.startswith(here):
            return there + own.removeprefix(here)
    stream, _, rest = own.removeprefix("network.").partition(".")
    block = re.fullmatch(r"attention\.(layer\d)_(\d+)\.(\w+)\.(\w+)", rest)
    if block:
        layer, place, part, kind = block.groups()
        return f"NL_{layer[-1]}.{int(place) - _FIRST_BLOCK[layer]}.{_NON_LOCAL[part]}.{kind}"
    return f"{_STREAMS[stream]}.{rest}"
