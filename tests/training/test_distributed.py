import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

from vireid.errors import TrainingError
from vireid.networks.necks import BNNeck
from vireid.training.distributed import GlobalBatchNorm, share_batch_statistics

SCRIPT = Path(__file__).with_name("batch_norm_process.py")


@pytest.fixture(scope="module")
def problem() -> ModuleType:
    spec = importlib.util.spec_from_file_location("batch_norm_process", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_two_halves_of_a_batch_give_the_gradient_and_statistics_of_the_whole(
    problem: ModuleType, tmp_path: Path
) -> None:
    processes = [subprocess.Popen([sys.executable, SCRIPT, str(rank), tmp_path]) for rank in range(2)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    model = problem.network()
    problem.loss(model, problem.images()).backward()
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for parameter, gradient in zip(model.parameters(), found["gradients"], strict=True):
            torch.testing.assert_close(gradient, parameter.grad)
        for buffer, value in zip(model.buffers(), found["buffers"], strict=True):
            torch.testing.assert_close(value, buffer)


def test_parameters_are_shared_and_evaluation_is_unchanged(problem: ModuleType) -> None:
    model = nn.Sequential(*problem.network(), BNNeck(5).double())
    before = dict(model.named_parameters())
    expected = model.eval()(problem.images())
    share_batch_statistics(model)
    assert isinstance(model[1], GlobalBatchNorm)
    assert isinstance(model[5], BNNeck), "a neck sees gathered rows"
    assert all(value is before[name] for name, value in model.named_parameters())
    torch.testing.assert_close(model(problem.images()), expected)


def test_unusual_normalisations_are_refused() -> None:
    with pytest.raises(TrainingError, match="cannot share the batch statistics of 0: BatchNorm1d"):
        share_batch_statistics(nn.Sequential(nn.BatchNorm1d(3, affine=False)))
