"""What makes a search fail, where the data knows the truth behind its pictures (rendered sets do)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vireid.report.blocks import Bar, Block, Section, Table, Text
from vireid.report.material import Material
from vireid.types import Trial

__all__ = ["FACTOR_FILE", "factors", "rates", "searches"]

FACTOR_FILE = "factors.parquet"
_TURNS = {"up to 30°": 30.0, "30° to 60°": 60.0, "60° to 90°": 90.0, "more than 90°": 180.0}


def factors(run: Material) -> Section | None:
    """Rank-1 and mAP by each factor; None where the data knows no factors."""
    truth = _truth(run)
    if truth is None:
        return None
    table = searches(run, truth)
    told = Text(
        "Percent of the searches of all trials in which the factor had that value. One factor at a time: "
        "factors that come together are not told apart."
    )
    blocks: list[Block] = [told]
    for name in table.columns.drop(["identity", "rank1", "mAP"]):
        found = rates(table, name)
        if len(found) < 2:
            continue  # a factor that all searches share says nothing
        rows = [_row(str(value), row) for value, row in found.iterrows()]
        blocks.append(Table(f"By {name}.", ["", "people", "searches", "rank-1", "mAP"], rows))
    return Section("What makes searches fail", blocks)


def rates(table: pd.DataFrame, factor: str) -> pd.DataFrame:
    """Per value of `factor`: people, searches, rank-1 and mAP in percent."""
    grouped = table.groupby(factor, observed=True)
    found = grouped[["rank1", "mAP"]].mean()
    found.insert(0, "searches", grouped.size())
    found.insert(0, "people", grouped["identity"].nunique())
    return found


def searches(run: Material, truth: pd.DataFrame) -> pd.DataFrame:
    """One row for every valid search of every trial: who, rank-1 and AP in percent, and a column for each factor.

    truth: rows of the factor file, in the order of the image table.
    """
    records, valid = run.queries, run.queries.valid
    about = truth.iloc[records.query[valid]].reset_index(drop=True)
    columns: dict[str, Any] = {
        "identity": records.identity[valid],
        "rank1": records.values("rank1")[valid],
        "mAP": records.values("mAP")[valid],
        "bag": about["true_bag"],
        "upper garment": about["true_upper"],
        "what covers the person in the query": _covered(about),
        "side that the query shows": _side(about["heading"].to_numpy()),
        "weave of the upper garment in infrared": _in_infrared(about, "true_upper_weave"),
        "near-twin among the people": np.where(about["true_group"] >= 0, "yes", "no"),
    }
    turned = np.concatenate([_turned(run, trial, truth["heading"].to_numpy()) for trial in run.trials])[valid]
    edges = [-0.001, *_TURNS.values()]
    columns["turn between the query and the nearest correct picture"] = pd.cut(turned, edges, labels=list(_TURNS))
    return pd.DataFrame(columns)


def _truth(run: Material) -> pd.DataFrame | None:
    """Rows of the factor file in the order of the image table; only rendered data is believed to have one."""
    file = run.dataset.root / FACTOR_FILE
    if not run.dataset.synthetic or not file.is_file():
        return None
    root = run.dataset.root.as_posix().rstrip("/") + "/"
    paths = [path.removeprefix(root) for path in run.dataset.images["path"]]
    return pd.read_parquet(file).set_index("path").reindex(paths)


def _covered(about: pd.DataFrame) -> NDArray[np.str_]:
    above, below = (about["free_from"] > 0).to_numpy(), (about["free_to"] < 1).to_numpy()
    return np.select([above & below, above, below], ["above and below", "above", "below"], "nothing")


def _side(heading: NDArray[np.float64]) -> NDArray[np.str_]:
    turn = np.degrees(np.abs(heading))
    return np.select([turn <= 45, turn >= 135], ["front", "back"], "side")


def _in_infrared(about: pd.DataFrame, ink: str) -> NDArray[np.str_]:
    survives, inverted = about[f"{ink}_survives"].to_numpy(bool), about[f"{ink}_inverted"].to_numpy(bool)
    return np.select([inverted, survives], ["stays, light and dark exchanged", "stays"], "vanishes")


def _turned(run: Material, trial: Trial, heading: NDArray[np.float64]) -> NDArray[np.float64]:
    """(Q,) degrees to the correct permitted gallery picture that is turned least away; not-a-number where none is."""
    return np.concatenate(list(_turned_blocks(run, trial, heading)))


def _turned_blocks(run: Material, trial: Trial, heading: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
    for start in range(0, len(trial.query), 512):
        query, invalid = trial.query[start : start + 512], trial.invalid[start : start + 512]
        between = heading[query][:, None] - heading[trial.gallery]
        turn = np.degrees(np.abs(np.angle(np.exp(1j * between))))
        correct = (run.identity[query][:, None] == run.identity[trial.gallery]) & ~invalid
        least = np.where(correct, turn, np.inf).min(axis=1)
        yield np.where(np.isfinite(least), least, np.nan)


def _row(value: str, row: Any) -> list[str | Bar]:
    rank1 = Bar(row.rank1 / 100, f"{row.rank1:.1f}")
    return [value.replace("_", " "), f"{row.people:,.0f}", f"{row.searches:,.0f}", rank1, f"{row.mAP:.1f}"]
