"""RegDB: ten trials of four lists each."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from vireid.data.counts import Count, Place
from vireid.data.doctor.findings import Finding, error, spans
from vireid.data.doctor.lists import Paths, Resolved, lines_of, told
from vireid.data.doctor.shape import PICTURES
from vireid.data.doctor.standard import Standard
from vireid.data.doctor.survey import Survey, missing_lists
from vireid.data.doctor.tree import Tree
from vireid.data.labels import label_identities, refuse_unequal_labels
from vireid.data.layout import Line
from vireid.data.regdb import CAMERAS, FOLDERS, LIST_WORDS, SPLITS
from vireid.data.table import Picture
from vireid.errors import DataError
from vireid.types import Modality

__all__ = ["survey_regdb"]

_ROLES = ("train", "test")


def survey_regdb(tree: Tree, standard: Standard) -> Survey:
    """Bring the lists of all trials and the pictures of RegDB together."""
    pictures = _placed(tree)
    numbers = _trials(tree, standard)
    findings = missing_lists(tree.root, [_name(*key) for number in numbers for key in _keys(number)])
    trials = _Trials(tree, pictures, findings)
    for number in numbers:
        trials.read(number)
    findings += [*told(trials.resolved), *trials.findings(_halves(standard))]
    if standard.official:  # a small set may have too few people for ten different splits
        findings += trials.repeated()
    findings += _one_modality(pictures)
    identities = {"all": sorted({picture.identity for picture in pictures})}
    return Survey(pictures=pictures, identities=identities, findings=findings, lists=f"{len(numbers)} trials")


def _placed(tree: Tree) -> list[Picture]:
    modality_of = {folder: modality for modality, folder in FOLDERS.items()}
    return [
        Picture(path, int(match["identity"]), CAMERAS[modality], str(modality), "all")
        for path in tree.pictures
        if (match := PICTURES["regdb"].fullmatch(path))
        for modality in (modality_of[match["folder"]],)
    ]


def _trials(tree: Tree, standard: Standard) -> Sequence[int]:
    """All ten for the published set and for rendered ones; another set may have the first few."""
    if standard.published_names:
        return SPLITS
    return [n for n in SPLITS if any((tree.root / _name(*key)).is_file() for key in _keys(n))]


def _keys(number: int) -> list[tuple[str, Modality, int]]:
    return [(role, modality, number) for role in _ROLES for modality in Modality]


def _name(role: str, modality: Modality, number: int) -> str:
    return f"idx/{role}_{LIST_WORDS[modality]}_{number}.txt"


def _halves(standard: Standard) -> Mapping[Modality, Count]:
    """Identities and lines of every list: half of what there is, where that is known."""
    if not standard.published_names:
        return {}
    counts = standard.counts or {}
    wholes = {m: counts.get(Place("all", str(m), CAMERAS[m])) for m in Modality}
    return {m: Count(whole.identities // 2, whole.images // 2) for m, whole in wholes.items() if whole}


class _Trials:
    """The lists of all trials, read one by one, and what is wrong with them."""

    def __init__(self, tree: Tree, pictures: Sequence[Picture], findings: list[Finding]) -> None:
        self.resolved = Resolved()
        self._root = tree.root
        self._unreadable = findings
        self._paths = Paths(frozenset(picture.path for picture in pictures))
        self._identity_of = {picture.path: picture.identity for picture in pictures}
        self._sizes: dict[str, tuple[Modality, Count]] = {}
        self._people: dict[int, dict[str, set[int]]] = {}
        self._labels: list[str] = []

    def read(self, number: int) -> None:
        """Read the four lists of a trial."""
        people: dict[str, set[int]] = defaultdict(set)
        for role in _ROLES:
            labels = []
            for modality in Modality:
                name = _name(role, modality, number)
                lines = lines_of(self._root, name, self._unreadable)
                folder, other = FOLDERS[modality], FOLDERS[modality.other]
                found = self.resolved.lead(name, lines, self._paths, folder=folder, other=other)
                identities = [self._identity_of[path] for _, path in found]
                people[role].update(identities)
                if lines:
                    self._sizes[name] = (modality, Count(len(set(identities)), len(lines)))
                if lines and len(found) == len(lines):
                    labels.append((name, lines, identities))
            self._compare(labels)
        self._people[number] = people

    def _compare(self, lists: Sequence[tuple[str, Sequence[Line], Sequence[int]]]) -> None:
        try:
            read = [(self._root / n, label_identities(self._root / n, lines, people)) for n, lines, people in lists]
            if len(read) == len(Modality):
                refuse_unequal_labels(*read)
        except DataError as problem:
            self._labels.append(str(problem).replace(f"{self._root}/", ""))

    def findings(self, halves: Mapping[Modality, Count]) -> Iterator[Finding]:
        """What is wrong with the lists taken together."""
        short = [
            f"{name}: {count.images:,} lines of {count.identities} identities"
            for name, (modality, count) in self._sizes.items()
            if modality in halves and count.images != halves[modality].images
        ]
        if short:
            half = next(iter(halves.values()))
            yield error(
                "lists.incomplete",
                found=f"lists of another length: {len(short)}",
                expected=f"{half.images:,} lines of {half.identities} identities in each",
                cause="the lists were cut off, thinned out, or made for another part of the set",
                remedy="take the lists as published",
                examples=short,
            )
        if self._labels:
            yield error(
                "lists.labels",
                found=f"lists whose labels contradict each other: {len(self._labels)}",
                expected="one label per identity, the same in the visible and the thermal list",
                cause="lists of different trials or versions were mixed, or made anew for one modality only",
                remedy="take all forty lists from one source",
                examples=self._labels,
            )
        leaks = {n: people["train"] & people["test"] for n, people in self._people.items()}
        told = [f"trial {n}: {len(both)} identities ({spans(both)})" for n, both in leaks.items() if both]
        if told:
            yield error(
                "identities.shared",
                found=f"trials with people in both train and test lists: {len(told)}",
                expected="none",
                cause="lists of different trials were mixed: every trial splits the people anew",
                remedy="take all forty lists from one source; train and test on the same trial",
                examples=told,
            )

    def repeated(self) -> Iterator[Finding]:
        """A finding if trials split the people alike."""
        seen: dict[frozenset[int], int] = {}
        again = [
            f"trial {n} tests the people of trial {first}"
            for n, people in self._people.items()
            if people["test"] and (first := seen.setdefault(frozenset(people["test"]), n)) != n
        ]
        if again:
            yield error(
                "lists.repeated-trial",
                found=f"trials that repeat another: {len(again)}",
                expected="ten different splits",
                cause="the lists of one trial were copied under the names of others",
                remedy="take the lists as published: the mean over copies of one trial says nothing about its spread",
                examples=again,
            )


def _one_modality(pictures: Sequence[Picture]) -> list[Finding]:
    people = {modality: {p.identity for p in pictures if p.modality == modality} for modality in Modality}
    alone = {modality: people[modality] - people[modality.other] for modality in Modality}
    if not any(alone.values()) or not all(people.values()):
        return []
    words = [f"{len(them)} in {FOLDERS[modality]} only ({spans(them)})" for modality, them in alone.items() if them]
    return [
        error(
            "identities.one-modality",
            found=f"people seen in one modality: {', '.join(words)}",
            expected="none",
            cause="folders of these people were not unpacked for the other modality",
            remedy="unpack Visible and Thermal again",
        )
    ]
