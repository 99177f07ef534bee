"""The examination: recognise, list, bring lists and pictures together, count, look, and let the reader judge."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from vireid.data import open_dataset
from vireid.data.counts import Counts
from vireid.data.doctor.arrays import check_arrays
from vireid.data.doctor.contents import check_contents
from vireid.data.doctor.counting import check_counts
from vireid.data.doctor.findings import CHECKS, Check, Diagnosis, Finding, Level, error
from vireid.data.doctor.identities import check_identities, describe
from vireid.data.doctor.llcm import survey_llcm
from vireid.data.doctor.looking import look_at
from vireid.data.doctor.names import check_files, check_names
from vireid.data.doctor.recognise import NAMES, recognise
from vireid.data.doctor.regdb import survey_regdb
from vireid.data.doctor.shape import check_shape
from vireid.data.doctor.standard import Standard, read_standard
from vireid.data.doctor.survey import Survey
from vireid.data.doctor.sysu import check_permutation, survey_sysu
from vireid.data.doctor.tree import Tree, read_tree
from vireid.errors import DataError, UsageError
from vireid.types import Track, untracked

__all__ = ["examine"]

_SURVEYS = {"sysu": survey_sysu, "regdb": survey_regdb, "llcm": survey_llcm}


def examine(
    folder: str | Path,
    *,
    layout: str | None = None,
    pictures: bool = True,
    workers: int | None = None,
    track: Track = untracked,
) -> Diagnosis:
    """Look for everything that is wrong with a copy of SYSU-MM01, RegDB or LLCM, or of a set in one of their layouts.

    Nothing is written, moved or mended. Where the reader stops at the first fault, this goes on.

    Args:
        folder: where the data set lies.
        layout: `sysu`, `regdb` or `llcm`; None finds out by the folders.
        pictures: open every picture too: damage, sizes, colours, equal content.
        workers: threads that open pictures; None takes all cores.
        track: shows progress over pictures.

    Raises:
        UsageError: an unknown layout, one that cannot be told, or `workers` below 1.
        DataError: there is no data set of a known layout.
    """
    if workers is not None and workers < 1:
        raise UsageError(f"workers is {workers}; it must be at least 1")
    place = recognise(Path(folder).absolute(), layout)
    tree = read_tree(place.root)
    standard, statement = read_standard(place.root, place.layout)
    survey = _SURVEYS[place.layout](tree, standard)
    findings, words = _unopened(tree, standard, survey)
    findings = [*place.findings, *statement, *findings]
    if pictures:
        opened = [picture for picture in survey.pictures if tree.sizes[picture.path] > 0]
        looks = look_at(place.root, [picture.path for picture in opened], threads=workers, track=track)
        findings += check_contents(opened, looks, standard)
    fingerprint, refusal = _read(place.root, place.layout, told=any(f.level is Level.ERROR for f in findings))
    findings += refusal
    words["reader"] = f"fingerprint {fingerprint[:16]}" if fingerprint else "refuses this copy"
    return Diagnosis(
        root=place.root,
        layout=place.layout,
        name=standard.expected.name if standard.expected else NAMES[place.layout],
        version=standard.version,
        fingerprint=fingerprint,
        pictures=len(survey.pictures),
        checks=_checks(words, findings, layout=place.layout, pictures=pictures, counts=standard.counts),
        findings=tuple(sorted(findings, key=lambda finding: CHECKS.index(finding.check))),
    )


def _unopened(tree: Tree, standard: Standard, survey: Survey) -> tuple[list[Finding], dict[str, str]]:
    """All checks that open no picture, and what each looked at."""
    shape = list(check_shape(tree, standard))
    gaps = any(finding.level is Level.ERROR for finding in shape)
    findings = [*shape, *survey.findings, *check_identities(survey, standard, gaps=gaps)]
    findings += [*check_files(tree, standard), *check_names(survey.pictures, standard), *check_arrays(tree, standard)]
    words = _words(tree, standard, survey)
    if standard.layout == "sysu":
        words["permutation"], told = check_permutation(tree, survey)
        findings += told
    return [*findings, *check_counts(tree, survey.pictures, standard, findings)], words


def _words(tree: Tree, standard: Standard, survey: Survey) -> dict[str, str]:
    """What each check looked at."""
    number = f"{len(survey.pictures):,} pictures"
    return {
        "layout": f"{NAMES[standard.layout]}: {', '.join(tree.top)}",
        "lists": survey.lists,
        "identities": describe(survey),
        "counts": number,
        "files": f"{len(tree.sizes):,} files",
        "arrays": "no array file contradicts the pictures",
        "pictures": f"{number} opened",
        "sizes": number,
        "colours": number,
        "duplicates": number,
    }


def _read(root: Path, layout: str, *, told: bool) -> tuple[str | None, list[Finding]]:
    """The fingerprint that the reader gives, or why it gives none; told: other findings may be why."""
    try:
        return open_dataset(layout, root, check_counts=False).fingerprint, []
    except DataError as problem:
        return None, [
            error(
                "reader.refuses",
                found=str(problem),
                expected="a data set that opens",
                cause="follows from the errors above"
                if told
                else "a fault that only the reader meets, in its own words",
                remedy="put right what is named, then look again",
            )
        ]


def _checks(
    words: Mapping[str, str], findings: Iterable[Finding], *, layout: str, pictures: bool, counts: Counts | None
) -> tuple[Check, ...]:
    levels: dict[str, set[Level]] = {}
    for finding in findings:
        levels.setdefault(finding.check, set()).add(finding.level)
    checks = []
    for name in CHECKS:
        if layout != "sysu" and name in ("permutation", "arrays"):
            continue
        found = levels.get(name, set())
        level = next((level for level in (Level.ERROR, Level.WARNING) if level in found), Level.OK)
        said = words[name]
        if not pictures and name in ("pictures", "sizes", "colours", "duplicates"):
            level, said = Level.SKIPPED, "not looked at"
        if name == "counts" and counts is None:
            level, said = Level.SKIPPED, f"{said}; nobody says how many there must be"
        checks.append(Check(name=name, level=level, found=said))
    return tuple(checks)
