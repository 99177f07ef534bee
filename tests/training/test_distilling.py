"""A student: what it learns from, what is kept of it, and what it must not forget about its teacher."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from vireid.cli.app import app
from vireid.data import open_dataset
from vireid.data.transforms import normalise
from vireid.errors import BundleError, LeakError, RecipeError, UsageError
from vireid.methods import create
from vireid.methods.bundle import Bundle, Card, Preprocessing, save_bundle
from vireid.training.distilling import Distillation, Student, Teacher, distill
from vireid.training.run import Run
from vireid.types import Clock, DataInfo, Modality, View

SMALL = [
    "image.height=48",
    "image.width=24",
    "augmentation.padding=2",
    "batch.identities=4",
    "phases.train.epochs=1",
    "phases.train.schedule.warmup_epochs=0",
    "steps_per_epoch=3",
    "precision=fp32",
    "workers=0",
]
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.fixture(scope="module")
def teacher(tiny_sysu: Path, card: Card, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Nobody trained it; its card says that it knows the people of the tiny set."""
    dataset = open_dataset("sysu", tiny_sysu)
    people = tuple(sorted(int(identity) for identity in set(dataset.images.identity)))
    told = card.model_copy(
        update={"dataset": dataset.name, "dataset_fingerprint": dataset.fingerprint, "identities": people}
    )
    torch.manual_seed(0)
    options: dict[str, Any] = {"architecture": "resnet10t_half", "non_local": False}
    method = create("agw", data=DataInfo(identities=4, image_size=(64, 32)), **options)
    folder = tmp_path_factory.mktemp("teacher") / "bundle"
    return save_bundle(folder, method, preprocessing=Preprocessing(height=64, width=32), card=told)


@pytest.fixture(scope="module")
def crops(tiny_sysu: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pictures of each modality, in folders that say nothing else."""
    root = tmp_path_factory.mktemp("crops")
    table = open_dataset("sysu", tiny_sysu).images
    for modality in Modality:
        (root / modality).mkdir()
        for number, path in enumerate(table.path[table.modality == modality][:12]):
            shutil.copy(path, root / modality / f"{number}{Path(path).suffix}")
    return root


@pytest.fixture(scope="module")
def whole(teacher: Bundle, crops: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = Run(tmp_path_factory.mktemp("students") / "whole")
    distill(teacher.path, run.path, overrides=changes(crops), device="cpu")
    return run


def changes(root: Path, *more: str) -> list[str]:
    return [*SMALL, "data.kind=folders", f"data.root={root}", *more]


def test_a_student_is_an_ordinary_bundle_of_its_own_size(whole: Run, teacher: Bundle) -> None:
    bundle = Bundle.open(whole.path)
    assert bundle.method_name == "agw"
    assert bundle.preprocessing.size == (48, 24)
    assert (bundle.card.identities, bundle.card.dataset_kind) == ((), "folders")
    assert bundle.card.teacher == teacher.card
    assert not [name for name in load_file(bundle.path / "weights.safetensors") if "projection" in name]
    losses = [record["losses"] for record in whole.records() if "losses" in record]
    assert [set(values) for values in losses] == [{"vector", "similarity"}] * 3
    picture = np.zeros((48, 24, 3), np.uint8)
    assert bundle.encoder(device="cpu").embed([picture], Modality.INFRARED).vector.shape == (1, 256)


def test_whom_the_teacher_knows_the_student_is_not_tested_on(whole: Run, tiny_sysu: Path) -> None:
    dataset = open_dataset("sysu", tiny_sysu)
    with pytest.raises(LeakError, match="were trained on"):
        Bundle.open(whole.path).refuse_leak(dataset, np.arange(5))


def test_a_run_that_was_stopped_ends_with_the_same_bits_under_the_same_teacher_alone(
    whole: Run, teacher: Bundle, crops: Path, tmp_path: Path
) -> None:
    stopped = Run(tmp_path / "run")

    def stop(items: Any, /, *, description: str, total: int | None = None) -> Any:
        for number, item in enumerate(items):
            if description.startswith("train") and number == 2:
                raise KeyboardInterrupt
            yield item

    given = changes(crops, "checkpoint_every=1")
    with pytest.raises(KeyboardInterrupt):
        distill(teacher.path, stopped.path, overrides=given, device="cpu", track=stop)
    with pytest.raises(UsageError, match=r"begun otherwise \(vector was 1\.0, now 2\.0\)"):
        distill(teacher.path, stopped.path, overrides=given, settings=Distillation(vector=2.0), resume=True)
    with pytest.raises(UsageError, match="already holds a run"):
        distill(teacher.path, stopped.path, overrides=given)
    distill(teacher.path, stopped.path, overrides=given, resume=True, device="cpu")
    found, expected = (load_file(run.bundle_folder / "weights.safetensors") for run in (stopped, whole))
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_the_teacher_sees_what_the_student_sees_in_its_own_size_and_never_changes(teacher: Bundle) -> None:
    asked = Teacher(teacher, mean=MEAN, std=STD)
    assert asked.width == 256
    pixels = torch.randint(256, (3, 3, 64, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    before = {name: value.clone() for name, value in asked.method.state_dict().items()}
    found = asked.vectors(normalise(pixels, MEAN, STD), Modality.INFRARED)
    with torch.inference_mode():
        expected = asked.method.eval().embed(normalise(pixels, MEAN, STD), Modality.INFRARED).vector
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    assert not found.requires_grad
    assert asked.vectors(torch.zeros(1, 3, 48, 24), Modality.VISIBLE).shape == (1, 256)
    assert all(torch.equal(asked.method.state_dict()[name], value) for name, value in before.items())


def test_a_few_steps_bring_the_student_nearer_and_reach_all_that_is_kept(teacher: Bundle) -> None:
    torch.manual_seed(1)
    data = DataInfo(identities=1, image_size=(48, 24), visible_cameras=(1,), infrared_cameras=(3,))
    network: Any = create("agw", data=data, architecture="resnet10t_half", non_local=False)
    student = Student(network, Teacher(teacher, mean=MEAN, std=STD), Distillation()).train()
    batch = {
        m.value: View(
            modality=m,
            images=torch.randn(8, 3, 48, 24, generator=torch.Generator().manual_seed(number)),
            labels=torch.arange(8),
            cameras=torch.zeros(8, dtype=torch.long),
            rows=torch.arange(8),
        )
        for number, m in enumerate(Modality)
    }
    optimiser = torch.optim.AdamW(student.parameters(), 1e-3)
    clock = Clock(phase="train", epoch=0, epochs=1, batch=0, batches=1, step=0, seed=0)
    values = []
    for _ in range(12):
        loss = torch.stack(list(student.losses(batch, clock).values())).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        values.append(float(loss.detach()))
    assert values[-1] < 0.6 * values[0]
    assert not [name for name, p in student.named_parameters() if p.requires_grad and p.grad is None]
    trained = [p for group in student.parameter_groups("train") for p in group.parameters]
    assert len(trained) == len({id(p) for p in trained})


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["method=cmt", "options={}"], "cannot change"),
        (["data.held_out=0.1"], "leave data.held_out away"),
        (["triplett=x"], "did you mean 'triplet'"),
    ],
)
def test_what_a_student_cannot_be_is_refused(
    more: list[str], message: str, teacher: Bundle, crops: Path, tmp_path: Path
) -> None:
    with pytest.raises((UsageError, RecipeError), match=message):
        distill(teacher.path, tmp_path / "run", overrides=changes(crops, *more))
    assert not list(tmp_path.iterdir())


def test_without_pictures_or_a_teacher_or_anything_to_teach(teacher: Bundle, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"does not say which pictures it was trained on; add data\.kind"):
        distill(teacher.path, tmp_path / "run")
    with pytest.raises(BundleError, match="is no bundle"):
        distill(tmp_path, tmp_path / "run")
    with pytest.raises(ValueError, match="nothing would be taught"):
        Distillation(vector=0, similarity=0)


@pytest.mark.slow
def test_the_command_takes_the_pictures_of_the_teacher_and_its_student_is_tested_and_searched(
    teacher: Bundle, tiny_sysu: Path, small_run: list[str], tmp_path: Path
) -> None:
    def vireid(*words: object) -> Any:
        found = CliRunner().invoke(app, [str(word) for word in words] + ["--json"])
        assert found.exit_code == 0, f"{found.output}\n{found.exception!r}"
        return json.loads(found.stdout)

    run, student = tmp_path / "teacher", tmp_path / "student"
    vireid("train", "agw-demo", f"data.root={tiny_sysu}", "start=none", *small_run, "--out", run, "--device", "cpu")
    small = [change for change in SMALL if not change.startswith("image.")]
    told = vireid("distill", run, *small, "--out", student, "--device", "cpu", "--similarity", "0.5")
    assert told["bundle"] == str(student / "bundle")
    assert Run(student).recipe().data.root == Run(run).recipe().data.root
    assert Bundle.open(student).preprocessing.size == (48, 24), "the teacher's"
    result = vireid("evaluate", student, "--device", "cpu")
    assert 0 <= result["mAP"] <= 100
    wrong = CliRunner().invoke(app, ["distill", str(run), "architecture=resnet18", "--out", str(student)])
    assert "give --architecture" in str(wrong.exception)
