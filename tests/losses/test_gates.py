import pytest
import torch

from vireid.losses.gates import gate_consistency

LABELS = torch.tensor([0, 0, 1, 1])


def test_agreement_within_and_distance_between_cost_nothing():
    gates = torch.tensor([[0.1, 0.9], [0.1, 0.9], [0.9, 0.1], [0.9, 0.1]])
    assert float(gate_consistency(gates, LABELS)) == 0.0


def test_a_person_with_gates_zero_and_one_costs_a_quarter():
    gates = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    assert float(gate_consistency(gates, torch.zeros(2, dtype=torch.long))) == pytest.approx(0.25)


def test_equal_gates_of_all_cost_the_margin_and_pull_alone_nothing():
    gates = torch.full((4, 6), 0.3)
    assert float(gate_consistency(gates, LABELS, margin=0.01)) == pytest.approx(0.01)
    assert float(gate_consistency(gates, LABELS, form="pull")) == 0.0


def test_the_cosine_form_prefers_people_apart():
    apart = torch.tensor([[0.1, 0.9], [0.15, 0.85], [0.9, 0.1], [0.85, 0.2]])
    mixed = apart[[0, 2, 1, 3]]
    assert float(gate_consistency(apart, LABELS, form="cosine")) < float(gate_consistency(mixed, LABELS, form="cosine"))


@pytest.mark.parametrize("form", ["variance", "cosine", "pull"])
def test_noise_does_not_count_and_noise_alone_is_no_error(form):
    gates = torch.rand(5, 4, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    with_noise = gate_consistency(gates, torch.tensor([0, 0, 1, 1, -1]), form=form)
    torch.testing.assert_close(with_noise, gate_consistency(gates[:4], LABELS, form=form))
    nothing = gate_consistency(gates, torch.full((5,), -1), form=form)
    assert float(nothing.detach()) == 0.0
