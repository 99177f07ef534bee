"""The summary page: figures are told apart, losses of every phase are drawn."""

import re
from typing import Any

import pytest

from vireid.evaluation.results import METRICS
from vireid.report import summary
from vireid.report.figures import cells_of, counts_of, label, ranking_of
from vireid.report.plots import line_plot

RERANK = {"name": "k-reciprocal", "k1": 20, "k2": 6, "lambda": 0.3}


def figure(**changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "protocol": "i2v",
        "fingerprint": {"dataset": "people"},
        "mode": "full",
        "trials": 2,
        "queries": [5, 5],
        "valid_queries": [4, 5],
        "gallery": [9, 9],
        "std": dict.fromkeys(METRICS, 1.25),
        **dict.fromkeys(METRICS, 50.0),
    }
    return values | changes


def test_a_row_names_data_ranking_and_every_metric() -> None:
    plain, reranked = summary._row(figure()), summary._row(figure(rerank=RERANK))
    assert (plain["dataset"], plain["ranking"]) == ("people", "full")
    assert reranked["ranking"] == "full, re-ranked (k-reciprocal: k1=20, k2=6, lambda=0.3)"
    assert plain["cells"] == ["50.0 ± 1.2"] * len(METRICS)
    assert summary._row(figure(std=dict.fromkeys(METRICS)))["cells"] == ["50.0"] * len(METRICS)


def test_figures_in_words() -> None:
    assert [label(name) for name in METRICS] == ["rank-1", "rank-5", "rank-10", "rank-20", "mAP", "mINP"]
    assert ranking_of(figure(mode="cascade:9")) == "cascade:9"
    assert cells_of(figure(), digits=2)["mAP"] == ("50.00", "1.25")
    assert list(counts_of(figure()).values()) == ["5", "4 to 5", "9"]


def test_losses_of_every_phase_are_drawn_over_their_own_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    first = [{"step": step, "losses": {"identity": 2.0}} for step in range(12)]
    second = [{"step": 12 + step, "losses": {"identity": 1.0, "cluster": 3.0}} for step in range(5)]
    between = [{"step": 11, "validation": {"mAP": 1.0}}]
    drawn: dict[str, Any] = {}
    monkeypatch.setattr(summary, "line_plot", lambda series, **_: drawn.update(series))
    summary._loss_curve([*first, *between, *second])
    assert drawn == {"identity": ([0, 10], [2.0, (2 * 2.0 + 5 * 1.0) / 7]), "cluster": ([12], [3.0])}


def test_more_lines_than_colours_and_none() -> None:
    seven = line_plot({f"loss{n}": ([0, 1], [n, n]) for n in range(7)}, x="", y="")
    assert "loss6" in seven
    assert len(set(re.findall(r"stroke: (#\w+)", seven))) >= 5
    assert "<svg" in summary._loss_curve([])
