"""What file names tell: leftovers, copies, other formats, and pictures in the folder of another person or modality."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from vireid.data.doctor.findings import Finding, error, warning
from vireid.data.doctor.shape import PICTURES, is_stray
from vireid.data.doctor.standard import Standard
from vireid.data.doctor.tree import DANGLING, Tree
from vireid.data.table import Picture
from vireid.types import Modality

__all__ = ["check_files", "check_names"]

_LEFT_BEHIND = {".DS_Store", "Thumbs.db", "desktop.ini"}
_STOPPED = (".part", ".crdownload", ".aria2", ".download", ".!ut")
_COPY = re.compile(
    r"copy of .+|.+?( ?\(\d+\)|[ _-]+copy( ?\d+|\(\d+\))?|( - |_)?(副本|コピー)( ?\d+|\(\d+\))?|~)", re.I
)
_SUFFIX = {"sysu": ".jpg", "regdb": ".bmp", "llcm": ".jpg"}
_TOKENS = {
    "sysu": re.compile(r"(?P<number>\d+)\.\w+"),
    "regdb": re.compile(r".*_(?P<word>[vt])_\d+_(?P<identity>\d+)\.\w+"),
    "llcm": re.compile(r"(?P<identity>\d+)_c(?P<camera>\d+)_.*_(?P<word>vis|nir)\.\w+"),
}
_WORDS = {
    "v": Modality.VISIBLE, "vis": Modality.VISIBLE, "t": Modality.INFRARED, "nir": Modality.INFRARED,
}  # fmt: skip
_MOST = 0.9  # share of names of the usual form from which on others are strange
_DIGITS = 4  # of identities and numbers in SYSU-MM01 and LLCM


def check_files(tree: Tree, standard: Standard) -> Iterator[Finding]:
    """Files that no reader wants, and pictures that are empty, copies or converted."""
    pictures = [path for path in tree.pictures if PICTURES[standard.layout].fullmatch(path) and not is_stray(path)]
    yield from _left_behind(tree)
    yield from _told(
        [path for path in pictures if tree.sizes[path] == 0],
        "files.empty",
        "pictures without a single byte",
        cause="a half-extracted archive, a full disk, or a download that stopped",
        remedy="unpack these files again, with free space on the disk, and compare the archive's checksum",
    )
    yield from _told(
        [path for path in pictures if tree.sizes[path] == DANGLING],
        "files.broken-link",
        "links that lead nowhere",
        cause="the pictures that were linked to have moved, or the disk they lie on is not mounted",
        remedy="mount that disk or link the pictures anew",
    )
    copies = {path for path in pictures if _COPY.fullmatch(_stem(path))}
    yield from _told(
        sorted(copies),
        "files.copies",
        "files called like copies of others",
        cause="an archive was unpacked or a folder copied twice, and copies such as '0001 (1)' were kept",
        remedy="remove the copies: they change the counts and the drawn galleries",
    )
    if standard.published_names:
        yield from _formats([path for path in pictures if path not in copies], _SUFFIX[standard.layout])


def check_names(pictures: Sequence[Picture], standard: Standard) -> Iterator[Finding]:
    """Names of the pictures that a reader uses against their folders and against the published form."""
    read = [(picture, _TOKENS[standard.layout].fullmatch(_name(picture.path))) for picture in pictures]
    told = [(picture, match.groupdict()) for picture, match in read if match]
    if len(told) > _MOST * len(read):
        yield from _told(
            [picture.path for picture, match in read if not match and not _COPY.fullmatch(_stem(picture.path))],
            "files.names",
            "pictures called otherwise than the rest of the set",
            cause="pictures were renamed, or added from another source",
            remedy="go back to the names as published, and remove pictures that do not come with the set",
        )
    yield from _modalities([(p, t["word"]) for p, t in told if t.get("word")])
    yield from _told(
        [p.path for p, t in told if t.get("identity") and int(t["identity"]) != p.identity],
        "files.identity",
        "pictures whose name states another identity than their folder",
        cause="pictures were moved between the folders of two people, or a folder was renamed",
        remedy="move them to the folder of the identity in their name, or unpack both folders again",
    )
    yield from _told(
        [p.path for p, t in told if t.get("camera") and int(t["camera"]) != p.camera],
        "files.camera",
        "pictures whose name states another camera than their folder",
        cause="pictures were moved between camera folders",
        remedy="unpack the test folders again",
    )
    if standard.published_names and standard.layout != "regdb":
        yield from _padding(pictures)
    if standard.published_names and standard.layout == "sysu":
        yield from _numbering([(p, t["number"]) for p, t in told])


def _told(paths: Sequence[str], code: str, what: str, *, cause: str, remedy: str) -> Iterator[Finding]:
    if paths:
        yield error(code, found=f"{what}: {len(paths):,}", expected="none", cause=cause, remedy=remedy, examples=paths)


def _left_behind(tree: Tree) -> Iterator[Finding]:
    left = [path for path in tree.sizes if _name(path) in _LEFT_BEHIND or is_stray(path)]
    if left:
        kinds = ", ".join(sorted({_name(path) if _name(path) in _LEFT_BEHIND else _kind(path) for path in left})[:5])
        yield warning(
            "files.left-behind",
            found=f"files that an operating system or a tool left behind: {len(left):,} ({kinds})",
            expected="none",
            cause="the archive was packed or opened on macOS or Windows, or a notebook worked in the folder",
            remedy="vireid passes them over; remove them where other code lists these folders as they are",
            examples=left,
        )
    stopped = [path for path in tree.sizes if path.lower().endswith(_STOPPED)]
    if stopped:
        yield warning(
            "files.unfinished-download",
            found=f"unfinished downloads: {len(stopped):,}",
            expected="none",
            cause="a download that stopped",
            remedy="finish the download, and unpack it if pictures are missing",
            examples=stopped,
        )


def _kind(path: str) -> str:
    return next((part for part in path.split("/") if is_stray(part) and not part.startswith("._")), "._*")


def _formats(paths: Sequence[str], suffix: str) -> Iterator[Finding]:
    others: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        found = path[path.rfind(".") :]
        if found != suffix:
            others["files.case" if found.lower() == suffix else "files.format"].append(path)
    yield from _told(
        others["files.case"],
        "files.case",
        f"pictures whose ending is written otherwise than {suffix}",
        cause="files were renamed, or passed a system that writes endings in capitals",
        remedy=f"rename them to {suffix}: lists and fingerprints go by exact names",
    )
    yield from _told(
        others["files.format"],
        "files.format",
        f"pictures that are no {suffix} files",
        cause="the pictures were converted to another format, or pictures of another source were added",
        remedy="go back to the pictures as published: converting changes them",
    )


def _modalities(words: Sequence[tuple[Picture, str]]) -> Iterator[Finding]:
    wrong = [picture for picture, word in words if _WORDS[word] != picture.modality]
    if not wrong:
        return
    whole = Counter(picture.path.split("/")[0] for picture, _ in words)
    share = Counter(picture.path.split("/")[0] for picture in wrong)
    turned = sorted(folder for folder, count in share.items() if count > whole[folder] / 2)
    cause = "pictures were moved into the folder of the other modality"
    if len(turned) > 1:
        cause = f"the folders {' and '.join(turned)} were swapped"
    elif turned:
        cause = f"the folder {turned[0]} was filled with pictures of the other modality"
    yield error(
        "files.modality",
        found=f"pictures whose name states the other modality than their folder: {len(wrong):,}",
        expected="none",
        cause=cause,
        remedy="put the folders back under their own names (Visible and Thermal, vis and nir), or unpack them again",
        examples=[picture.path for picture in wrong],
    )


def _padding(pictures: Iterable[Picture]) -> Iterator[Finding]:
    folders = sorted({picture.path.rpartition("/")[0] for picture in pictures})
    wrong = [folder for folder in folders if len(folder.rpartition("/")[2]) != _DIGITS]
    yield from _told(
        wrong,
        "files.folder-name",
        f"folders of identities that have not {_DIGITS} digits",
        cause="identities were renumbered or written without leading zeros (1 instead of 0001)",
        remedy=f"rename them to {_DIGITS} digits: public code and fingerprints go by exact names",
    )


def _numbering(numbers: Iterable[tuple[Picture, str]]) -> Iterator[Finding]:
    """Pictures of one person before one camera are called 0001.jpg, 0002.jpg and on."""
    sightings: dict[str, list[str]] = defaultdict(list)
    for picture, number in numbers:
        sightings[picture.path.rpartition("/")[0]].append(number)
    padded = {place for place, names in sightings.items() if all(len(name) == _DIGITS for name in names)}
    yield from _told(
        sorted(sightings.keys() - padded),
        "files.padding",
        f"folders whose pictures are not called by {_DIGITS} digits",
        cause="pictures were renamed without leading zeros (1.jpg instead of 0001.jpg), which changes their order",
        remedy="unpack these folders again: galleries are drawn by the order of names",
    )
    gaps = {
        place: missing
        for place in sorted(padded)
        if (missing := set(range(1, max(map(int, sightings[place])) + 1)) - set(map(int, sightings[place])))
    }
    yield from _told(
        [f"{place}: {', '.join(f'{number:04d}' for number in sorted(gaps[place])[:5])}" for place in gaps],
        "files.numbering",
        "folders with gaps in the numbers of their pictures",
        cause="single pictures were deleted or not unpacked, or the folder was thinned out",
        remedy="unpack these folders again",
    )


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _stem(path: str) -> str:
    name = _name(path)
    return name[: name.rfind(".")]
