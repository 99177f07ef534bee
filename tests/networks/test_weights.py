"""Start weights: what fits is reported, what does not is an error, and nobody waits for a network that is not there."""

import socket
import threading
import time
from urllib.error import HTTPError, URLError

import huggingface_hub
import pytest
import timm
import torch
from safetensors.torch import save_file

from vireid.errors import WeightsError
from vireid.networks import weights
from vireid.networks.two_stream import TwoStreamResNet
from vireid.networks.weights import load_start, save_start, start_metadata
from vireid.types import Modality


@pytest.fixture(scope="module")
def timm_state():
    torch.manual_seed(4)
    return timm.create_model("resnet10t").state_dict()


@pytest.fixture
def network():
    return TwoStreamResNet("resnet10t", non_local=True)


@pytest.fixture
def hub(monkeypatch):
    """A hub with nothing in the cache; a download fails the test."""

    def no_download(*arguments, **options):
        pytest.fail("tried to download")

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *arguments: None)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", no_download)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    return monkeypatch


def test_a_file_fills_both_modalities(tmp_path, timm_state, network):
    save_start(tmp_path / "start.safetensors", timm_state, architecture="resnet10t")
    report = load_start(network, str(tmp_path / "start.safetensors"))
    for name, value in timm_state.items():
        homes = ("visible", "infrared") if name.startswith(("conv1", "bn1")) else ("shared",)
        if not name.startswith("fc."):
            assert all(torch.equal(network.state_dict()[f"{home}.{name}"], value) for home in homes)
    assert set(report.loaded) == {name for name in timm_state if not name.startswith("fc.")}
    assert report.skipped == ("fc.bias", "fc.weight")
    assert all(".attention." in name for name in report.fresh)
    assert "2 skipped (fc.bias, fc.weight)" in str(report)
    assert "\n" not in str(report)


@pytest.mark.parametrize("separate", range(6))
def test_start_state_makes_the_way_back(tmp_path, separate):
    trained = TwoStreamResNet("resnet10t", separate_stages=separate)
    save_start(tmp_path / "start.safetensors", trained.start_state(Modality.INFRARED), architecture="resnet10t")
    again = TwoStreamResNet("resnet10t", separate_stages=5 - separate)
    assert load_start(again, str(tmp_path / "start.safetensors")).skipped == ()
    infrared = torch.randn(1, 3, 64, 32)
    assert torch.equal(again.eval()(None, infrared), trained.eval()(None, infrared))


def test_none_changes_nothing(network):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    report = load_start(network, "none")
    assert report.loaded == ()
    assert "random" in str(report)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_files_without_metadata_or_batch_counters_are_taken(tmp_path, timm_state, network):
    old = {name: value for name, value in timm_state.items() if not name.endswith("num_batches_tracked")}
    save_file(old, tmp_path / "old.safetensors")
    assert len(load_start(network, str(tmp_path / "old.safetensors")).loaded) == len(old) - 2


def test_every_surprise_is_named(tmp_path, timm_state, network):
    state = dict(timm_state)
    del state["layer1.0.conv1.weight"]
    state["head.bias"] = torch.zeros(3)
    state["layer2.0.bn1.weight"] = torch.zeros(7)
    save_start(tmp_path / "odd.safetensors", state, architecture="resnet10t")
    before = network.state_dict()["shared.layer3.0.conv1.weight"].clone()
    with pytest.raises(WeightsError) as raised:
        load_start(network, str(tmp_path / "odd.safetensors"))
    message = str(raised.value)
    assert "unknown keys (1): head.bias" in message
    assert "missing keys (1): layer1.0.conv1.weight" in message
    assert "layer2.0.bn1.weight (7,) instead of (128,)" in message
    assert torch.equal(network.state_dict()["shared.layer3.0.conv1.weight"], before)


def test_another_architecture_is_refused_by_name(tmp_path, timm_state):
    save_start(tmp_path / "start.safetensors", timm_state, architecture="resnet10t")
    with pytest.raises(WeightsError, match="belong to 'resnet10t', the network is 'resnet18'"):
        load_start(TwoStreamResNet("resnet18"), str(tmp_path / "start.safetensors"))


def test_a_tag_does_not_make_another_architecture(tmp_path, timm_state):
    save_start(tmp_path / "start.safetensors", timm_state, architecture="resnet10t.c3_in1k")
    assert load_start(TwoStreamResNet("resnet10t"), str(tmp_path / "start.safetensors")).loaded


def test_a_file_tells_what_made_it(tmp_path, timm_state, network):
    file = tmp_path / "start.safetensors"
    save_start(file, timm_state, architecture="resnet10t", made_by="a key")
    assert (start_metadata(file)["architecture"], start_metadata(file)["made_by"]) == ("resnet10t", "a key")
    assert load_start(network, str(file)).source == str(file)
    save_start(file, timm_state, architecture="resnet10t")
    assert "made_by" not in start_metadata(file)


def test_missing_and_damaged_files_are_refused(tmp_path, network):
    with pytest.raises(WeightsError, match="do not exist"):
        load_start(network, "imagnet")
    (tmp_path / "broken.safetensors").write_bytes(b"no such thing")
    with pytest.raises(WeightsError, match="not a readable safetensors file"):
        load_start(network, str(tmp_path / "broken.safetensors"))


def test_a_failed_write_leaves_no_file(tmp_path):
    with pytest.raises(AttributeError):
        save_start(tmp_path / "start.safetensors", {"a": "not a tensor"}, architecture="resnet10t")
    assert not list(tmp_path.iterdir())


def test_imagenet_comes_from_the_cache_without_a_network(hub, tmp_path, timm_state, network):
    save_file(timm_state, tmp_path / "model.safetensors")
    asked = []

    def cached(repository, file):
        asked.append((repository, file))
        return str(tmp_path / "model.safetensors")

    hub.setattr(huggingface_hub, "try_to_load_from_cache", cached)
    hub.setattr(weights, "_answers", lambda endpoint: pytest.fail("asked the network"))
    report = load_start(network, "imagenet")
    assert asked == [("timm/resnet10t.c3_in1k", "model.safetensors")]
    assert torch.equal(network.infrared.conv1[0].weight, timm_state["conv1.0.weight"])
    assert report.source == "imagenet (resnet10t.c3_in1k)"
    assert "imagenet (resnet10t.c3_in1k)" in str(report)


def test_imagenet_without_network_says_at_once_what_to_do(hub, network):
    def unreachable(request, timeout):
        raise URLError(socket.gaierror("no name service"))

    hub.setattr("urllib.request.urlopen", unreachable)
    start = time.monotonic()
    with pytest.raises(WeightsError) as raised:
        load_start(network, "imagenet")
    assert time.monotonic() - start < 2.0
    for word in ("does not answer", "local file", "safetensors", "rendered people: `vireid pretrain --architecture"):
        assert word in str(raised.value)


def test_a_network_that_hangs_is_not_waited_for(hub, network):
    over = threading.Event()

    def hang(request, timeout):
        over.wait(30.0)
        raise TimeoutError

    hub.setattr(weights, "_HUB_PATIENCE", 0.1)
    hub.setattr("urllib.request.urlopen", hang)
    start = time.monotonic()
    with pytest.raises(WeightsError, match="does not answer"):
        load_start(network, "imagenet")
    assert time.monotonic() - start < 10.0
    over.set()


def test_offline_mode_is_honoured(hub, network):
    hub.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    hub.setattr(weights, "_answers", lambda endpoint: pytest.fail("asked the network"))
    with pytest.raises(WeightsError, match="HF_HUB_OFFLINE"):
        load_start(network, "imagenet")


def test_a_hub_that_answers_is_asked_for_the_file(hub, tmp_path, timm_state, network):
    def forbidden(request, timeout):
        raise HTTPError(request.full_url, 403, "forbidden", None, None)

    save_file(timm_state, tmp_path / "model.safetensors")
    hub.setattr("urllib.request.urlopen", forbidden)  # an answer all the same
    hub.setattr(huggingface_hub, "hf_hub_download", lambda repository, file: str(tmp_path / file))
    assert load_start(network, "imagenet").loaded


def test_a_download_that_fails_says_what_to_do(hub, network):
    def broken(repository, file):
        raise ConnectionResetError("gone")

    hub.setattr(weights, "_answers", lambda endpoint: True)
    hub.setattr(huggingface_hub, "hf_hub_download", broken)
    with pytest.raises(WeightsError, match=r"could not be fetched .* gone; give the path of a local file"):
        load_start(network, "imagenet")


def test_an_architecture_without_imagenet_weights_is_named(hub):
    with torch.device("meta"):
        network = TwoStreamResNet("seresnet18")
    with pytest.raises(WeightsError, match="timm has no ImageNet weights for 'seresnet18'"):
        load_start(network, "imagenet")


@pytest.mark.parametrize(("asked", "taken"), [("resnet50", "resnet50.a1_in1k"), ("resnet50.tv_in1k",) * 2])
def test_the_tag_of_imagenet_weights_is_told(hub, tmp_path, asked, taken):
    save_file(timm.create_model("resnet50").state_dict(), tmp_path / "model.safetensors")
    hub.setattr(huggingface_hub, "try_to_load_from_cache", lambda *arguments: str(tmp_path / "model.safetensors"))
    assert load_start(TwoStreamResNet(asked), "imagenet").source == f"imagenet ({taken})"


def test_stand_in_weights_come_with_vireid():
    network = TwoStreamResNet("resnet10t_half")
    before = network.shared.layer4[0].conv1.weight.clone()
    report = load_start(network, "stand-in")
    assert report.source == "stand-in"
    assert report.fresh == ()
    assert not torch.equal(network.shared.layer4[0].conv1.weight, before)
    assert all(value.dtype == torch.float32 for value in network.state_dict().values() if value.is_floating_point())


def test_stand_in_weights_of_another_network_are_refused_with_the_command_that_makes_them():
    with pytest.raises(WeightsError, match=r"has them for resnet10t_half.*vireid pretrain --architecture resnet18"):
        load_start(TwoStreamResNet("resnet18"), "stand-in")


def test_the_narrow_network_has_the_widths_it_promises():
    network = TwoStreamResNet("resnet10t_half")
    assert network.channels == 256
    assert sum(weight.numel() for weight in network.start_state(Modality.VISIBLE).values()) < 1.3e6
    assert network(torch.zeros(2, 3, 144, 72), None).shape == (2, 256, 9, 5)
    with pytest.raises(ValueError, match="no published weights"):
        timm.create_model("resnet10t_half", pretrained=True)
