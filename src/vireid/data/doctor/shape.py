"""Folders: missing, misspelt, one too deep, or of a derived data set; and pictures that lie where no reader looks."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from vireid.data.doctor.findings import Finding, error, warning
from vireid.data.doctor.recognise import NAMES, NEEDED
from vireid.data.doctor.standard import Standard
from vireid.data.doctor.tree import Tree

__all__ = ["PICTURES", "check_shape", "is_stray"]

PICTURES = {
    "sysu": re.compile(r"cam(?P<camera>[1-6])/(?P<identity>\d+)/(?P<name>[^/]+)"),
    "regdb": re.compile(r"(?P<folder>Visible|Thermal)/(?P<identity>\d+)/(?P<name>[^/]+)"),
    "llcm": re.compile(
        r"(?:(?P<train>vis|nir)|(?P<test>test_vis|test_nir)/cam(?P<camera>[1-9]))/(?P<identity>\d+)/(?P<name>[^/]+)"
    ),
}
"""Where the readers look for pictures, as patterns of whole paths below the root."""

_CAMERA = {"sysu": re.compile(r"cam(\d+)"), "llcm": re.compile(r"test_(?:vis|nir)/cam(\d+)")}
_STRAY = {"__MACOSX", ".ipynb_checkpoints", "@eaDir", ".git"}


def is_stray(path: str) -> bool:
    """Whether a folder or file was left by an operating system or a tool: nothing in it is meant to be data."""
    return any(part in _STRAY or part.startswith("._") for part in path.split("/"))


def check_shape(tree: Tree, standard: Standard) -> Iterator[Finding]:
    """What is wrong with the folders of a set."""
    layout = standard.layout
    folders = {folder for folder in tree.folders if not is_stray(folder)}
    missing = [name for name in _needed(standard) if name not in folders]
    misspelt = {name: other for name in missing for other in tree.top if other.lower() == name.lower()}
    if misspelt:
        yield _misspelt(misspelt)
    nested = _nested(folders, layout)
    for place, names in nested.items():
        yield _too_deep(place, names)
    inside = {name for names in nested.values() for name in names}
    lost = [name for name in missing if name not in misspelt and name not in inside]
    if lost:
        yield _lost(lost, standard)
    yield from _empty(tree, standard, skip={*missing, *inside})
    unknown = _unknown_cameras(folders, layout)
    if unknown:
        yield _derived(unknown, layout)
    told = (*(f"{place}/{name}/" for place, names in nested.items() for name in names), *(f"{f}/" for f in unknown))
    yield from _misplaced(tree, layout, skip=(*told, *(f"{other}/" for other in misspelt.values())))


def _needed(standard: Standard) -> list[str]:
    """Folders that must be there; a set with a statement of its own needs only the cameras that it states."""
    names = list(NEEDED[standard.layout])
    if standard.official or standard.layout != "sysu":
        return names
    cameras = {f"cam{place.camera}" for place in standard.counts or {}}
    return [name for name in names if name in cameras or name == "exp"]


def _nested(folders: set[str], layout: str) -> dict[str, list[str]]:
    """Folders of the layout that lie below another folder, by that folder."""
    found: dict[str, list[str]] = defaultdict(list)
    for folder in sorted(folders):
        place, _, name = folder.rpartition("/")
        proper = layout == "llcm" and place in ("test_vis", "test_nir") and name.startswith("cam")
        if place and not proper and name in NEEDED[layout] and place.count("/") < 2:
            found[place].append(name)
    return dict(found)


def _misspelt(names: Mapping[str, str]) -> Finding:
    return error(
        "layout.case",
        found=", ".join(names.values()),
        expected=", ".join(names),
        cause="folders were renamed, or copied by a system that does not tell capitals from small letters",
        remedy="; ".join(f"rename {other} to {name}" for name, other in names.items()),
    )


def _too_deep(place: str, names: Sequence[str]) -> Finding:
    return error(
        "layout.nested",
        found=", ".join(f"{place}/{name}" for name in names),
        expected=", ".join(names) + " in the data set's own folder",
        cause=f"an archive was unpacked inside {place}, one folder too deep",
        remedy=f"move what lies in {', '.join(f'{place}/{name}' for name in names)} up to {', '.join(names)}",
    )


def _lost(names: Sequence[str], standard: Standard) -> Finding:
    lists = [name for name in names if name in ("exp", "idx")]
    cause = (
        f"the lists in {lists[0]} are a download of their own that was left out, or were not unpacked"
        if lists == list(names)
        else "an archive that was not downloaded, not unpacked, or stopped half-way"
    )
    return error(
        "layout.missing-folder",
        found=f"no {', '.join(names)}",
        expected=", ".join(_needed(standard)),
        cause=cause,
        remedy=f"unpack {', '.join(names)} of {NAMES[standard.layout]} into the data set's folder",
    )


def _empty(tree: Tree, standard: Standard, skip: set[str]) -> Iterator[Finding]:
    full = {path.split("/")[0] for path in tree.sizes if not is_stray(path)}
    empty = [name for name in _needed(standard) if name not in full and name not in skip]
    if empty:
        yield error(
            "layout.empty-folder",
            found=f"nothing in {', '.join(empty)}",
            expected="pictures or lists",
            cause="an archive that stopped right after making its folders",
            remedy=f"unpack {', '.join(empty)} again",
        )


def _unknown_cameras(folders: set[str], layout: str) -> list[str]:
    if layout not in _CAMERA:
        return []
    last = 6 if layout == "sysu" else 9
    return sorted(f for f in folders if (m := _CAMERA[layout].fullmatch(f)) and not 1 <= int(m[1]) <= last)


def _derived(cameras: Sequence[str], layout: str) -> Finding:
    return error(
        "layout.unknown-camera",
        found=", ".join(cameras),
        expected=f"cam1 to cam{6 if layout == 'sysu' else 9}",
        cause=f"a derived copy: generated or converted pictures were added as further cameras of {NAMES[layout]}",
        remedy=f"remove {', '.join(cameras)}: results on a derived copy cannot be compared",
    )


def _misplaced(tree: Tree, layout: str, skip: Sequence[str]) -> Iterator[Finding]:
    """Pictures beside the places where the readers look."""
    groups: dict[str, list[str]] = defaultdict(list)
    for path in tree.pictures:
        if not PICTURES[layout].fullmatch(path) and not path.startswith(tuple(skip)) and not is_stray(path):
            groups[path.split("/")[0] if "/" in path else "."].append(path)
    known = {name: paths for name, paths in groups.items() if name in NEEDED[layout]}
    paths = [path for group in known.values() for path in group]
    if paths:
        yield error(
            "layout.misplaced",
            found=f"pictures that no reader sees, in {', '.join(known)}: {len(paths):,}",
            expected=f"pictures in {_form(layout)} only",
            cause=_why_misplaced(paths),
            remedy="move them to where they belong, or unpack the folder anew",
            examples=paths,
        )
    others = [path for name, group in groups.items() if name not in known for path in group]
    if others:
        yield warning(
            "layout.other-pictures",
            found=f"pictures outside the folders of {NAMES[layout]}: {len(others):,}",
            expected="none",
            cause="results, figures or pictures of another set were saved into the data set's folder",
            remedy="nothing need be done: no reader sees them",
            examples=others,
        )


def _form(layout: str) -> str:
    return {
        "sysu": "cam1/0001/0001.jpg",
        "regdb": "Visible/1/*.bmp",
        "llcm": "vis/0001/*.jpg and test_vis/cam1/0001/*.jpg",
    }[layout]


def _why_misplaced(paths: Sequence[str]) -> str:
    first = paths[0].split("/")
    wanted = 3 if first[0].startswith("test_") else 2  # folders above a picture
    if len(first) - 1 < wanted:
        return f"pictures such as {paths[0]} lie without a folder of their identity"
    if len(first) - 1 > wanted:
        return f"a folder too many in {'/'.join(first[:-1])}: an archive unpacked inside another, or a copied folder"
    return f"the folder {first[-2]} is not the number of an identity: renamed, or the copy of another folder"
