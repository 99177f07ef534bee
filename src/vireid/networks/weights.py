"""Start weights: random, shipped with vireid, from ImageNet or a file; every surprise is an error."""

import http.client
import threading
import urllib.error
import urllib.request
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Protocol

import huggingface_hub
import safetensors
import timm
from huggingface_hub.errors import HfHubHTTPError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vireid.errors import WeightsError
from vireid.files import new_file

__all__ = ["STAND_IN", "LoadReport", "Startable", "fill", "load_start", "save_start", "start_metadata"]

STAND_IN = "stand-in"
"""Start weights that come with vireid: learnt from rendered people by `vireid pretrain`, for small networks."""

_HUB_FILE = "model.safetensors"
_HUB_PATIENCE = 3.0  # seconds
_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class LoadReport:
    """What became of start weights.

    source: what was asked for; for ImageNet's weights also timm's name of those taken, `imagenet (resnet50.tv_in1k)`.
    loaded, skipped: keys of the source; skipped are those of its classifier. fresh: keys of the network that the
    source does not know (attention blocks, ...) and that keep their initial values.
    """

    source: str
    loaded: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    fresh: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.loaded:
            return f"start weights {self.source!r}: all values are random"
        counts = (("skipped", self.skipped), ("fresh", self.fresh))
        rest = "".join(f", {len(keys)} {word} ({_some(keys)})" for word, keys in counts if keys)
        return f"start weights {self.source!r}: {len(self.loaded)} tensors loaded{rest}"


class Startable(Protocol):
    """A network that can take start weights."""

    architecture: str

    def load_start(self, state: Mapping[str, Tensor], *, source: str) -> LoadReport: ...


def load_start(network: Startable, source: str) -> LoadReport:
    """Fill `network` from `source`: `none`, `stand-in`, `imagenet`, or the path of a safetensors file with timm's keys.

    A file may name its architecture in its metadata (`save_start` does); if it does not, its keys and shapes decide.

    Raises:
        WeightsError: the weights cannot be had, belong to another architecture or do not fit.
    """
    if source == "none":
        return LoadReport(source=source)
    path = Path(source)
    if source == "imagenet":
        path, name = _imagenet_file(network.architecture)
        source = f"imagenet ({name})"
    elif source == STAND_IN:
        path = _stand_in(network.architecture)
    return network.load_start(_read(path, network.architecture), source=source)


def save_start(
    path: Path, network_state: Mapping[str, Tensor], *, architecture: str, made_by: str | None = None
) -> None:
    """Write start weights that `load_start` reads; the file appears whole or not at all.

    made_by: a key of everything that decided the weights; `start_metadata` tells it.
    """
    state = {key: value.detach().cpu().contiguous().clone() for key, value in network_state.items()}
    metadata = {"architecture": architecture, "format": "pt"} | ({"made_by": made_by} if made_by else {})
    with new_file(path) as temporary:
        save_file(state, temporary, metadata=metadata)


def start_metadata(path: Path) -> dict[str, str]:
    """What a file of start weights says of itself: `architecture` and `made_by`, where known.

    Raises:
        WeightsError: it is no readable safetensors file.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except (safetensors.SafetensorError, OSError) as error:
        raise WeightsError(f"start weights {str(path)!r} are not a readable safetensors file: {error}") from None


def fill(
    module: nn.Module,
    names: Mapping[str, str],
    state: Mapping[str, Tensor],
    *,
    source: str,
    classifier: Collection[str] = (),
) -> LoadReport:
    """Copy `state` into `module`; `names` maps the module's keys to the state's (several may share one).

    Keys in `classifier` are skipped. BatchNorm's counters of batches may be absent, as older files lack them.

    Raises:
        WeightsError: the state has other unknown keys, lacks some, or shapes differ; all are told at once.
    """
    own = module.state_dict()
    wanted = set(names.values())
    skipped = tuple(sorted(key for key in state if key in classifier and key not in wanted))
    unknown = sorted(set(state) - wanted - set(skipped))
    missing = sorted(key for key in wanted - set(state) if not key.endswith(".num_batches_tracked"))
    present = {key: name for key, name in names.items() if name in state}
    unlike = sorted(
        f"{name} {tuple(state[name].shape)} instead of {tuple(own[key].shape)}"
        for key, name in present.items()
        if state[name].shape != own[key].shape
    )
    problems = [
        f"{what} ({len(keys)}): {_some(keys)}"
        for what, keys in (("unknown keys", unknown), ("missing keys", missing), ("keys of another shape", unlike))
        if keys
    ]
    if problems:
        raise WeightsError(
            f"start weights {source!r} do not fit the network ({'; '.join(problems)}); "
            "give a file of the same architecture with timm's keys"
        )
    module.load_state_dict({key: state[name] for key, name in present.items()}, strict=False)
    return LoadReport(
        source=source,
        loaded=tuple(sorted(set(present.values()))),
        skipped=skipped,
        fresh=tuple(sorted(set(own) - set(names))),
    )


def _read(path: Path, architecture: str) -> dict[str, Tensor]:
    if not path.is_file():
        raise WeightsError(
            f"start weights {str(path)!r} do not exist; give the path of a safetensors file, "
            f"'imagenet', '{STAND_IN}' or 'none'"
        )
    found = start_metadata(path).get("architecture")
    if found is not None and _untagged(found) != _untagged(architecture):
        raise WeightsError(
            f"start weights {str(path)!r} belong to {found!r}, the network is {architecture!r}; "
            f"set architecture={found} or give other weights"
        )
    state: dict[str, Tensor] = load_file(path)
    return {key: value.float() if value.is_floating_point() else value for key, value in state.items()}


def _stand_in(architecture: str) -> Path:
    folder = Path(str(resources.files("vireid.networks").joinpath("starts")))
    path = folder / f"{_untagged(architecture)}.safetensors"
    if not path.is_file():
        shipped = ", ".join(sorted(file.stem for file in folder.glob("*.safetensors")))
        raise WeightsError(
            f"vireid has no {STAND_IN} start weights for {architecture!r} (it has them for {shipped}); "
            f"make some: vireid pretrain --architecture {_untagged(architecture)} --out start.safetensors"
        )
    return path


def _untagged(architecture: str) -> str:
    """timm's `name.tag` without the tag, which says only where pretrained weights come from."""
    return architecture.partition(".")[0]


def _imagenet_file(architecture: str) -> tuple[Path, str]:
    """timm's pretrained weights, from the hub's local cache if they are there, and their name with its tag."""
    config = timm.get_pretrained_cfg(architecture)
    if config is None or not config.hf_hub_id:
        raise WeightsError(f"timm has no ImageNet weights for {architecture!r}; {_remedy(architecture)}")
    repository = str(config.hf_hub_id)
    name = f"{config.architecture}.{config.tag}"
    cached = huggingface_hub.try_to_load_from_cache(repository, _HUB_FILE)
    if isinstance(cached, str):
        return Path(cached), name
    if huggingface_hub.constants.HF_HUB_OFFLINE:
        raise WeightsError(
            f"ImageNet weights of {architecture!r} are not in the local cache and HF_HUB_OFFLINE forbids fetching; "
            + _remedy(architecture)
        )
    endpoint = huggingface_hub.constants.ENDPOINT
    if not _answers(endpoint):
        raise WeightsError(
            f"ImageNet weights of {architecture!r} are not in the local cache and the model hub ({endpoint}) "
            f"does not answer within {_HUB_PATIENCE:.0f} s; {_remedy(architecture)}"
        )
    try:
        return Path(huggingface_hub.hf_hub_download(repository, _HUB_FILE)), name
    except (HfHubHTTPError, OSError) as error:
        raise WeightsError(
            f"ImageNet weights of {architecture!r} could not be fetched from {repository!r}: {error}; "
            + _remedy(architecture)
        ) from error


def _remedy(architecture: str) -> str:
    return (
        f"give the path of a local file (timm's state of {architecture!r} as safetensors), "
        f"or take start weights from rendered people: `vireid pretrain --architecture {architecture}`"
    )


def _answers(endpoint: str) -> bool:
    """Whether a server answers there in time. In a thread, because name resolution knows no timeout."""
    answered = threading.Event()

    def ask() -> None:
        try:
            urllib.request.urlopen(urllib.request.Request(endpoint, method="HEAD"), timeout=_HUB_PATIENCE).close()
        except urllib.error.HTTPError:
            pass  # an error status is an answer
        except (OSError, ValueError, http.client.HTTPException):  # no way there, a bad address, no web server
            return
        answered.set()

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_HUB_PATIENCE)
    return answered.is_set()


def _some(keys: Collection[str]) -> str:
    shown = ", ".join(list(keys)[:_SHOWN])
    return shown + (f", and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else "")
