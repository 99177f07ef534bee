"""Released checkpoints of the AGW line as bundles, or their ResNet as start weights."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import Tensor

from vireid.data import Dataset
from vireid.errors import UsageError, WeightsError, choose
from vireid.methods import create
from vireid.methods.bundle import Bundle, Preprocessing, save_bundle
from vireid.networks.two_stream import TwoStreamResNet
from vireid.networks.weights import save_start
from vireid.training.importing.names import CLASSIFIER, family, left_over, names_of, trunk_names, widened
from vireid.training.importing.origin import Origin, origin_of
from vireid.training.importing.reading import Checkpoint, read_checkpoint
from vireid.training.importing.report import ImportReport
from vireid.types import Modality

__all__ = ["PAPERS", "import_bundle", "import_start"]

PAPERS = ("agw", "caj", "deen", "pmt")
_FAMILY = {"agw": "agw", "caj": "agw", "deen": "deen", "pmt": "pmt"}
_OPTIONS: dict[str, dict[str, Any]] = {
    "agw": {},
    "caj": {"triplet": "squared", "enhanced": True},
}  # how the released command trains
_ARCHITECTURE = "resnet50.tv_in1k"
_COUNTER = ".num_batches_tracked"  # files of torch before 0.4.1 have none
_SHOWN = 5


def import_bundle(
    path: Path,
    out: Path,
    *,
    paper: str,
    kind: str | None = None,
    data: Dataset | None = None,
    protocol: str | None = None,
    size: tuple[int, int] = (288, 144),
) -> tuple[Bundle, ImportReport]:
    """Write the model in a checkpoint as a bundle of method `agw`; every weight is accounted for.

    Args:
        path: file of torch.save, released by the authors or written by their code.
        out: folder to write.
        paper: one of `PAPERS`; `deen` and `pmt` have networks that vireid lacks: refused, naming what is missing.
        kind: what it was trained on (`sysu`, `regdb`, `llcm`); None tells it by the number of people in the classifier.
        data: that data set, where it is not the published one or RegDB: says who was trained on.
        protocol: whose training split was used; RegDB must be told.
        size: (height, width) in pixels of the pictures it was trained with.

    Raises:
        UsageError: an unknown paper, another paper's file, or training data that do not fit.
        WeightsError: the file cannot be read safely, or its weights do not fit.
    """
    checkpoint = _open(path, paper)
    state = checkpoint.state
    _refuse_other_networks(checkpoint, paper)
    if CLASSIFIER not in state:
        raise WeightsError(f"{path} lacks {CLASSIFIER!r}; give the file of the whole network")
    origin = origin_of(len(state[CLASSIFIER]), path, kind=kind, data=data, protocol=protocol)
    method = create("agw", data=origin.info(size), architecture=_ARCHITECTURE, **_OPTIONS[paper])
    own = method.state_dict()
    names = names_of(own)
    found = widened(own, state, names)
    rest = {name: reason for name, reason in left_over(state).items() if name not in names.values()}
    _refuse_misfits(path, found, own, names, state, rest)
    method.load_state_dict(found, strict=False)
    label = f"{path.name} (SHA-256 {checkpoint.sha256})"
    card = origin.card(label, version("vireid"))
    preprocessing = Preprocessing(height=size[0], width=size[1])
    bundle = save_bundle(out, method.eval(), preprocessing=preprocessing, card=card)
    mapped = {names[name]: name for name in found}
    remarks = [*_inner_channels(state, found, names), *_remarks(checkpoint, paper, origin, size)]
    return bundle, _report(checkpoint, paper, mapped, rest, remarks)


def import_start(path: Path, out: Path, *, paper: str) -> ImportReport:
    """Write the ResNet-50 on the way of visible pictures as start weights, a safetensors file with timm's names.

    Raises:
        UsageError: an unknown paper, or another paper's file.
        WeightsError: the file cannot be read safely, or holds no such ResNet.
    """
    checkpoint = _open(path, paper)
    if _FAMILY[paper] == "pmt":
        raise WeightsError(f"{path} is a vision transformer, which vireid has no network for; nothing can be imported")
    names = trunk_names(checkpoint.state)
    own = TwoStreamResNet("resnet50").start_state(Modality.VISIBLE)
    found = {there: checkpoint.state[name] for name, there in names.items()}
    _refuse_misfits(path, found, own, {there: name for name, there in names.items()}, {}, {})
    save_start(out, found, architecture="resnet50", made_by=f"{path.name} {checkpoint.sha256}")
    unused = left_over(checkpoint.state)
    rest = {name: unused.get(name, _not_in_start(name)) for name in checkpoint.state if name not in names}
    remarks = ["start weights have one stem for both modalities: that of visible pictures"]
    modules = _modules(checkpoint.state)
    if modules:
        remarks.append(f"these layers were trained with {', '.join(modules)} between them, which are not here")
    return _report(checkpoint, paper, names, rest, remarks)


def _open(path: Path, paper: str) -> Checkpoint:
    choose(paper, PAPERS, "paper")
    checkpoint = read_checkpoint(path)
    found = family(checkpoint.state)
    if found is None:
        raise WeightsError(f"{path} is of no network known here (it holds {_some(checkpoint.state)})")
    if found != _FAMILY[paper]:
        raise UsageError(f"{path} holds the network of {found!r}, not of {paper!r}; import it with --as {found}")
    return checkpoint


def _refuse_other_networks(checkpoint: Checkpoint, paper: str) -> None:
    if paper == "pmt":
        raise WeightsError(
            f"{checkpoint.path} is a vision transformer, which vireid has no network for; PMT's variant on AGW has "
            "AGW's network: import that file with --as agw"
        )
    modules = _modules(checkpoint.state)
    if modules:
        raise WeightsError(
            f"{checkpoint.path} needs {', '.join(modules)} (DEEN's embedding expansion and multistage aggregation), "
            "which vireid has no method for; its ResNet alone can be had as start weights: --start FILE"
        )
    if not any(name.startswith("NL_") for name in checkpoint.state):
        raise WeightsError(
            f"{checkpoint.path} has no non-local blocks: it is the plain baseline of the same code, which pools by the "
            "mean, where method agw takes the generalised mean; its ResNet can be had as start weights: --start FILE"
        )


def _refuse_misfits(
    path: Path,
    found: Mapping[str, Tensor],
    own: Mapping[str, Tensor],
    names: Mapping[str, str],
    state: Collection[str],
    rest: Collection[str],
) -> None:
    missing = [names.get(name, name) for name in own if name not in found and not name.endswith(_COUNTER)]
    unlike = [
        f"{names[name]} {tuple(value.shape)} instead of {tuple(own[name].shape)}"
        for name, value in found.items()
        if name in own and value.shape != own[name].shape
    ]
    unknown = [name for name in state if name not in rest and name not in names.values()]
    unknown += [names[name] for name in found if name not in own]
    groups = (("missing", missing), ("of another shape", unlike), ("unknown", unknown))
    problems = [f"{what} ({len(some)}): {_some(some)}" for what, some in groups if some]
    if problems:
        raise WeightsError(f"{path} does not fit ResNet-50 as AGW's code builds it; {'; '.join(problems)}")


def _inner_channels(state: Mapping[str, Tensor], found: Mapping[str, Tensor], names: Mapping[str, str]) -> list[str]:
    """A remark where non-local blocks were filled up."""
    filled = {len(state[names[name]]): len(value) for name, value in found.items() if name.endswith(".theta.bias")}
    return [
        f"non-local blocks with {have} channel{'s' if have > 1 else ''} inside were filled up with zeros, which "
        "computes the same"
        for have, want in filled.items()
        if have < want
    ][:1]


def _remarks(checkpoint: Checkpoint, paper: str, origin: Origin, size: tuple[int, int]) -> list[str]:
    remarks = [
        f"pictures are taken to be {size[0]}x{size[1]} (height x width); the file does not say",
        "pictures are scaled bilinearly here, by Lanczos' filter in the released code",
        "the seed is unknown; 0 stands in its place",
    ]
    if paper == "caj":
        remarks.append(
            "the released test averages a picture's feature and its mirror image's; here it is the picture's"
        )
    if "best" in checkpoint.path.stem:
        remarks.append("the released code keeps the epoch that was best on test queries, which flatters its figures")
    if origin.table is None:
        remarks.append("who was trained on is unknown, so that tests on them are not refused; add --data to say it")
    return remarks


def _report(
    checkpoint: Checkpoint, paper: str, mapped: Mapping[str, str], rest: Mapping[str, str], remarks: Iterable[str]
) -> ImportReport:
    groups: dict[str, tuple[str, ...]] = {}
    for name, reason in rest.items():
        groups[reason] = (*groups.get(reason, ()), name)
    return ImportReport(
        file=checkpoint.path.name,
        sha256=checkpoint.sha256,
        paper=paper,
        mapped=dict(mapped),
        left_over=groups,
        notes=checkpoint.notes,
        remarks=tuple(remarks),
    )


def _modules(names: Iterable[str]) -> list[str]:
    """Modules of DEEN that a checkpoint has."""
    return sorted({name.partition(".")[0] for name in names if name.startswith(("DEE.", "MFA"))})


def _not_in_start(name: str) -> str:
    if name.startswith("thermal_module."):
        return "the stem of infrared pictures: start weights have one stem"
    if name.startswith(("bottleneck.", "classifier.")):
        return "neck and classifier, which a new training makes anew"
    return f"{name.partition('.')[0]}, which is no part of a ResNet"


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:_SHOWN]) + (f", and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else "")
