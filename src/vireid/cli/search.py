"""`vireid search`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vireid.cli.output import Device, Filter, Json, parse_filters, print_json, print_table, say

if TYPE_CHECKING:
    from vireid.gallery import SearchResult


def search(
    images: Annotated[list[Path], typer.Argument(help="Picture of the person to look for, or several of one person.")],
    modality: Annotated[str, typer.Option(help="What kind of camera took it: visible or infrared.")],
    gallery: Annotated[Path, typer.Option(help="Folder that `vireid index` wrote.")],
    top: Annotated[int, typer.Option(min=1, help="Hits wanted.")] = 10,
    min_llr: Annotated[
        float | None, typer.Option(help="No hit below this log-likelihood ratio; the model must be calibrated.")
    ] = None,
    filters: Filter = None,
    group: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Show each value of a column once, for example track.")
    ] = None,
    bundle: Annotated[Path | None, typer.Option(help="The gallery's model, if it has moved.")] = None,
    html: Annotated[Path | None, typer.Option(help="File for a contact sheet.")] = None,
    explain: Annotated[
        Path | None, typer.Option(help="File for a page that shows what matched in the first three hits.")
    ] = None,
    show_restricted: Annotated[
        bool,
        typer.Option("--show-restricted", help="Show the pictures of a restricted gallery in the sheet all the same."),
    ] = False,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Rank the pictures of a gallery by how much they look like the person in a picture.

    Where the model is calibrated (`vireid calibrate`), both modalities are ranked together by log-likelihood ratio.
    Where it is not, the other modality alone is searched, unless a filter on modality says otherwise.

    Example: vireid search person.jpg --modality infrared --gallery galleries/entrance --html sheet.html
    """
    from vireid.files import write_text
    from vireid.gallery import Gallery, contact_sheet_html

    wanted = parse_filters(filters or [])
    opened = Gallery.open(gallery, bundle=bundle, device=device)
    result = opened.search(images, modality=modality, top=top, min_llr=min_llr, filters=wanted, group=group)
    name = images[0].name
    if html:
        title = f"Pictures like {name}"
        write_text(html, contact_sheet_html(result, title=title, show_restricted=show_restricted))
    if explain:
        from vireid.report.explained_search import explained_search

        page = explained_search(result, opened.bundle, show_restricted=show_restricted, device=device)
        write_text(explain, page)
    if as_json:
        print_json(result.to_json())
        return
    _print_hits(result, title=f"{name} ({modality})")
    if html:
        hidden = "; its pictures are restricted and left out" if result.restricted and not show_restricted else ""
        say(f"contact sheet: {html}{hidden}")
    if explain:
        say(f"what matched: {explain}")


def _print_hits(result: "SearchResult", *, title: str) -> None:
    """The hits as a table, and what should be known of them."""
    from vireid.matching.calibration import expected_number

    calibrated = bool(result.calibration)
    rows = [
        [
            hit.rank,
            f"{hit.score:.4f}",
            *([f"{hit.llr:+.2f}", expected_number(hit.false_matches or 0.0)] if calibrated else []),
            hit.modality,
            "-" if hit.camera is None else hit.camera,
            hit.path,
        ]
        for hit in result.hits
    ]
    columns = ("rank", "score", *(("llr", "by chance") if calibrated else ()), "modality", "camera", "path")
    if rows:
        print_table(columns, rows, title=title)
    elif result.counts:
        say(f"no picture reaches a log-likelihood ratio of {result.min_llr:g}")
    if result.note:
        say(result.note)
    if result.warning:
        say(result.warning)
