"""What quantisation is judged by: the mAP that `vireid evaluate` finds, of an encoder that is at hand."""

import runpy
from pathlib import Path

import pytest

from vireid.data import open_dataset
from vireid.export.measuring import Task
from vireid.methods.bundle import Bundle
from vireid.training.measure import measure
from vireid.types import Modality

write_export = runpy.run_path(str(Path(__file__).parents[1] / "methods" / "made_export.py"))["write_export"]


def test_the_map_is_that_of_an_evaluation(tiny_sysu: Path, tmp_path: Path) -> None:
    bundle = Bundle.open(write_export(tmp_path / "export"))
    dataset = open_dataset("sysu", tiny_sysu)
    task = Task(dataset=dataset, protocol=dataset.protocol("all-single-agw"))
    found, mode = task.measure(bundle.encoder(device="cpu"), bundle.matcher())
    expected = measure(bundle, dataset, task.protocol, folder=tmp_path / "embeddings", device="cpu").to_json()
    assert mode == "full"
    assert found == pytest.approx(expected["mAP"])
    sample = task.sample(task.test_rows(), 3)
    assert {modality: len(pictures) for modality, pictures in sample.items()} == dict.fromkeys(Modality, 3)
