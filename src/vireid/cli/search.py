"""`vireid search`."""

from pathlib import Path
from typing import Annotated

import typer

from vireid.cli.output import Device, Filter, Json, parse_filters, print_json, print_table, say


def search(
    images: Annotated[list[Path], typer.Argument(help="Picture of the person to look for, or several of one person.")],
    modality: Annotated[str, typer.Option(help="What kind of camera took it: visible or infrared.")],
    gallery: Annotated[Path, typer.Option(help="Folder that `vireid index` wrote.")],
    top: Annotated[int, typer.Option(min=1, help="Hits wanted.")] = 10,
    filters: Filter = None,
    group: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Show each value of a column once, for example track.")
    ] = None,
    bundle: Annotated[Path | None, typer.Option(help="The gallery's model, if it has moved.")] = None,
    html: Annotated[Path | None, typer.Option(help="File for a contact sheet.")] = None,
    show_restricted: Annotated[
        bool,
        typer.Option("--show-restricted", help="Show the pictures of a restricted gallery in the sheet all the same."),
    ] = False,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Rank the pictures of a gallery by how much they look like the person in a picture.

    A gallery that holds both modalities is searched in the other one, unless a filter on modality says otherwise.

    Example: vireid search person.jpg --modality infrared --gallery galleries/entrance --html sheet.html
    """
    from vireid.files import write_text
    from vireid.gallery import Gallery, contact_sheet_html

    wanted = parse_filters(filters or [])
    result = Gallery.open(gallery, bundle=bundle, device=device).search(
        images, modality=modality, top=top, filters=wanted, group=group
    )
    name = images[0].name
    if html:
        title = f"Pictures like {name}"
        write_text(html, contact_sheet_html(result, title=title, show_restricted=show_restricted))
    if as_json:
        print_json(result.to_json())
        return
    rows = [
        [hit.rank, f"{hit.score:.4f}", hit.modality, "-" if hit.camera is None else hit.camera, hit.path]
        for hit in result.hits
    ]
    if rows:
        print_table(("rank", "score", "modality", "camera", "path"), rows, title=f"{name} ({modality})")
    if result.note:
        say(result.note)
    if html:
        hidden = "; its pictures are restricted and left out" if result.restricted and not show_restricted else ""
        say(f"contact sheet: {html}{hidden}")
