"""`vireid index`."""

from pathlib import Path
from typing import Annotated

import typer

from vireid.cli.output import Device, Json, print_json, print_table, say, track


def index(
    folder: Annotated[
        Path,
        typer.Argument(help="Folder of pictures, one person each, or a list of them: CSV, COCO (.json), MOT (.txt)."),
    ],
    bundle: Annotated[Path, typer.Option(help="Run folder or bundle of the model.")],
    out: Annotated[Path, typer.Option(help="Folder of the gallery; an existing one of this model grows.")],
    modality: Annotated[
        str | None, typer.Option(help="What kind of camera took them: visible or infrared; a CSV may say it.")
    ] = None,
    frames: Annotated[Path | None, typer.Option(help="Folder to which the paths of a list are relative.")] = None,
    camera: Annotated[str | None, typer.Option(help="Number or name of the camera that took them.")] = None,
    restricted: Annotated[
        bool,
        typer.Option("--restricted", help="Terms forbid showing these pictures: contact sheets leave them out."),
    ] = False,
    readmit: Annotated[
        bool, typer.Option("--readmit", help="Index pictures again that were deleted from this gallery.")
    ] = False,
    milvus: Annotated[
        str | None, typer.Option(metavar="URI", help="Milvus server for a new gallery (default: its own folder).")
    ] = None,
    ray: Annotated[
        bool, typer.Option("--ray", help="Embed on Ray: the cluster at RAY_ADDRESS, or processes of this machine.")
    ] = False,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Index a folder of pictures; a stopped run goes on when repeated, and pictures already known are skipped.

    Example: vireid index crops/entrance --modality visible --bundle runs/demo --out galleries/entrance
    """
    from vireid.gallery import Gallery

    named = int(camera) if camera is not None and camera.isdecimal() else camera
    try:
        gallery = Gallery.build(
            out,
            bundle,
            folder,
            modality=modality,
            camera=named,
            frames=frames,
            restricted=restricted,
            readmit=readmit,
            milvus=milvus,
            device=device,
            ray=ray,
            track=track,
        )
    except KeyboardInterrupt:
        say("stopped; what was indexed is kept, and the same command goes on from there")
        raise typer.Exit(130) from None
    report = gallery.report
    if report is None:  # only an opened gallery has none
        return
    if as_json:
        print_json({"gallery": str(out), "pictures": len(gallery), **report.to_json()})
        return
    rows = [
        ["new", report.added],
        ["known, with a new path or new metadata", report.updated],
        ["known", report.unchanged],
        ["same bytes as another picture", report.duplicates],
        ["deleted before, refused", report.refused],
        ["cannot be read", len(report.broken)],
    ]
    print_table(("pictures", "number"), [row for row in rows if row[1]], title=f"{out.name}: {len(gallery)} pictures")
    for broken in report.broken:
        say(f"cannot be read: {broken.path}: {broken.reason}")
    if report.ignored:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in sorted(report.ignored.items()))
        say(f"not pictures, ignored: {kinds}")
    other = "infrared" if "visible" in gallery.modalities() else "visible"
    say(f"search it with: vireid search PICTURE --modality {other} --gallery {out}")
