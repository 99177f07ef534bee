"""Two real processes must find the gradient that one process finds."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from vireid.losses import gather

SCRIPT = Path(__file__).with_name("gather_process.py")


def load_script():
    spec = importlib.util.spec_from_file_location("gather_process", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gather")
    processes = [
        subprocess.Popen([sys.executable, SCRIPT, str(rank), "2", folder], stderr=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


def test_every_rank_sees_all_rows_in_the_order_of_ranks(ranks):
    inputs, labels, toy = load_script().problem()
    for found in ranks:
        assert torch.allclose(found["rows"], toy.layer(inputs), atol=1e-12)
        assert torch.equal(found["labels"], labels)


def test_averaged_gradients_are_those_of_one_process(ranks):
    inputs, labels, toy = load_script().problem()
    loss, _, _ = toy(inputs, labels)
    loss.backward()
    for name, parameter in toy.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad.abs().max() > 1e-3, name
            for found in ranks:
                assert torch.allclose(found["gradients"][name], parameter.grad, atol=1e-6, rtol=0), name


def test_one_process_gets_its_own_tensor_back():
    tensor = torch.randn(3, 2, requires_grad=True)
    assert gather(tensor) is tensor
