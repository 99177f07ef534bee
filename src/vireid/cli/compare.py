"""`vireid compare`."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from vireid.cli.output import Json, print_json, print_table, say

if TYPE_CHECKING:
    from vireid.evaluation.comparison import Comparison


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN...", help="Run folders or evaluation files, or groups of them: NAME=RUN,RUN."),
    ],
    metrics: Annotated[
        list[str] | None,
        typer.Option("--metric", help="rank1, rank5, rank10, rank20, mAP or mINP; may be repeated (rank1 and mAP)."),
    ] = None,
    protocol: Annotated[
        str | None, typer.Option(help="Which evaluation of the runs; a pattern for the splits of RegDB: 'split*-v2i'.")
    ] = None,
    rerank: Annotated[bool, typer.Option("--rerank", help="Compare the re-ranked evaluations of the runs.")] = False,
    resamples: Annotated[int, typer.Option(min=1000, help="Draws of the bootstrap and of the sign-flip test.")] = 10000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of these draws.")] = 0,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown tables.")] = False,
    as_json: Json = False,
) -> None:
    """Say which differences between configurations are real: intervals over test identities and training seeds.

    Runs that differ by seed alone become one configuration by themselves; the first one is what others are compared to.

    Example: vireid compare runs/agw-0 runs/agw-1 runs/agw-2 runs/caj-0 runs/caj-1 runs/caj-2
    """
    from vireid.evaluation.comparison import compare as run_comparison
    from vireid.study.selection import find_groups
    from vireid.study.tables import FIGURE_COLUMNS, FOUND_COLUMNS, figure_cells, found_cells, markdown

    groups = find_groups(runs, protocol=protocol, rerank=rerank)
    found = run_comparison(groups, metrics=metrics or ["rank1", "mAP"], resamples=resamples, seed=seed)
    if as_json:
        print_json(found.to_json())
        return
    figures = [[name, *figure_cells(figure)] for name, of in found.figures.items() for figure in of]
    differences = [[one.a, *found_cells(one, one.verdict)] for one in found.differences]
    to_first = f"minus {found.groups[0].name}"
    if as_markdown:
        sys.stdout.write(markdown(("configuration", *FIGURE_COLUMNS), figures))
        if differences:
            sys.stdout.write("\n" + markdown((to_first, *FOUND_COLUMNS), differences))
    else:
        print_table(("configuration", *FIGURE_COLUMNS), figures, title=_title(found))
        if differences:
            print_table((to_first, *FOUND_COLUMNS), differences, title="differences in percentage points")
    for note in found.notes:
        say(f"note: {note}")


def _title(found: "Comparison") -> str:
    values = found.to_json()
    fingerprint = values["fingerprint"]
    return f"{fingerprint['dataset']}, {', '.join(values['protocol'])}, {values['identities']} test identities"
