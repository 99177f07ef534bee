"""The result of a reproduction: the published figures beside those measured here, and all that differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vireid.evaluation.results import METRICS, metric_label
from vireid.files import digest_of, write_json, write_text
from vireid.study.published import Published
from vireid.study.tables import markdown

__all__ = ["DEVIATION_COLUMNS", "Reproduction", "settings_of"]

_COLUMNS = ("setting", "metric", "published", "here", "difference", "std")
_ALONE = ("setting", "metric", "here", "std")  # where published figures would be of other pictures
DEVIATION_COLUMNS = ("what", "published", "here")
_PAGE, _RESULT = "reproduction.md", "reproduction.json"


@dataclass(frozen=True)
class Reproduction:
    """A reproduction as JSON values; `digest` is the SHA-256 of everything else in canonical form."""

    values: Mapping[str, Any]

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Reproduction:
        """With its digest."""
        return cls({**values, "digest": digest_of(dict(values))})

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the table; published figures have none where they are not comparable."""
        return _ALONE if self.values["not_compared"] else _COLUMNS

    def rows(self) -> list[tuple[str, ...]]:
        """Cells below `columns`, in percent."""
        found: list[tuple[str, ...]] = []
        for setting in self.values["settings"]:
            paper = setting["published"] or {}
            for metric, here in setting["figures"].items():
                there, spread = paper.get(metric), setting["std"][metric]
                cells = {
                    "setting": setting["setting"],
                    "metric": metric_label(metric),
                    "published": "" if there is None else f"{there:.2f}",
                    "here": f"{here:.2f}",
                    "difference": "" if there is None else f"{here - there:+.2f}",
                    "std": "-" if spread is None else f"{spread:.2f} over {setting['std_over']}",
                }
                found.append(tuple(cells[column] for column in self.columns))
        return found

    def deviations(self) -> list[tuple[str, ...]]:
        """Cells below `DEVIATION_COLUMNS`."""
        return [(one["what"], one["paper"], one["here"]) for one in self.values["deviations"]]

    def save(self, folder: Path) -> None:
        """Write `reproduction.json` and `reproduction.md` into `folder`."""
        write_json(folder / _RESULT, dict(self.values))
        write_text(folder / _PAGE, self.markdown())

    def markdown(self) -> str:
        """The page for people: tables that stand on their own where they are pasted."""
        values = self.values
        data, remark = values["data"], values["not_compared"]
        doing = "trained and tested" if values["trained"] else "the released model, tested"
        sources = {s["source"]: None for s in values["settings"] if s["source"]}
        parts = [
            f"# {values['title']} on {data['name']}: {doing} with vireid\n",
            f"{values['paper']}\n",
            markdown(self.columns, self.rows()),
            f"{remark}\n" if remark else "Published figures are their authors', as they stand in:\n",
            *([] if remark else ["".join(f"- {source}\n" for source in sources) or "- (none is known)\n"]),
            "## What differs from what was published\n",
            markdown(DEVIATION_COLUMNS, self.deviations()),
            "## Models\n",
            markdown(("model", "seed", "bundle", "recipe"), [_model(model) for model in values["models"]]),
            "## Data, machine, versions\n",
            markdown(("", ""), [*_data(data), *values["environment"].items()]),
            f"Digest of this result: `{values['digest']}`\n",
        ]
        return "\n".join(parts)


def settings_of(
    evaluations: Mapping[str, Sequence[Mapping[str, Any]]], paper: Published, kind: str, *, compared: bool
) -> list[dict[str, Any]]:
    """One entry per setting: mean figures, their spread, and the published row.

    evaluations: by setting, results as `EvaluationResult.to_json` gives them; several are the splits of RegDB.
    """
    found = []
    for setting, results in evaluations.items():
        row = paper.of(kind, setting) if compared else None
        figures = {name: float(np.mean([result[name] for result in results])) for name in METRICS}
        several = len(results) > 1
        spread = (
            {name: float(np.std([result[name] for result in results], ddof=1)) for name in METRICS} if several else {}
        )
        published = row.metrics() if row else None
        found.append(
            {
                "setting": setting,
                "figures": figures,
                "std": spread or dict(results[0]["std"]),
                "std_over": "splits" if several else "trials",
                "count": len(results) if several else results[0]["trials"],
                "published": published,
                "source": row.source if row else None,
                "difference": {name: figures[name] - value for name, value in (published or {}).items()},
            }
        )
    return found


def _model(model: Mapping[str, Any]) -> tuple[str, ...]:
    return (model["name"], str(model["seed"]), model["bundle"][:16], model["imported"] or model["recipe"][:16])


def _data(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    looked = "every picture opened" if data["doctor"]["pictures"] else "names, lists and counts"
    warned = ", ".join(data["doctor"]["warnings"]) or "none"
    return [
        ("data", f"{data['name']}, version {data['version']}, fingerprint {data['fingerprint'][:16]}"),
        ("doctor", f"healthy ({looked}); warnings: {warned}"),
    ]
