"""The report: one self-contained HTML page about one run, or about several side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from vireid.errors import UsageError
from vireid.evaluation.comparison import refuse_unlike
from vireid.files import write_text
from vireid.report.blocks import Block, Section, Text
from vireid.report.material import Material, open_material
from vireid.report.sections.clusters import clusters
from vireid.report.sections.curves import curves
from vireid.report.sections.embedding_map import embedding_map
from vireid.report.sections.explanations import explanations
from vireid.report.sections.factors import factors
from vireid.report.sections.metrics import groups_of, metrics
from vireid.report.sections.overview import overview
from vireid.report.sections.people import people
from vireid.report.sections.ranked import ranked
from vireid.report.sections.similarity import similarity
from vireid.report.sections.thresholds import thresholds
from vireid.report.sections.training import training
from vireid.types import Say, Track, silent, untracked

__all__ = ["render", "sections_of", "write_report"]

_NOTE = "Tested on identities that were not trained on."


def write_report(
    runs: Sequence[Path],
    out: Path,
    *,
    protocol: str | None = None,
    data: Path | None = None,
    show_restricted: bool = False,
    seed: int = 0,
    device: str | None = None,
    command: str = "",
    links: Mapping[str, str] | None = None,
    track: Track = untracked,
    say: Say = silent,
) -> dict[str, Any]:
    """Test `runs` (run folders or bundles) and write the page; returns what is on it as JSON values.

    Args:
        protocol: the same for all (None: the one whose training split each run used). data: the same for all.
        show_restricted: show pictures of data sets whose terms forbid it unless their users say so.
        seed: of the queries and people that are drawn. command, links: told at the top of the page.

    Raises:
        UsageError: no runs, or runs that were not tested alike. And what `open_material` raises.
    """
    if not runs:
        raise UsageError("a report needs at least one run")
    materials = [
        open_material(
            run,
            data=data,
            protocol=protocol,
            show_restricted=show_restricted,
            seed=seed,
            device=device,
            track=track,
            say=say,
        )
        for run in runs
    ]
    materials = _named_apart(materials)
    refuse_unlike(groups_of(materials))
    sections = sections_of(materials, command=command)
    methods = " and ".join(dict.fromkeys(material.bundle.method_name for material in materials))
    title = f"{methods} on {materials[0].dataset.name}"
    write_text(out, render(title=title, note=_NOTE, sections=sections, links=links))
    return {
        "report": str(out),
        "sections": [section.title for section in sections],
        "pictures_shown": all(material.album.shown for material in materials),
        "runs": [{"name": m.name, "bundle": m.bundle.digest, "result": m.result.to_json()} for m in materials],
    }


def sections_of(runs: Sequence[Material], *, command: str = "") -> list[Section]:
    """All parts of the page; those about single pictures and people are of the first run."""
    first = runs[0]
    single = [
        similarity(first),
        thresholds(first),
        embedding_map(first),
        ranked(first),
        people(first),
        factors(first),
        explanations(first),
        clusters(first),
    ]
    if len(runs) > 1:
        whose = Text(f"Of {first.name}, the first of the runs.")
        single = [section and Section(section.title, [whose, *section.blocks]) for section in single]
    return [
        metrics(runs),
        curves(runs),
        *(section for section in single if section is not None),
        training(runs),
        overview(runs, command=command),
    ]


def render(*, title: str, note: str, sections: Sequence[Section], links: Mapping[str, str] | None = None) -> str:
    """A self-contained HTML page of sections. note: one line below the title."""
    environment = Environment(
        loader=PackageLoader("vireid.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["groupby_runs"] = _runs_of_a_kind
    page = environment.get_template("report.html")
    return page.render(title=title, note=note, sections=sections, links=links or {})


def _runs_of_a_kind(blocks: Sequence[Block]) -> list[tuple[str, list[Block]]]:
    """Neighbours of one kind together: drawings stand side by side."""
    return [(kind, list(group)) for kind, group in groupby(blocks, key=lambda block: block.kind)]


def _named_apart(runs: list[Material]) -> list[Material]:
    """Runs whose folders are called alike get their number as well."""
    names = [run.name for run in runs]
    return [
        replace(run, name=f"{run.name} ({number})") if names.count(run.name) > 1 else run
        for number, run in enumerate(runs, start=1)
    ]
