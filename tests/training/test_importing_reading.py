"""Checkpoint files are read without running what they hold."""

import io
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from vireid.cli.app import app
from vireid.errors import UsageError, WeightsError
from vireid.training.importing.names import family, left_over, trunk_names
from vireid.training.importing.origin import origin_of
from vireid.training.importing.reading import read_checkpoint


class Attack:
    """Asks the one who unpickles it to make a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.target),)


class Harmless:
    """A class of somebody's code, as careless checkpoints hold them."""


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("place", ["net", "epoch"])
def test_a_file_that_wants_something_run_is_refused(
    tmp_path: Path, zipped: bool, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")  # what careless programs ask users to set
    held: dict[str, Any] = {"net": {"classifier.weight": torch.zeros(1)}}
    held[place] = Attack(tmp_path / "made")
    path = tmp_path / "model.t"
    torch.save(held, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match=r"was refused: it asks for .*mkdir|cannot be read without running"):
        read_checkpoint(path)
    assert not (tmp_path / "made").exists()
    done = CliRunner().invoke(app, ["import", str(path), "--as", "agw", "--out", str(tmp_path / "bundle")])
    assert isinstance(done.exception, WeightsError)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["model.t"]


def test_a_bare_pickle_and_foreign_classes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    path.write_bytes(pickle.dumps(Attack(tmp_path / "made"), protocol=2))
    with pytest.raises(WeightsError):
        read_checkpoint(path)
    torch.save({"net": {"a": torch.zeros(1)}, "config": Harmless()}, path)
    with pytest.raises(WeightsError, match=r"asks for .*Harmless"):
        read_checkpoint(path)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_numbers_of_numpy_are_read(tmp_path: Path, zipped: bool) -> None:
    held = {
        "net": {"module.a": torch.ones(2), "module.b": torch.zeros(1, dtype=torch.int64)},
        "cmc": np.linspace(0, 1, 30),
        "mAP": np.float32(0.5),
        "epoch": 7,
        "best": np.array(float("nan")),
        "name": "agw",
        "optimizer": {"state": {0: torch.zeros(3)}},
    }
    torch.save(held, tmp_path / "model.t", _use_new_zipfile_serialization=zipped)
    found = read_checkpoint(tmp_path / "model.t")
    assert list(found.state) == ["a", "b"]
    assert {name: value for name, value in found.notes.items() if name != "cmc"} == {"mAP": 0.5, "epoch": 7}
    assert found.notes["cmc"] == pytest.approx(np.linspace(0, 1, 30)[:20].tolist())


def test_names_that_numpy_1_wrote_are_known(tmp_path: Path) -> None:
    """Files of 2020 ask for numpy.core, which NumPy 2 renamed."""
    buffer = io.BytesIO()
    torch.save({"net": {"a": torch.ones(1)}, "mAP": np.float64(0.25)}, buffer, _use_new_zipfile_serialization=False)
    old = buffer.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
    (tmp_path / "model.t").write_bytes(old)
    assert read_checkpoint(tmp_path / "model.t").notes == {"mAP": 0.25}


def test_what_is_no_checkpoint_is_told(tmp_path: Path) -> None:
    path = tmp_path / "model.t"
    with pytest.raises(WeightsError, match="does not exist"):
        read_checkpoint(path)
    for content in (b"", b"<html>quota exceeded</html>", b"PK\x03\x04 cut"):
        path.write_bytes(content)
        with pytest.raises(WeightsError):
            read_checkpoint(path)
    for held, told in (([1], "holds a list"), ({"epoch": 3}, "holds no weights"), ({"net": {}}, "holds no weights")):
        torch.save(held, path)
        with pytest.raises(WeightsError, match=told):
            read_checkpoint(path)
    torch.save({"a": torch.tensor([1.0, float("nan")])}, path)
    with pytest.raises(WeightsError, match="no numbers, in 'a'"):
        read_checkpoint(path)


def test_names_tell_whose_network_it_is() -> None:
    assert family(["visible_module.visible.conv1.weight", "NL_2.0.theta.weight"]) == "agw"
    assert family(["visible_module.visible.conv1.weight", "DEE.FC1.weight"]) == "deen"
    assert family(["base.pos_embed", "classifier.weight"]) == "pmt"
    assert family(["conv1.weight"]) is None
    unused = ["visible_module.visible.layer1.0.bn1.bias", "base_resnet.base.conv1.weight", "base_resnet.base.fc.bias"]
    assert list(left_over([*unused, "base_resnet.base.layer1.0.bn1.bias", "bottleneck.bias"])) == unused
    names = ["visible_module.visible.bn1.bias", "thermal_module.thermal.bn1.bias", "base_resnet.base.layer4.2.bn1.bias"]
    assert trunk_names([*names, *unused]) == {names[0]: "bn1.bias", names[2]: "layer4.2.bn1.bias"}


def test_published_training_people_are_known(tmp_path: Path) -> None:
    sysu = origin_of(395, tmp_path / "a.t")
    assert (sysu.kind, sysu.protocol, sysu.restricted) == ("sysu", "all-single-agw", True)
    assert len(sysu.card("a.t", "0").identities) == 395
    assert sysu.info((288, 144)).infrared_cameras == (3, 6)
    assert len(origin_of(713, tmp_path / "a.t").card("a.t", "0").identities) == 713
    regdb = origin_of(206, tmp_path / "a.t", protocol="split10-v2i")
    assert (regdb.card("a.t", "0").identities, regdb.info((288, 144)).visible_cameras) == ((), (1,))
    with pytest.raises(UsageError, match="allowed: split1-v2i to split10-i2v"):
        origin_of(206, tmp_path / "a.t", protocol="split11-v2i")
    with pytest.raises(UsageError, match="LLCM has 713"):
        origin_of(395, tmp_path / "a.t", kind="llcm")
