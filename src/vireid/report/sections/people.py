"""Who is hard to find."""

from __future__ import annotations

import numpy as np
import pandas as pd

from vireid.evaluation.records import QueryRecords
from vireid.report.blocks import Bar, Drawing, Section, Table
from vireid.report.material import Material
from vireid.report.plots import line_plot

__all__ = ["by_identity", "people"]

_HARDEST = 10


def people(run: Material) -> Section:
    """All people by AP, and the hardest of them."""
    table = by_identity(run.queries)
    rows: list[list[str | Bar]] = [
        [f"person {person}", f"{row.queries:,.0f}", f"{row.rank1:.1f}", Bar(row.mAP / 100, f"{row.mAP:.1f}")]
        for person, row in table.head(_HARDEST).iterrows()
    ]
    values = table["mAP"].to_numpy()
    low, middle, high = np.percentile(values, [0, 50, 100])
    told = f"From {low:.1f} % over {middle:.1f} % (median) to {high:.1f} %"
    drawing = line_plot(
        {"mAP": (np.arange(1, len(values) + 1), values)},
        x="people, hardest first",
        y="mAP, %",
        alt=f"Mean average precision of each of {len(values)} people. {told}.",
        from_zero=True,
    )
    caption = "The hardest people, over all trials; percent of their searches."
    return Section(
        "The hardest people",
        [
            Drawing(drawing, f"Mean average precision of each person's searches. {told}."),
            Table(caption, ["", "searches", "rank-1", "mAP"], rows),
        ],
    )


def by_identity(queries: QueryRecords) -> pd.DataFrame:
    """Searches, rank-1 and mAP in percent of every person with a valid search, over all trials, the hardest first."""
    valid = queries.valid
    table = pd.DataFrame(
        {
            "identity": queries.identity[valid],
            "rank1": queries.values("rank1")[valid],
            "mAP": queries.values("mAP")[valid],
        }
    )
    grouped = table.groupby("identity")
    found = grouped[["rank1", "mAP"]].mean()
    found.insert(0, "queries", grouped.size())
    return found.sort_values("mAP", kind="stable")
