"""LLCM: two training lists, one list of test identities."""

from collections.abc import Iterator, Sequence

from vireid.data.doctor.findings import Finding, error, spans
from vireid.data.doctor.lists import Paths, Resolved, lines_of, numbers_of, told
from vireid.data.doctor.shape import PICTURES
from vireid.data.doctor.standard import Standard
from vireid.data.doctor.survey import Survey, missing_lists, shared
from vireid.data.doctor.tree import Tree
from vireid.data.labels import label_identities, refuse_unequal_labels
from vireid.data.layout import Line
from vireid.data.llcm import CAMERA_IN_NAME, CAMERAS, WORDS
from vireid.data.table import Picture
from vireid.errors import DataError
from vireid.types import Modality

__all__ = ["survey_llcm"]

_TESTED = "idx/test_id.txt"
_TRAIN = {modality: f"idx/train_{word}.txt" for modality, word in WORDS.items()}


def survey_llcm(tree: Tree, standard: Standard) -> Survey:
    """Bring lists and pictures of LLCM together."""
    findings = missing_lists(tree.root, [*_TRAIN.values(), _TESTED])
    tested = numbers_of(tree.root, _TESTED, findings)
    training, listed = _training(tree, findings)
    trained = sorted({picture.identity for picture in training})
    findings += shared({"the training lists": trained, _TESTED: tested})
    if standard.official:
        findings += _against_published(trained, tested, standard)
        tested = tested or standard.identities("test")
    testing, strangers = _testing(tree, set(tested))
    findings += [*_unlisted(tree, listed), *(_strangers(strangers) if tested else ())]
    words = f"{len(listed):,} training pictures, {len(tested)} test identities"
    return Survey(
        pictures=[*training, *testing],
        identities={"train": trained, "test": tested},
        findings=findings,
        lists=words,
    )


def _training(tree: Tree, findings: list[Finding]) -> tuple[list[Picture], set[str]]:
    """The training pictures, and the paths of all that are listed."""
    inside = [path for path in tree.pictures if (m := PICTURES["llcm"].fullmatch(path)) and m["train"]]
    paths, resolved = Paths(frozenset(inside)), Resolved()
    pictures: list[Picture] = []
    strange: list[str] = []
    lists: list[tuple[str, Sequence[Line], list[Picture]]] = []
    for modality, name in _TRAIN.items():
        lines = lines_of(tree.root, name, findings)
        found = resolved.lead(name, lines, paths, folder=WORDS[modality], other=WORDS[modality.other])
        placed = [picture for _, path in found if (picture := _picture(path, modality))]
        strange += [path for _, path in found if _picture(path, modality) is None]
        pictures += placed
        if lines and len(placed) == len(lines):
            lists.append((name, lines, placed))
    findings += [*told(resolved), *_strange(strange), *_labels(tree, lists)]
    return pictures, {picture.path for picture in pictures} | set(strange)


def _picture(path: str, modality: Modality) -> Picture | None:
    """The training picture at `path`; None if its name holds no camera of the set."""
    _, person, name = path.split("/")
    found = CAMERA_IN_NAME.search(name)
    camera = int(found[1]) if found else 0
    return Picture(path, int(person), camera, str(modality), "train") if camera in CAMERAS else None


def _testing(tree: Tree, tested: set[int]) -> tuple[list[Picture], list[Picture]]:
    """The test pictures of listed identities, and those of others."""
    modality_of = {f"test_{word}": modality for modality, word in WORDS.items()}
    every = [
        Picture(path, int(match["identity"]), int(match["camera"]), str(modality_of[match["test"]]), "test")
        for path in tree.pictures
        if (match := PICTURES["llcm"].fullmatch(path)) and match["test"]
    ]
    listed = [picture for picture in every if picture.identity in tested]
    return listed, [picture for picture in every if picture.identity not in tested]


def _against_published(trained: Sequence[int], tested: Sequence[int], standard: Standard) -> Iterator[Finding]:
    for name, found, split in (("idx/train_*.txt", trained, "train"), (_TESTED, tested, "test")):
        published = set(standard.identities(split))
        if not found or set(found) == published:
            continue
        swapped = set(found) == set(standard.identities("test" if split == "train" else "train"))
        yield error(
            "lists.identities",
            found=f"{name}: {len(found)} identities, {len(set(found) - published)} of them not published ones",
            expected=f"the {len(published)} published ones",
            cause="the lists of training and test were swapped"
            if swapped
            else "wrong idx files: edited, or those of another version or data set",
            remedy="restore the folder idx from the data set's download",
        )


def _strange(paths: Sequence[str]) -> Iterator[Finding]:
    if paths:
        yield error(
            "files.camera",
            found=f"training pictures without a camera from _c01_ to _c09_ in their name: {len(paths):,}",
            expected="none",
            cause="the pictures were renamed: the camera of a training picture stands in its name only",
            remedy="go back to the names as published",
            examples=paths,
        )


def _labels(tree: Tree, lists: Sequence[tuple[str, Sequence[Line], list[Picture]]]) -> Iterator[Finding]:
    try:
        read = [
            (tree.root / name, label_identities(tree.root / name, lines, [picture.identity for picture in pictures]))
            for name, lines, pictures in lists
        ]
        if len(read) == len(Modality):
            refuse_unequal_labels(*read)
    except DataError as problem:
        yield error(
            "lists.labels",
            found=str(problem).replace(f"{tree.root}/", ""),
            expected="one label per identity, the same in train_vis.txt and train_nir.txt",
            cause="the lists were made anew, or come from different versions",
            remedy="restore the folder idx from the data set's download",
        )


def _unlisted(tree: Tree, listed: set[str]) -> Iterator[Finding]:
    inside = [path for path in tree.pictures if (m := PICTURES["llcm"].fullmatch(path)) and m["train"]]
    unlisted = [path for path in inside if path not in listed]
    if unlisted and listed:
        yield error(
            "lists.unlisted",
            found=f"pictures in vis and nir that no list names: {len(unlisted):,} of {len(inside):,}",
            expected="every picture listed",
            cause="the lists were cut off or belong to another version, or pictures were added or copied",
            remedy="restore the folder idx, and remove pictures that do not come with the set",
            examples=unlisted,
        )


def _strangers(pictures: Sequence[Picture]) -> Iterator[Finding]:
    if pictures:
        people = {picture.identity for picture in pictures}
        yield error(
            "identities.unlisted",
            found=f"test pictures of people that {_TESTED} lacks: {len(pictures):,} of {len(people)} ({spans(people)})",
            expected="every test identity listed",
            cause="the list was cut off or is another one, or training pictures were copied into the test folders",
            remedy=f"restore {_TESTED} from the data set's download",
            examples=[picture.path for picture in pictures],
        )
