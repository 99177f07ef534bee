"""`vireid gallery`: what a gallery holds, and what must not be in it any more."""

from pathlib import Path
from typing import Annotated

import typer

from vireid.cli.output import Device, Filter, Json, parse_filters, print_json, print_table, print_values, say, track

app = typer.Typer(help="Look after a gallery: what it holds, deletion, compaction.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(help="Folder of the gallery.")]


@app.command("info")
def info(gallery: Folder, as_json: Json = False) -> None:
    """What a gallery is bound to and how much it holds.

    Example: vireid gallery info galleries/entrance
    """
    from vireid.gallery import Gallery

    opened = Gallery.open(gallery)
    values = opened.information()
    if as_json:
        print_json(values)
    else:
        print_values({name: ", ".join(map(str, v)) if isinstance(v, list) else v for name, v in values.items()})


@app.command("list")
def list_pictures(gallery: Folder, filters: Filter = None, as_json: Json = False) -> None:
    """The pictures of a gallery with what is known of them.

    Example: vireid gallery list galleries/entrance --filter camera=2
    """
    from vireid.gallery import Gallery

    table = Gallery.open(gallery).table(parse_filters(filters or []))
    records = table.to_dict("records")
    if as_json:
        print_json(records)
        return
    columns = [name for name in ("path", *table.columns) if name != "sha256" and table[name].notna().any()]
    columns = list(dict.fromkeys(columns))
    print_table(columns, [["-" if row[name] is None else row[name] for name in columns] for row in records])


@app.command("delete")
def delete(
    gallery: Folder,
    filters: Filter = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    receipt: Annotated[Path | None, typer.Option(help="File for the receipt (JSON).")] = None,
    as_json: Json = False,
) -> None:
    """Delete the pictures that match, for good: from all files, versions and the index; they are refused afterwards.

    The picture files themselves and backups of the gallery are not touched.

    Example: vireid gallery delete galleries/entrance --filter identity=7 --yes --receipt receipt.json
    """
    from vireid.files import write_json
    from vireid.gallery import Gallery

    opened, wanted = Gallery.open(gallery), parse_filters(filters or [])
    if wanted and not yes:
        typer.confirm(f"delete {opened.count(wanted)} of {len(opened)} pictures for good?", abort=True, err=True)
    done = opened.delete(wanted)
    if receipt:
        write_json(receipt, done.to_json())
    if as_json:
        print_json(done.to_json())
        return
    say(f"deleted {done.deleted} pictures, {done.remaining} remain")
    if done.deleted:
        say("the picture files are where they were, and backups of the gallery still hold what they held")


@app.command("compact")
def compact(gallery: Folder) -> None:
    """Merge small files, finish what a killed process left, bring the index up to date.

    Example: vireid gallery compact galleries/entrance
    """
    from vireid.gallery import Gallery

    Gallery.open(gallery).compact()


@app.command("migrate")
def migrate(
    gallery: Folder,
    bundle: Annotated[Path, typer.Option(help="Run folder or bundle of the new model.")],
    leave_out: Annotated[
        bool, typer.Option("--leave-out", help="Lose the pictures that are not where or what they were.")
    ] = False,
    queries: Annotated[int, typer.Option(min=1, help="Pictures of which both models' answers are compared.")] = 100,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Embed all pictures with another model, beside the old vectors, and exchange the two in one step.

    Example: vireid gallery migrate galleries/entrance --bundle runs/better
    """
    from vireid.gallery import Gallery

    done = Gallery.open(gallery, device=device).migrate(bundle, leave_out=leave_out, queries=queries, track=track)
    if as_json:
        print_json(done.to_json())
        return
    values: dict[str, object] = {"pictures": done.pictures, "left out": len(done.left_out)}
    if done.agreement:
        found = done.agreement
        values |= {
            "pictures compared": found.queries,
            "same first hit": f"{100 * found.same_first:.1f} %",
            "common among the first ten": f"{100 * found.overlap:.1f} %",
        }
        for name, share in (("old", found.right_before), ("new", found.right_after)):
            if share is not None:
                values[f"first hit right, {name} model"] = f"{100 * share:.1f} %"
    print_values(values)
    for lost in done.left_out:
        say(f"left out: {lost.path}: {lost.reason}")
    if done.note:
        say(done.note)
