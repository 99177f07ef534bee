"""Testing a model: leaks, what is kept, what is printed, and what happens where nothing can be written."""

import json
import multiprocessing
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from vireid.cli import main
from vireid.data import Dataset, open_dataset
from vireid.errors import ImageError, LeakError, UsageError
from vireid.evaluation.results import METRICS
from vireid.methods import create
from vireid.methods.bundle import Bundle, Card, Preprocessing, identity_names, save_bundle
from vireid.methods.encoder import TorchEncoder, choose_device, open_encoder
from vireid.training.measure import EmbeddingTable, measure
from vireid.types import DataInfo, Embeddings

SIZE = (32, 16)
Run = Callable[..., tuple[int, str, str]]


def write_table(folder: Path, people: dict[str, str], *, pictures: int = 2) -> Dataset:
    """A table of noise pictures: `pictures` of every person by each of two cameras; people: identity -> split."""
    rows = []
    rng = np.random.default_rng(0)
    for person, split in people.items():
        for camera, modality in ((1, "visible"), (2, "infrared")):
            for number in range(pictures):
                path = folder / f"{person}-{camera}-{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(rng.integers(0, 256, (*SIZE, 3), np.uint8)).save(path)
                rows.append((path.name, person, camera, modality, split))
    columns = ["path", "identity", "camera", "modality", "split"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "manifest.csv", index=False)
    return open_dataset("manifest", folder)


def trained_on(folder: Path, dataset: Dataset, *, seed: int = 0) -> Bundle:
    """A bundle, untrained, whose card says that it was trained on the training split of `dataset`."""
    import torch

    torch.manual_seed(seed)
    table = dataset.images.loc[dataset.training_rows()]
    data = DataInfo(identities=2, image_size=SIZE, visible_cameras=(1,), infrared_cameras=(2,))
    card = Card(
        dataset=dataset.name,
        dataset_kind=dataset.kind,
        dataset_fingerprint=dataset.fingerprint,
        licence=dataset.licence,
        restricted=dataset.restricted,
        protocol="i2v",
        identities=tuple(sorted(int(identity) for identity in table.identity.unique())),
        identity_names=identity_names(table),
        recipe="0",
        seed=seed,
        vireid="0",
    )
    method = create("agw", data=data, architecture="resnet10t")
    return save_bundle(folder, method, preprocessing=Preprocessing(height=SIZE[0], width=SIZE[1]), card=card)


PEOPLE = {"1": "train", "2": "train", "3": "test", "4": "test", "5": "test"}
NAMED = {"ann": "train", "bo": "train", "eve": "test", "flo": "test"}


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return write_table(tmp_path / "people", PEOPLE)


@pytest.fixture
def bundle(tmp_path: Path, dataset: Dataset) -> Bundle:
    return trained_on(tmp_path / "model", dataset)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("COLUMNS", "60")

    def command(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["vireid", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            main()
        output = capsys.readouterr()
        return int(left.value.code or 0), output.out, output.err

    return command


def searched(dataset: Dataset) -> Any:
    return dataset.rows(split="test")


def test_new_people_are_no_leak(bundle: Bundle, dataset: Dataset) -> None:
    bundle.refuse_leak(dataset, searched(dataset))
    with pytest.raises(LeakError, match="2 of the 2 test identities were trained on"):
        bundle.refuse_leak(dataset, dataset.rows(split="train"))


def test_a_changed_table_does_not_hide_a_leak(tmp_path: Path, bundle: Bundle) -> None:
    other_lists = write_table(tmp_path / "again/people", {**PEOPLE, "1": "test", "5": "train"})
    assert other_lists.fingerprint != bundle.card.dataset_fingerprint
    with pytest.raises(LeakError, match="1 of the 3 test identities"):
        bundle.refuse_leak(other_lists, searched(other_lists))
    one_more = write_table(tmp_path / "more/people", {**PEOPLE, "6": "test"})
    bundle.refuse_leak(one_more, searched(one_more))


def test_a_data_set_of_another_name_is_another_one(tmp_path: Path, bundle: Bundle) -> None:
    others = write_table(tmp_path / "others", {"1": "test", "2": "test"})
    assert set(bundle.card.identities) & {1, 2}, "the numbers coincide, the people do not"
    bundle.refuse_leak(others, searched(others))


def test_named_people_are_known_by_name_and_not_by_number(tmp_path: Path) -> None:
    bundle = trained_on(tmp_path / "model", write_table(tmp_path / "people", NAMED))
    assert bundle.card.identity_names == ("ann", "bo")
    # A person who sorts first moves all numbers by one, so that 1, once trained on, is tested now.
    moved = write_table(tmp_path / "more/people", {"aaron": "train", "cy": "test", **NAMED, "ann": "test"})
    with pytest.raises(LeakError, match="1 of the 4 test identities were trained on \\(one is ann\\)"):
        bundle.refuse_leak(moved, searched(moved))
    clean = write_table(tmp_path / "clean/people", {"aaron": "test", "abe": "test", **NAMED})
    bundle.refuse_leak(clean, searched(clean))


def test_numbers_become_names_when_a_name_is_added(tmp_path: Path, bundle: Bundle) -> None:
    named = write_table(tmp_path / "more/people", {"ann": "train", "0001": "test", "7": "test"})
    with pytest.raises(LeakError, match="trained on \\(one is 1\\)"):
        bundle.refuse_leak(named, searched(named))


def test_a_picture_written_again_is_embedded_again(tmp_path: Path, bundle: Bundle, dataset: Dataset) -> None:
    said: list[str] = []
    embedded: list[int] = []

    class Counting(TorchEncoder):
        def embed(self, pictures: Sequence[Any], modality: Any) -> Embeddings[Any]:
            embedded.append(len(pictures))
            return super().embed(pictures, modality)

    def table() -> Any:
        opened = EmbeddingTable(tmp_path / "kept.npz", bundle.digest)
        encoder = lambda: Counting(bundle.method(), bundle.preprocessing, digest=bundle.digest)  # noqa: E731
        return opened.of(searched(dataset), dataset, encoder, say=said.append).vector

    before = table()
    assert (sum(embedded), said) == (12, [])
    assert (table() == before).all()
    assert (sum(embedded), said) == (12, [])
    row = searched(dataset)[4]
    path = Path(dataset.images.path[row])
    status = path.stat()
    Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(path)
    after = table()
    assert sum(embedded) == 13
    assert said == ["1 pictures have changed since they were embedded; embedding them again"]
    assert [place for place in range(12) if (before[place] != after[place]).any()] == [4]
    path.touch()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert (table() == after).all()
    assert sum(embedded) == 14
    path.unlink()
    with pytest.raises(ImageError, match="No such file"):
        table()


def test_embeddings_of_other_models_and_no_rows(tmp_path: Path, bundle: Bundle, dataset: Dataset) -> None:
    kept, rows = tmp_path / "kept.npz", searched(dataset)
    encoder = lambda: open_encoder(bundle, device="cpu")  # noqa: E731
    EmbeddingTable(kept, bundle.digest).of(rows, dataset, encoder)
    assert len(EmbeddingTable(kept, bundle.digest).rows) == len(rows)
    assert not len(EmbeddingTable(kept, "another").rows)
    with pytest.raises(UsageError, match="no pictures were asked for"):
        EmbeddingTable(tmp_path / "none.npz", bundle.digest).of(rows[:0], dataset, encoder)


def test_a_folder_that_cannot_be_written_costs_no_result(tmp_path: Path, bundle: Bundle, dataset: Dataset) -> None:
    (tmp_path / "file").write_text("")
    said: list[str] = []
    result = measure(bundle, dataset, dataset.protocol("i2v"), folder=tmp_path / "file", say=said.append)
    assert result.to_json()["queries"] == [6]
    assert len(said) == 1
    assert said[0].startswith("embeddings are not kept")


def test_devices_have_names(bundle: Bundle, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert (choose_device(None).type, choose_device("cpu").type) == ("cpu", "cpu")
    with pytest.raises(UsageError, match="device 'cuda' is not there"):
        choose_device("cuda")
    with pytest.raises(UsageError, match=r"unknown device 'gpu'.*allowed: cpu, cuda"):
        open_encoder(bundle, device="gpu")
    measure(bundle, dataset, dataset.protocol("i2v"), folder=tmp_path, device="cpu")
    with pytest.raises(UsageError, match="unknown device"):  # with every embedding kept
        measure(bundle, dataset, dataset.protocol("i2v"), folder=tmp_path, device="gpu")


def test_the_table_names_the_ranking_and_counts(bundle: Bundle, dataset: Dataset, run: Run) -> None:
    words = ("evaluate", bundle.path, "--data", dataset.root, "--device", "cpu")
    code, plain, _ = run(*words)
    assert code == 0
    assert "agw on people, i2v, full, 1 trials\n" in plain
    assert [line.split() for line in plain.splitlines()[-3:]] == [
        ["queries", "6"],
        ["of", "these", "valid", "(with", "a", "correct", "picture)", "6"],
        ["gallery", "pictures", "6"],
    ]
    assert all(name.replace("rank", "rank-") in plain for name in METRICS)
    code, reranked, _ = run(*words, "--rerank")
    assert code == 0
    assert "i2v, full, re-ranked (k-reciprocal: k1=" in reranked
    assert len(bundle.figures()) == 2
    assert {figure["fingerprint"]["dataset"] for figure in bundle.figures()} == {"people"}


def test_open_set_figures_of_a_model(bundle: Bundle, dataset: Dataset, run: Run) -> None:
    words = ("evaluate", bundle.path, "--data", dataset.root, "--device", "cpu", "--open-set", "0.4")
    code, shown, _ = run(*words, "--json")
    assert code == 0
    values = json.loads(shown)["open_set"]
    assert (values["held_out_share"], values["enrolled_identities"], values["non_mated_searches"]) == (0.4, [2], [2])
    code, plain, _ = run(*words)
    assert code == 0
    assert "open set, 40 % of the people held out (seed 0)" in plain
    assert run(*words, "--rerank")[0] == 2


def test_a_model_that_cannot_be_written_gives_its_result_first(
    tmp_path: Path, bundle: Bundle, dataset: Dataset, run: Run
) -> None:
    (bundle.path / ".figures.lock").mkdir()
    out = tmp_path / "result.json"
    code, shown, err = run("evaluate", bundle.path, "--data", dataset.root, "--out", out, "--json", "--device", "cpu")
    assert code == 1
    assert json.loads(shown) == json.loads(out.read_text())
    assert err.endswith(f"vireid: {bundle.path / '.figures.lock'}: Is a directory\n")
    assert "Traceback" not in err


def record_many(path: Path, first: int) -> None:
    bundle = Bundle.open(path)
    for number in range(first, first + 20):
        bundle.record({"protocol": str(number)})


def test_figures_recorded_at_once_are_all_kept(bundle: Bundle) -> None:
    processes = [
        multiprocessing.get_context("fork").Process(target=record_many, args=(bundle.path, first))
        for first in (0, 20, 40)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert sorted(int(figure["protocol"]) for figure in bundle.figures()) == list(range(60))
    bundle.record({"protocol": "7"})
    assert len(bundle.figures()) == 60
