"""SYSU-MM01: the three lists of identities, and the pictures that they choose."""

from collections import Counter
from collections.abc import Mapping

from vireid.data.doctor.findings import Finding, error, spans, warning
from vireid.data.doctor.lists import numbers_of
from vireid.data.doctor.shape import PICTURES
from vireid.data.doctor.standard import Standard
from vireid.data.doctor.survey import Survey, missing_lists, shared
from vireid.data.doctor.tree import Tree
from vireid.data.permutation import PERMUTATION_FILE, Permutation, read_permutation
from vireid.data.sysu import INFRARED_CAMERAS, LISTS
from vireid.data.table import Picture
from vireid.errors import DataError
from vireid.types import Modality

__all__ = ["check_permutation", "survey_sysu"]


def survey_sysu(tree: Tree, standard: Standard) -> Survey:
    """Bring lists and pictures of SYSU-MM01 together."""
    findings = missing_lists(tree.root, list(LISTS.values()))
    listed = {
        split: numbers_of(tree.root, name, findings, may_be_empty=split == "val") for split, name in LISTS.items()
    }
    findings += shared({name: listed[split] for split, name in LISTS.items()})
    if standard.official:
        for split in LISTS:
            findings += _against_published(split, listed, standard)
        listed = {
            # Where the list itself is lost, the published one serves to look at the pictures all the same. That of
            # validation is replaced with its whole folder only: else training really lacks these people.
            split: identities or (standard.identities(split) if split != "val" or "exp" not in tree.folders else [])
            for split, identities in listed.items()
        }
    split_of = {identity: split for split in reversed(LISTS) for identity in listed[split]}
    words = ", ".join(f"{split} {len(identities)}" for split, identities in listed.items())
    return Survey(pictures=_placed(tree, split_of), identities=listed, findings=findings, lists=f"identities: {words}")


def _placed(tree: Tree, split_of: Mapping[int, str]) -> list[Picture]:
    placed = []
    for path in tree.pictures:
        match = PICTURES["sysu"].fullmatch(path)
        if match and (split := split_of.get(int(match["identity"]))):
            camera = int(match["camera"])
            modality = Modality.INFRARED if camera in INFRARED_CAMERAS else Modality.VISIBLE
            placed.append(Picture(path, int(match["identity"]), camera, str(modality), split))
    return placed


def _against_published(split: str, listed: Mapping[str, list[int]], standard: Standard) -> list[Finding]:
    """A finding if a list is there and holds other identities than the published one."""
    published, found = set(standard.identities(split)), set(listed[split])
    if not found or found == published:
        return []
    validation = set(standard.identities("val"))
    if split == "train" and found == published | validation:
        cause = "the validation identities were written into the training list; the reader joins both by itself"
    elif found > published:
        cause = "identities of another list were added"
    else:
        cause = "the list was edited, or is that of another split or data set"
    added, lacking = found - published, published - found
    parts = [f"{len(added)} added ({spans(added)})"] if added else []
    parts += [f"{len(lacking)} missing ({spans(lacking)})"] if lacking else []
    return [
        error(
            "lists.identities",
            found=f"{LISTS[split]}: {len(found)} identities, {', '.join(parts)}",
            expected=f"the {len(published)} published ones",
            cause=cause,
            remedy=f"restore {LISTS[split]} from the data set's download",
        )
    ]


def check_permutation(tree: Tree, survey: Survey) -> tuple[str, list[Finding]]:
    """What `rand_perm_cam.mat` says, in words, and what is wrong with it."""
    try:
        permutation = read_permutation(tree.root / PERMUTATION_FILE)
    except DataError as problem:
        if (tree.root / PERMUTATION_FILE).is_file():
            return "unreadable", [_damaged(str(problem))]
        return "none", [_absent()]
    different = _different(permutation, survey)
    return f"orders {len(permutation.orders):,} sightings", [_unfit(different)] if different else []


def _different(permutation: Permutation, survey: Survey) -> list[str]:
    """Sightings of listed identities of which the file orders another number of pictures than there are."""
    known = {identity for identities in survey.identities.values() for identity in identities}
    found = Counter((picture.camera, picture.identity) for picture in survey.pictures)
    cameras = {camera for camera, _ in found}
    people = {identity for _, identity in found} & known  # whole cameras and people that are missing are told elsewhere
    ordered = {
        (camera, identity): order.shape[1]
        for (identity, camera), order in permutation.orders.items()
        if identity in people and camera in cameras
    }
    return [
        f"cam{camera}/{identity:04d}: {found[camera, identity]} pictures, {ordered.get((camera, identity), 0)} ordered"
        for camera, identity in sorted({*found, *ordered})
        if found[camera, identity] != ordered.get((camera, identity), 0)
    ]


def _absent() -> Finding:
    return warning(
        "permutation.missing",
        found=f"no {PERMUTATION_FILE}",
        expected="the authors' order of pictures",
        cause="it does not come with the pictures, but with the authors' evaluation code",
        remedy="needed for protocols that end in -official only: take rand_perm_cam.mat from evaluation/data_split of "
        "the repository wuancong/SYSU-MM01 on GitHub and put it into exp",
    )


def _damaged(problem: str) -> Finding:
    return error(
        "permutation.unreadable",
        found=problem,
        expected="cells of permutations, one per camera and identity",
        cause="a web page was saved instead of the file, the download stopped, or MATLAB saved it in a newer format",
        remedy="download the file itself again (the raw file, not its page)",
    )


def _unfit(different: list[str]) -> Finding:
    return error(
        "permutation.sizes",
        found=f"sightings with another number of pictures than the file orders: {len(different):,}",
        expected="as many pictures as it orders",
        cause="pictures of these people are missing or were added, or the file belongs to another version of the set",
        remedy="unpack these folders again; the file counts the pictures as the authors took them",
        examples=different,
    )
