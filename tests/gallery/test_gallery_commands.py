import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vireid.cli import main
from vireid.methods.bundle import Bundle

Run = Callable[..., tuple[int, str, str]]
ENCODER = Bundle.encoder


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], make_encoder: Any) -> Run:
    """Run `vireid ...` with the encoder that needs no torch: exit code, standard output, standard error."""
    monkeypatch.setattr(Bundle, "encoder", lambda bundle, *, device=None: make_encoder())
    monkeypatch.setenv("COLUMNS", "1000")

    def command(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["vireid", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            main()
        output = capsys.readouterr()
        return int(left.value.code or 0), output.out, output.err

    return command


def test_own_pictures_in_two_commands(tmp_path: Path, bundle: Bundle, run: Run, make_pictures: Any) -> None:
    paths = make_pictures(tmp_path / "crops", 6)
    (tmp_path / "crops/broken.jpg").write_bytes(b"x")
    (tmp_path / "crops/notes.txt").write_text("x")
    gallery, sheet = tmp_path / "g", tmp_path / "out/sheet.html"
    code, out, err = run(
        "index", tmp_path / "crops", "--modality", "visible", "--camera", 4, "--bundle", bundle.path, "--out", gallery
    )
    assert code == 0
    assert "g: 6 pictures" in out
    assert f"cannot be read: {tmp_path / 'crops/broken.jpg'}: not a readable" in err
    assert "not pictures, ignored: 1 .txt" in err
    code, out, err = run(
        "search", paths[2], "--modality", "infrared", "--gallery", gallery, "--top", 3, "--html", sheet
    )
    assert code == 0
    assert str(paths[2]) in out
    assert "1.0000" in out
    assert sheet.read_text().count("<img") == 4


def test_machines_get_json(tmp_path: Path, bundle: Bundle, run: Run, make_pictures: Any) -> None:
    paths = make_pictures(tmp_path / "crops", 6)
    index = ("index", tmp_path / "crops", "--modality", "visible", "--bundle", bundle.path, "--out", tmp_path / "g")
    assert json.loads(run(*index, "--camera", 4, "--json")[1])["added"] == 6
    assert json.loads(run(*index, "--json")[1])["unchanged"] == 6
    search = ("search", paths[2], "--modality", "infrared", "--gallery", tmp_path / "g", "--json")
    found = json.loads(run(*search, "--filter", "camera=4", "--filter", "camera=5")[1])
    assert found["searched"] == ["visible"]
    assert len(found["hits"]) == 6
    best = found["hits"][0]
    assert (best["rank"], best["path"], best["camera"], best["metadata"]) == (1, str(paths[2]), 4, {})
    assert json.loads(run(*search, "--filter", "camera=5")[1])["hits"] == []


def test_mistakes_are_messages_and_exit_codes(
    tmp_path: Path, bundle: Bundle, other_bundle: Bundle, run: Run, make_pictures: Any
) -> None:
    query = make_pictures(tmp_path / "crops", 2)[0]
    index = ("index", tmp_path / "crops", "--out", tmp_path / "g", "--bundle")
    search = ("search", query, "--gallery", tmp_path / "g", "--modality")
    assert run(*search, "infrared")[::2] == (
        1,
        f"vireid: there is no gallery at {tmp_path / 'g'} (no gallery.json); make one with `vireid index`\n",
    )
    assert run(*index, bundle.path)[0] == 2
    assert run(*index, bundle.path, "--modality", "visible")[0] == 0
    for words, code, message in (
        ((*index, bundle.path, "--modality", "visibl"), 2, "did you mean 'visible'"),
        ((*index, other_bundle.path, "--modality", "visible"), 1, "vireid index"),
        ((*search, "thermal"), 2, "unknown modality 'thermal'"),
        ((*search, "infrared", "--filter", "camera"), 2, "not of the form column=value"),
        ((*search, "infrared", "--filter", "camra=1"), 2, "did you mean 'camera'"),
        ((*search, "infrared", "--bundle", other_bundle.path), 1, "was built with model"),
    ):
        left, out, err = run(*words)
        assert (left, out) == (code, "")
        assert message in err


def test_ctrl_c_says_how_to_go_on(
    tmp_path: Path, bundle: Bundle, run: Run, make_pictures: Any, make_encoder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_pictures(tmp_path / "crops", 70)
    monkeypatch.setattr(Bundle, "encoder", lambda bundle, *, device=None: make_encoder(batches=1))
    index = ("index", tmp_path / "crops", "--modality", "visible", "--bundle", bundle.path, "--out", tmp_path / "g")
    code, _, err = run(*index)
    assert code == 130
    assert "the same command goes on from there" in err
    again = json.loads(run(*index, "--json")[1])
    assert (again["unchanged"], again["added"]) == (64, 6)


def test_a_restricted_gallery_keeps_its_pictures_to_itself(
    tmp_path: Path, bundle: Bundle, run: Run, make_pictures: Any
) -> None:
    query = make_pictures(tmp_path / "crops", 3)[0]
    gallery, sheet = tmp_path / "g", tmp_path / "sheet.html"
    index = ("index", tmp_path / "crops", "--modality", "visible", "--bundle", bundle.path, "--out", gallery)
    assert run(*index, "--restricted")[0] == 0
    search = ("search", query, "--modality", "infrared", "--gallery", gallery, "--html", sheet)
    code, out, err = run(*search)
    assert (code, str(query) in out) == (0, True)
    assert err == f"contact sheet: {sheet}; its pictures are restricted and left out\n"
    assert "<img" not in sheet.read_text()
    assert run(*search, "--show-restricted")[2] == f"contact sheet: {sheet}\n"
    assert sheet.read_text().count("<img") == 4


def test_a_path_with_brackets_is_shown_as_it_is(tmp_path: Path, bundle: Bundle, run: Run, make_pictures: Any) -> None:
    query = make_pictures(tmp_path / "[red]crops[/red]", 1)[0]
    index = ("index", query.parent, "--modality", "visible", "--bundle", bundle.path, "--out", tmp_path / "g")
    assert run(*index)[0] == 0
    assert str(query) in run("search", query, "--modality", "infrared", "--gallery", tmp_path / "g")[1]


def test_a_device_that_is_not_there_is_refused(tmp_path: Path, bundle: Bundle, run: Run, make_pictures: Any) -> None:
    pytest.importorskip("torch")
    make_pictures(tmp_path / "crops", 1)
    with pytest.MonkeyPatch.context() as own:
        own.setattr(Bundle, "encoder", ENCODER)
        index = ("index", tmp_path / "crops", "--modality", "visible", "--bundle", bundle.path, "--out", tmp_path / "g")
        code, _, err = run(*index, "--device", "gpu")
    assert code == 2
    assert "unknown device 'gpu'" in err
    assert not (tmp_path / "g").exists()


def test_a_gallery_is_looked_after(tmp_path: Path, bundle: Bundle, run: Run, make_pictures: Any) -> None:
    paths = make_pictures(tmp_path / "crops", 6)
    gallery, receipt = tmp_path / "g", tmp_path / "receipt.json"
    lines = [f"{path},{number % 2},{number // 2}" for number, path in enumerate(paths)]
    (tmp_path / "crops.csv").write_text("\n".join(["path,camera,track", *lines]))
    index = ("index", tmp_path / "crops.csv", "--modality", "visible", "--bundle", bundle.path, "--out", gallery)
    assert run(*index)[0] == 0
    held = json.loads(run("gallery", "info", gallery, "--json")[1])
    assert (held["pictures"], held["visible"], held["deleted"], held["digest"]) == (6, 6, 0, bundle.digest)
    assert "track" in run("gallery", "info", gallery)[1]
    listed = json.loads(run("gallery", "list", gallery, "--filter", "camera=1", "--json")[1])
    assert [row["path"] for row in listed] == [str(path) for path in paths[1::2]]
    assert str(paths[1]) in run("gallery", "list", gallery)[1]
    search = ("search", *paths[:2], "--modality", "infrared", "--gallery", gallery, "--group", "track", "--json")
    assert len(json.loads(run(*search)[1])["hits"]) == 3
    delete = ("gallery", "delete", gallery, "--filter", "track=0", "--receipt", receipt)
    code, out, err = run(*delete, "--yes")
    assert (code, out) == (0, "")
    assert "deleted 2 pictures, 4 remain" in err
    assert len(json.loads(receipt.read_text())["hashes"]) == 2
    assert json.loads(run(*delete, "--yes", "--json")[1])["deleted"] == 0
    assert run("gallery", "delete", gallery)[::2] == (
        2,
        "vireid: say what is to be deleted, for example {'identity': 7}\n",
    )
    assert json.loads(run(*index, "--json")[1])["refused"] == 2
    assert json.loads(run(*index, "--readmit", "--json")[1])["added"] == 2
    assert run("gallery", "compact", gallery)[0] == 0
    assert json.loads(run("gallery", "info", gallery, "--json")[1])["pictures"] == 6


def test_a_gallery_on_a_milvus_server(tmp_path: Path, bundle: Bundle, run: Run, make_pictures: Any) -> None:
    paths = make_pictures(tmp_path / "crops", 4)
    index = ("index", tmp_path / "crops", "--modality", "visible", "--bundle", bundle.path, "--out", tmp_path / "g")
    server = ("--milvus", tmp_path / "lite.db")
    assert json.loads(run(*index, *server, "--json")[1])["added"] == 4
    assert not (tmp_path / "g/store/entries.lance").exists()
    search = ("search", paths[2], "--modality", "infrared", "--gallery", tmp_path / "g", "--json")
    assert json.loads(run(*search)[1])["hits"][0]["path"] == str(paths[2])
    assert json.loads(run(*index, "--json")[1])["unchanged"] == 4
    assert "lite.db" in run("gallery", "info", tmp_path / "g")[1]
    code, _, err = run(*index, "--milvus", "http://127.0.0.1:1")
    assert (code, "keeps its entries on the Milvus server" in err) == (1, True)
    delete = ("gallery", "delete", tmp_path / "g", "--filter", f"path={paths[2]}", "--yes", "--json")
    assert json.loads(run(*delete)[1])["remaining"] == 3
    assert len(json.loads(run(*search)[1])["hits"]) == 3
