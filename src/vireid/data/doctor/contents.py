"""What the pictures themselves tell: damage, sizes, colours of the wrong modality, and equal content."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from vireid.data.doctor.findings import Finding, Level, error, few, warning
from vireid.data.doctor.looking import GREY, Look
from vireid.data.doctor.standard import Standard
from vireid.data.table import Picture
from vireid.types import Modality

__all__ = ["check_contents"]

_Seen = Sequence[tuple[Picture, Look]]

_UNIFORM = 0.95  # share of one size from which on a camera's crops are taken for resized ones
_ENOUGH = 20  # pictures of a camera from which on shares are believed
_FEW = 0.01  # share of a camera's pictures below which strange colours may be the authors' own
_COLOURED = 8.0  # variation of channel differences, of 255, that a picture without colour never reaches


def check_contents(pictures: Sequence[Picture], looks: Sequence[Look], standard: Standard) -> Iterator[Finding]:
    """All findings about the contents of `pictures`, of each of which there is a look."""
    every = list(zip(pictures, looks, strict=True))
    broken = [(picture, look) for picture, look in every if look.problem]
    if broken:
        yield error(
            "pictures.unreadable",
            found=f"pictures that cannot be read: {len(broken):,} of {len(every):,}",
            expected="none",
            cause="a half-extracted archive, a download that stopped, a full disk, or files that are no pictures",
            remedy="unpack these files again and compare the archive's checksum",
            examples=[f"{picture.path}: {look.problem}" for picture, look in broken],
        )
    seen = [(picture, look) for picture, look in every if not look.problem]
    yield from _sizes(seen, standard)
    if not standard.one_cue:
        yield from _colours(seen)
    yield from _duplicates(seen)


def _sizes(seen: _Seen, standard: Standard) -> Iterator[Finding]:
    if standard.expected is not None and standard.expected.synthetic:
        yield from _rendered(seen, standard)
    elif standard.official and standard.layout != "regdb":
        yield from _resized(seen, standard)
    lying = [picture.path for picture, look in seen if look.width > look.height]
    if len(lying) > _FEW * len(seen):
        yield warning(
            "sizes.lying",
            found=f"pictures that are wider than high: {len(lying):,} of {len(seen):,}",
            expected="crops of standing people",
            cause="pictures were turned by a quarter, or whole frames were stored in the place of crops",
            remedy="go back to the pictures as published",
            examples=lying,
        )


def _rendered(seen: _Seen, standard: Standard) -> Iterator[Finding]:
    """Rendered pictures are all of one size."""
    sizes = Counter((look.height, look.width) for _, look in seen)
    if not sizes:
        return
    size = standard.rendered_size or sizes.most_common(1)[0][0]
    others = [f"{p.path}: {look.height}x{look.width}" for p, look in seen if (look.height, look.width) != size]
    if others:
        yield error(
            "sizes.resized",
            found=f"pictures of another size: {len(others):,} of {len(seen):,}",
            expected=f"{size[0]}x{size[1]} pixels (height x width), as rendered",
            cause="the pictures were resized beforehand",
            remedy="render the set anew, and leave resizing to the recipe (image.height, image.width)",
            examples=others,
        )


def _resized(seen: _Seen, standard: Standard) -> Iterator[Finding]:
    """Published crops vary in size; a camera of one size was resized."""
    sizes: dict[tuple[str, int], Counter[tuple[int, int]]] = defaultdict(Counter)
    for picture, look in seen:
        sizes[picture.modality, picture.camera][look.height, look.width] += 1
    uniform = {
        place: counted.most_common(1)[0][0]
        for place, counted in sizes.items()
        if counted.total() >= _ENOUGH and counted.most_common(1)[0][1] >= _UNIFORM * counted.total()
    }
    if uniform:
        tell = error if standard.layout == "sysu" else warning
        yield tell(
            "sizes.resized",
            found=f"all pictures of {len(uniform)} of {len(sizes)} cameras are of one size",
            expected="crops of many sizes",
            cause="the pictures were resized beforehand, as preparation scripts do; detail is lost and results change",
            remedy="go back to the pictures as published, and leave resizing to the recipe (image.height, image.width)",
            examples=[f"{m} camera {c}: {size[0]}x{size[1]}" for (m, c), size in sorted(uniform.items())],
        )


def _colours(seen: _Seen) -> Iterator[Finding]:
    visible = [look.colour for picture, look in seen if picture.modality == Modality.VISIBLE]
    coloured = max(_COLOURED, median(visible) / 2) if visible else _COLOURED
    wrong = {
        Modality.VISIBLE: [p for p, look in seen if p.modality == Modality.VISIBLE and look.spread <= GREY],
        Modality.INFRARED: [p for p, look in seen if p.modality == Modality.INFRARED and look.colour > coloured],
    }
    total = Counter(picture.modality for picture, _ in seen)
    if all(wrong[m] and len(wrong[m]) > total[m] / 2 for m in Modality):
        yield error(
            "colours.swapped",
            found="visible pictures without colour and infrared pictures with colour",
            expected="the reverse",
            cause="the folders of visible and infrared pictures were swapped",
            remedy="put the folders back under their own names",
            examples=[picture.path for m in Modality for picture in wrong[m][:4]],
        )
        return
    cameras = Counter((picture.modality, picture.camera) for picture, _ in seen)
    if wrong[Modality.VISIBLE]:
        yield _strange(
            wrong[Modality.VISIBLE],
            cameras,
            code="colours.grey-visible",
            what="visible pictures without any colour",
            cause="pictures were converted to grey, or infrared pictures were put into visible folders",
        )
    if wrong[Modality.INFRARED]:
        yield _strange(
            wrong[Modality.INFRARED],
            cameras,
            code="colours.coloured-infrared",
            what="infrared pictures as colourful as visible ones",
            cause="visible pictures were put into infrared folders, or thermal pictures were stored in false colours",
        )


def _strange(
    pictures: Sequence[Picture], cameras: Mapping[tuple[str, int], int], *, code: str, what: str, cause: str
) -> Finding:
    """An error where a camera shows more than a few such pictures, else a warning."""
    shares = Counter((picture.modality, picture.camera) for picture in pictures)
    grave = any(count > _FEW * cameras[place] for place, count in shares.items())
    where = ", ".join(f"{count:,} of {cameras[m, c]:,} of camera {c}" for (m, c), count in sorted(shares.items()))
    return Finding(
        code=code,
        level=Level.ERROR if grave else Level.WARNING,
        found=f"{what}: {len(pictures):,} ({where})",
        expected="none",
        cause=cause,
        remedy="unpack these folders again"
        if grave
        else "look at these pictures; so few may be as the authors took them",
        examples=few(picture.path for picture in pictures),
    )


_KINDS = {
    "duplicates.splits": (
        "in training and in test",
        "test pictures were copied into training folders, or the other way round: results are too good to be true",
    ),
    "duplicates.modalities": (
        "in both modalities",
        "pictures of one modality were copied into the folder of the other, for example to fill a missing one",
    ),
    "duplicates.identities": (
        "under several identities",
        "folders of people were copied, merged or renamed, so that one person counts as two",
    ),
    "duplicates.cameras": (
        "before several cameras",
        "camera folders were copied over one another",
    ),
    "duplicates.sighting": (
        "under several names of one person before one camera",
        "the authors took a still moment twice, or files were copied under new names",
    ),
}


def _duplicates(seen: _Seen) -> Iterator[Finding]:
    """Equal content under several names, told by the gravest way in which the places differ."""
    groups: dict[bytes, list[Picture]] = defaultdict(list)
    for picture, look in seen:
        groups[look.digest].append(picture)
    kinds: dict[str, list[str]] = defaultdict(list)
    for group in groups.values():
        if len(group) > 1:
            kinds[_kind(group)].append(" = ".join(picture.path for picture in group[:3]))
    for code, (where, cause) in _KINDS.items():
        if kinds[code]:
            tell = warning if code == "duplicates.sighting" else error
            yield tell(
                code,
                found=f"pictures with the same bytes {where}: {len(kinds[code]):,}",
                expected="none",
                cause=cause,
                remedy="unpack these folders again"
                if tell is error
                else "nothing, if the counts are right: the readers take the set as it is",
                examples=kinds[code],
            )


def _kind(group: Sequence[Picture]) -> str:
    if len({picture.split == "test" for picture in group}) > 1:
        return "duplicates.splits"
    if len({picture.modality for picture in group}) > 1:
        return "duplicates.modalities"
    if len({picture.identity for picture in group}) > 1:
        return "duplicates.identities"
    return "duplicates.cameras" if len({picture.camera for picture in group}) > 1 else "duplicates.sighting"
