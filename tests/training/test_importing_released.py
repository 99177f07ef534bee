"""Released checkpoints: what they compute here is what they compute where they come from."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision.models import resnet50
from typer.testing import CliRunner

from vireid.cli.app import app
from vireid.data import open_dataset
from vireid.errors import LeakError, UsageError, WeightsError
from vireid.methods.bundle import Bundle
from vireid.networks.two_stream import TwoStreamResNet
from vireid.training.importing.released import import_bundle, import_start
from vireid.types import Modality

SYSU_PEOPLE = 395
BLOCKS = {"layer1": 0, "layer2": 2, "layer3": 3, "layer4": 0}  # non-local blocks after the last blocks of a layer


class NonLocal(nn.Module):
    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.theta, self.phi = nn.Conv2d(channels, inner, 1), nn.Conv2d(channels, inner, 1)
        self.g = nn.Sequential(nn.Conv2d(channels, inner, 1))
        self.W = nn.Sequential(nn.Conv2d(inner, channels, 1), nn.BatchNorm2d(channels))

    def forward(self, maps: Tensor) -> Tensor:
        theta, phi, value = (conv(maps).flatten(2) for conv in (self.theta, self.phi, self.g))
        pairs = theta.transpose(1, 2) @ phi / maps[0, 0].numel()
        mixed = (pairs @ value.transpose(1, 2)).transpose(1, 2)
        changed: Tensor = self.W(mixed.reshape(len(maps), -1, *maps.shape[2:])) + maps
        return changed


def whole_resnet() -> Any:
    network = resnet50(weights=None)
    network.layer4[0].conv2.stride = network.layer4[0].downsample[0].stride = (1, 1)
    del network.fc
    return network


class ReleasedAGW(nn.Module):
    """inner: channels inside the non-local blocks; None halves them, 0 leaves the blocks out."""

    def __init__(self, classes: int, *, inner: int | None = None) -> None:
        super().__init__()
        self.visible_module, self.thermal_module, self.base_resnet = nn.Module(), nn.Module(), nn.Module()
        self.visible_module.visible = whole_resnet()
        self.thermal_module.thermal = whole_resnet()
        self.base_resnet.base = whole_resnet()
        if inner != 0:
            self.NL_2 = nn.ModuleList(NonLocal(512, inner or 256) for _ in range(2))
            self.NL_3 = nn.ModuleList(NonLocal(1024, inner or 512) for _ in range(3))
        self.bottleneck = nn.BatchNorm1d(2048)
        self.classifier = nn.Linear(2048, classes, bias=False)

    def forward(self, images: Tensor, stream: str) -> tuple[Tensor, Tensor]:
        """Unit features before and after the neck."""
        own = self.visible_module.visible if stream == "visible" else self.thermal_module.thermal
        maps = own.maxpool(own.relu(own.bn1(own.conv1(images))))
        for layer, count in BLOCKS.items():
            blocks = getattr(self.base_resnet.base, layer)
            for place, block in enumerate(blocks):
                maps = block(maps)
                number = place - (len(blocks) - count)
                if number >= 0:
                    maps = getattr(self, f"NL_{layer[-1]}")[number](maps)
        pooled = (maps.flatten(2).pow(3.0).mean(dim=2) + 1e-12) ** (1 / 3.0)
        return tuple(feature / feature.norm(dim=1, keepdim=True) for feature in (pooled, self.bottleneck(pooled)))  # type: ignore[return-value]


@torch.no_grad()
def lived_in(network: ReleasedAGW) -> ReleasedAGW:
    """BatchNorms with factors of their own and with statistics of pictures, as after training."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    for norm in norms:
        norm.weight.uniform_(0.6, 1.1)
        norm.bias.normal_(0.0, 0.1)
        norm.momentum = 1.0
    for stream in ("visible", "thermal"):
        network.train()(torch.randn(4, 3, 64, 32), stream)
    return network.eval()


@pytest.fixture(scope="module")
def network() -> ReleasedAGW:
    torch.manual_seed(0)
    return lived_in(ReleasedAGW(SYSU_PEOPLE))


@pytest.fixture(scope="module")
def narrow(network: ReleasedAGW) -> ReleasedAGW:
    """The same network with one channel inside its non-local blocks, as most of the line's code builds them."""
    one = ReleasedAGW(SYSU_PEOPLE, inner=1)
    one.load_state_dict({k: v for k, v in network.state_dict().items() if not k.startswith("NL_")}, strict=False)
    return lived_in(one)


@pytest.fixture(scope="module")
def released(network: ReleasedAGW, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as the released training writes it, NumPy's numbers and all."""
    path = tmp_path_factory.mktemp("released") / "sysu_agw_p4_n8_lr_0.1_seed_0_best.t"
    accuracy = {"cmc": np.linspace(0.4, 0.9, 20), "mAP": np.float64(0.4765), "mINP": np.float64(0.353), "epoch": 60}
    torch.save({"net": network.state_dict(), **accuracy}, path)
    return path


@torch.no_grad()
def apart(network: ReleasedAGW, bundle: Bundle, images: Tensor, modality: Modality) -> float:
    """Largest difference between the features of the two, computed in double precision.

    In single precision the products of five random non-local blocks magnify the rounding alone to about 1e-5.
    """
    stream = "visible" if modality is Modality.VISIBLE else "thermal"
    _, expected = network.double()(images.double(), stream)
    network.float()
    found = bundle.method().double().embed(images.double(), modality).vector
    assert (found @ found.T).fill_diagonal_(0).abs().max() < 0.999, "the pictures are told apart"
    return float((found - expected).abs().max())


def saved(path: Path, state: Mapping[str, Any]) -> Path:
    torch.save({"net": dict(state)}, path)
    return path


def test_an_imported_model_embeds_as_the_released_network(released: Path, network: ReleasedAGW, tmp_path: Path) -> None:
    bundle, report = import_bundle(released, tmp_path / "bundle", paper="agw")
    images = torch.randn(3, 3, 64, 32)
    for modality in Modality:
        assert apart(network, Bundle.open(bundle.path), images, modality) < 1e-6
    assert (bundle.preprocessing.size, bundle.preprocessing.mean) == ((288, 144), (0.485, 0.456, 0.406))
    assert (bundle.card.dataset, bundle.card.protocol, len(bundle.card.identities)) == (
        "SYSU-MM01",
        "all-single-agw",
        SYSU_PEOPLE,
    )
    assert bundle.card.imported == f"{released.name} (SHA-256 {report.sha256})"
    assert (report.notes["epoch"], report.notes["mAP"], len(report.notes["cmc"])) == (60, 0.4765, 20)
    left = [name for names in report.left_over.values() for name in names]
    assert sorted([*report.mapped, *left]) == sorted(network.state_dict())
    assert all(name.startswith(("visible_module", "thermal_module", "base_resnet.base.")) for name in left)
    assert any("best on test queries" in remark for remark in report.remarks)


def test_one_channel_blocks_are_filled_up_and_compute_the_same(narrow: ReleasedAGW, tmp_path: Path) -> None:
    state = {f"module.{name}": value for name, value in narrow.state_dict().items()}
    path = tmp_path / "sysu_adp_joint.t"
    torch.save(state, path, _use_new_zipfile_serialization=False)
    bundle, report = import_bundle(path, tmp_path / "bundle", paper="caj", size=(64, 32))
    assert apart(narrow, bundle, torch.randn(2, 3, 64, 32), Modality.INFRARED) < 1e-6
    assert bundle.method().options.triplet == "squared"
    assert any("1 channel inside" in remark for remark in report.remarks)
    assert any("mirror image" in remark for remark in report.remarks)


def test_the_trunk_becomes_start_weights(released: Path, network: ReleasedAGW, tmp_path: Path) -> None:
    state = {**network.state_dict(), "DEE.FC1.weight": torch.zeros(1), "MFA1.CNL.g.weight": torch.zeros(1)}
    deen = saved(tmp_path / "llcm_deen_best.t", {k: v for k, v in state.items() if not k.startswith("NL_")})
    report = import_start(deen, tmp_path / "deen.safetensors", paper="deen")
    start = TwoStreamResNet("resnet50", non_local=True)
    from vireid.networks.weights import load_start

    load_start(start, str(tmp_path / "deen.safetensors"))
    expected = network.base_resnet.base.layer3[2].conv2.weight
    assert torch.equal(start.shared.layer3[2].conv2.weight, expected)  # type: ignore[index, union-attr]
    assert torch.equal(start.infrared.conv1.weight, network.visible_module.visible.conv1.weight)  # type: ignore[union-attr]
    assert any("DEE, MFA1" in remark for remark in report.remarks)
    with pytest.raises(WeightsError, match=r"needs DEE, MFA1 .*--start FILE"):
        import_bundle(deen, tmp_path / "bundle", paper="deen")
    with pytest.raises(UsageError, match="network of 'deen', not of 'agw'; import it with --as deen"):
        import_bundle(deen, tmp_path / "bundle", paper="agw")
    assert not (tmp_path / "bundle").exists()


def test_weights_that_do_not_fit_are_told(network: ReleasedAGW, tmp_path: Path) -> None:
    state = dict(network.state_dict())
    del state["NL_3.1.theta.weight"]
    state["base_resnet.base.layer1.0.conv1.weight"] = torch.zeros(64, 64, 3, 3)
    state["extra.weight"] = torch.zeros(1)
    path = saved(tmp_path / "odd.t", state)
    with pytest.raises(WeightsError) as told:
        import_bundle(path, tmp_path / "bundle", paper="agw")
    for words in ("missing (1): NL_3.1.theta.weight", "(64, 64, 3, 3) instead of", "unknown (1): extra.weight"):
        assert words in str(told.value)
    plain = {k: v for k, v in network.state_dict().items() if not k.startswith("NL_")}
    with pytest.raises(WeightsError, match="no non-local blocks"):
        import_bundle(saved(tmp_path / "base.t", plain), tmp_path / "bundle", paper="agw")
    transformer = {"base.cls_token": torch.zeros(1, 1, 8), "base.blocks.0.norm1.weight": torch.zeros(8)}
    with pytest.raises(WeightsError, match="vision transformer"):
        import_bundle(saved(tmp_path / "pmt.pth", transformer), tmp_path / "bundle", paper="pmt")
    with pytest.raises(UsageError, match=r"unknown paper 'awg'; did you mean 'agw'"):
        import_bundle(path, tmp_path / "bundle", paper="awg")
    assert not (tmp_path / "bundle").exists()


def test_the_training_data_is_asked_for(network: ReleasedAGW, tiny_regdb: Path, tmp_path: Path) -> None:
    data = open_dataset("regdb", tiny_regdb)
    people = data.images.loc[data.training_rows("split1-v2i")].identity.nunique()
    state = {**network.state_dict(), "classifier.weight": torch.zeros(people, 2048)}
    path = saved(tmp_path / "regdb_agw_p4_n8_trial_1_best.t", state)
    out = tmp_path / "bundle"
    with pytest.raises(UsageError, match=f"tells {people} people apart, which no published training set has"):
        import_bundle(path, out, paper="agw")
    with pytest.raises(UsageError, match="RegDB has 206"):
        import_bundle(path, out, paper="agw", kind="regdb")
    with pytest.raises(UsageError, match="name suggests --protocol split1-v2i"):
        import_bundle(path, out, paper="agw", data=data)
    words = ["import", str(path), "--as", "agw", "--kind", "regdb", "--data", str(tiny_regdb), "--out", str(out)]
    done = CliRunner().invoke(app, [*words, "--protocol", "split1-i2v", "--height", "64", "--width", "32", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    bundle = Bundle.open(out)
    assert found["digest"] == bundle.digest
    assert bundle.card.protocol == "split1-i2v"
    bundle.refuse_leak(data, data.protocol("split1-i2v").trials()[0].query)
    with pytest.raises(LeakError):
        bundle.refuse_leak(data, data.training_rows("split1-i2v"))
