"""The whole path through the command line, small: demo, evaluate, index, search, train, leaks."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from vireid.cli.app import app
from vireid.errors import LeakError, VireidError

Invoke = Callable[..., str]


@pytest.fixture(scope="module")
def invoke() -> Invoke:
    def call(*arguments: object) -> str:
        found = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if isinstance(found.exception, VireidError):
            raise found.exception
        assert found.exit_code == 0, f"{found.output}\n{found.exception!r}"
        return found.stdout

    return call


def test_the_demo_leaves_metrics_of_the_stated_form(tiny_demo: Path) -> None:
    found = json.loads((tiny_demo / "metrics.json").read_text())
    metrics = {"rank1", "rank5", "rank10", "rank20", "mAP", "mINP"}
    assert {"protocol", "fingerprint", "mode", "trials", "std"} | metrics <= set(found)
    assert (found["protocol"], found["mode"], found["trials"]) == ("all-single-agw", "full", 10)
    assert set(found["std"]) == metrics
    assert all(0 <= found[name] <= 100 for name in metrics)
    assert found["rank1"] <= found["rank5"] <= found["rank10"] <= found["rank20"]


def test_the_demo_leaves_pages(tiny_demo: Path) -> None:
    report, search = (tiny_demo / "report.html").read_text(), (tiny_demo / "search.html").read_text()
    assert "all-single-agw" in report
    assert "<svg" in report
    assert search.count("data:image/jpeg") > 6
    for page in (report, search):
        assert "<script src" not in page
        assert "https://" not in page.replace("https://www.w3.org", "")


def test_evaluate_agrees_with_the_demo_and_knows_other_protocols(tiny_demo: Path, invoke: Invoke) -> None:
    again = json.loads(invoke("evaluate", tiny_demo, "--json"))
    assert again == json.loads((tiny_demo / "metrics.json").read_text())
    other = json.loads(invoke("evaluate", tiny_demo, "--protocol", "all-single-official", "--json"))
    assert other["protocol"] == "all-single-official"
    assert other["fingerprint"] != again["fingerprint"]
    assert "all-single-official" in invoke("evaluate", tiny_demo, "--protocol", "all-single-official")
    reranked = json.loads(invoke("evaluate", tiny_demo, "--rerank", "--json"))
    assert reranked["rerank"]


def test_a_folder_of_own_pictures_in_five_formats_one_broken(tiny_demo: Path, invoke: Invoke, tmp_path: Path) -> None:
    crops = tmp_path / "crops"
    crops.mkdir()
    rng = np.random.default_rng(0)
    for number, suffix in enumerate(("jpg", "png", "bmp", "webp", "tiff")):
        Image.fromarray(rng.integers(0, 255, (60, 30, 3), np.uint8)).save(crops / f"{number}.{suffix}")
    (crops / "broken.jpg").write_bytes(b"\xff\xd8 this is no picture")
    gallery = tmp_path / "gallery"
    found = json.loads(
        invoke("index", crops, "--modality", "visible", "--bundle", tiny_demo, "--out", gallery, "--json")
    )
    assert found["pictures"] == 5
    assert [Path(broken["path"]).name for broken in found["broken"]] == ["broken.jpg"]
    sheet = tmp_path / "sheet.html"
    night = crops / "1.png"
    hits = json.loads(
        invoke("search", night, "--modality", "infrared", "--gallery", gallery, "--top", 3, "--html", sheet, "--json")
    )["hits"]
    assert [hit["rank"] for hit in hits] == [1, 2, 3]
    assert hits[0]["score"] >= hits[1]["score"] >= hits[2]["score"]
    assert sheet.read_text().count("data:image/jpeg") == 4


def test_a_model_of_regdb_split_1_refuses_split_2(
    small_run: list[str], tiny_regdb: Path, invoke: Invoke, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    data = ["data.kind=regdb", f"data.root={tiny_regdb}", "data.protocol=split1-v2i"]
    invoke("train", "agw-demo", *data, *small_run, "--out", run, "--device", "cpu")
    assert json.loads(invoke("evaluate", run, "--protocol", "split1-i2v", "--json"))["trials"] == 1
    with pytest.raises(LeakError, match="trained for protocol 'split1-v2i'"):
        invoke("evaluate", run, "--protocol", "split2-v2i")


def test_llcm_trains_and_tests_in_both_readings_of_visible_to_infrared(
    small_run: list[str], tiny_llcm: Path, invoke: Invoke, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    invoke(
        "train", "agw-demo", "data.kind=llcm", f"data.root={tiny_llcm}", "data.protocol=i2v", *small_run, "--out", run
    )
    found = [
        json.loads(invoke("evaluate", run, "--protocol", name, "--json"))
        for name in ("i2v", "v2i-standard", "v2i-deen_release")
    ]
    assert len({json.dumps(result["fingerprint"], sort_keys=True) for result in found}) == 3


def test_data_show_counts_and_lists_protocols(tiny_sysu: Path, invoke: Invoke) -> None:
    found = json.loads(invoke("data", "show", tiny_sysu, "--kind", "sysu", "--json"))
    assert found["name"] == "vireid-synthetic-sysu-tiny-seed0"
    assert "all-single-agw" in {protocol["protocol"] for protocol in found["protocols"]}
    assert "all-single-agw" in invoke("data", "show", tiny_sysu)


def test_pretraining_makes_a_start_that_training_takes(
    small_run: list[str], tiny_sysu: Path, invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIREID_CACHE", str(tmp_path / "cache"))
    start = tmp_path / "start.safetensors"
    changes = ["batch.identities=4", "batch.visible=2", *(s for s in small_run if not s.startswith("batch"))]
    invoke("pretrain", *changes, "--identities", 8, "--images", 2, "--workers", 1, "--out", start)
    assert start.is_file()
    invoke(
        "train",
        "agw-demo",
        f"data.root={tiny_sysu}",
        f"start={start}",
        *small_run,
        "--out",
        tmp_path / "run",
        "--device",
        "cpu",
    )
    with pytest.raises(VireidError, match="resnet18"):
        invoke(
            "train",
            "agw-demo",
            f"data.root={tiny_sysu}",
            f"start={start}",
            *small_run,
            "architecture=resnet18",
            "--out",
            tmp_path / "other",
            "--device",
            "cpu",
        )
