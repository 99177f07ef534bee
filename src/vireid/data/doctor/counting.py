"""Numbers of pictures against the published ones, and what went wrong where they differ."""

from collections.abc import Iterator, Sequence

import pandas as pd

from vireid.data.counts import Count, Counts, Place, count_pictures, official_pictures, probable_causes
from vireid.data.doctor.findings import Finding, error
from vireid.data.doctor.standard import Standard
from vireid.data.doctor.tree import Tree
from vireid.data.table import Picture, image_table
from vireid.types import Modality

__all__ = ["check_counts", "explain_counts", "explain_training"]

_NONE = Count(0, 0)
_CLOSE = 0.1  # share by which a mean number of pictures may differ from that of the validation identities
_TAIL = 5  # lost sightings from which on a pattern is believed


def check_counts(
    tree: Tree, pictures: Sequence[Picture], standard: Standard, earlier: Sequence[Finding]
) -> Iterator[Finding]:
    """Compare pictures and identities per split, modality and camera; `earlier` findings may explain a difference."""
    if standard.counts is None:
        return
    found = count_pictures(image_table(tree.root, pictures))
    different = [
        place for place in sorted({*found, *standard.counts}) if _at(found, place) != _at(standard.counts, place)
    ]
    if not different:
        return
    causes = [finding.code for finding in earlier if finding.code in _EXPLAINING]
    stopped = _stopped(pictures, standard)
    cause = "; ".join([*stopped, *explain_counts(found, standard.counts)])
    if causes:
        cause = f"follows from {', '.join(dict.fromkeys(causes))}" + (f"; {'; '.join(stopped)}" if stopped else "")
    yield error(
        "counts.differ",
        found=f"{_total(found):,} pictures; {len(different)} of {len({*found, *standard.counts})} counts differ",
        expected=f"{_total(standard.counts):,} pictures",
        cause=cause,
        remedy="put right what is named above, then look again"
        if causes
        else "unpack the data set's archives again into an empty folder and look again",
        examples=[_difference(place, found, standard.counts) for place in different],
    )


def explain_counts(found: Counts, expected: Counts) -> list[str]:
    """What probably went wrong, from two tables of counts alone; [] where they agree."""
    if found == expected:
        return []
    lacking = [place for place in expected if _at(found, place).images < expected[place].images]
    splits = {place.split for place in lacking}
    if splits == {"val"} and not any(_at(found, place).images > expected[place].images for place in expected):
        people = _most(expected, "val") - _most(found, "val")
        return [
            f"{people} of {_most(expected, 'val')} validation identities are missing from training, which uses "
            "those of exp/train_id.txt and exp/val_id.txt together"
        ]
    return probable_causes(found, expected)


def explain_training(modality: Modality, *, images: int, identities: int) -> str | None:
    """What probably went wrong if training on SYSU-MM01 sees this many pictures of this many identities.

    None where both numbers are the published ones: 22,258 visible and 11,909 infrared pictures of 395 identities.
    """
    table = official_pictures("sysu")
    table = table[table["modality"] == str(modality)]
    known = {split: _sum_of(table, split) for split in ("train", "val", "test", "unlisted")}
    found = Count(identities, images)
    whole = _plus(known["train"], known["val"])
    if found == whole:
        return None
    if found == known["train"]:
        return "all validation identities were lost: exp/val_id.txt was not added to exp/train_id.txt"
    if found == known["val"]:
        return "the validation identities alone were taken; exp/train_id.txt was left out"
    if found == _plus(whole, known["test"]):
        return "the test identities were added: the model is tested on people it has seen"
    if identities > whole.identities or images > whole.images:
        return "identities or pictures were added that are in neither exp/train_id.txt nor exp/val_id.txt"
    people, lost = whole.identities - identities, whole.images - images
    mean = known["val"].images / known["val"].identities
    missing = f"{people} identities and {lost:,} pictures are missing"
    if 0 < people <= known["val"].identities and abs(lost / people - mean) <= _CLOSE * mean:
        return (
            f"{missing}, about as many pictures of each as the validation identities have ({mean:.0f}): part of the "
            "validation identities was lost from training, or an archive of one camera stopped half-way"
        )
    return f"{missing}: folders that were not unpacked, or lists that were cut off"


_EXPLAINING = {
    "layout.case", "layout.empty-folder", "layout.misplaced", "layout.missing-folder", "layout.nested",
    "lists.missing", "lists.unreadable", "lists.identities", "lists.pictures-missing", "lists.swapped",
    "lists.one-per-line", "lists.unlisted", "identities.validation-lost", "identities.lost", "identities.shared",
    "identities.one-modality", "identities.unlisted", "files.copies", "files.numbering", "files.camera",
    "files.modality",
    "files.names",
}  # fmt: skip
"""Codes of findings that make counts differ."""


def _stopped(pictures: Sequence[Picture], standard: Standard) -> list[str]:
    """Cameras of the published set of which exactly the last people are missing: unpacking stopped there."""
    table = standard.sightings
    if table.empty or standard.layout == "regdb":
        return []
    found = {(picture.split == "test", picture.modality, picture.camera, picture.identity) for picture in pictures}
    words = []
    places = table.assign(test=table["split"] == "test")
    keys = ["modality", "camera"] if standard.layout == "sysu" else ["test", "modality", "camera"]
    for key, rows in places.groupby(keys):
        people = sorted(
            (int(i), (bool(t), str(m), int(c), int(i)) in found)
            for i, t, m, c in zip(rows["identity"], rows["test"], rows["modality"], rows["camera"], strict=True)
        )
        first = next((n for n, (_, there) in enumerate(people) if not there), len(people))
        if first and len(people) - first >= _TAIL and not any(there for _, there in people[first:]):
            words.append(
                f"{key[-2]} camera {key[-1]} ends after identity {people[first - 1][0]}: unpacking stopped there"
            )
    return words


def _at(counts: Counts, place: Place) -> Count:
    return counts.get(place, _NONE)


def _difference(place: Place, found: Counts, expected: Counts) -> str:
    have, want = _at(found, place), _at(expected, place)
    return (
        f"{place.split} {place.modality} camera {place.camera}: {have.images:,} pictures of {have.identities} "
        f"identities, expected {want.images:,} of {want.identities}"
    )


def _total(counts: Counts) -> int:
    return sum(count.images for count in counts.values())


def _most(counts: Counts, split: str) -> int:
    """Identities of a split, as far as counts per camera tell: the most that one camera saw."""
    return max((count.identities for place, count in counts.items() if place.split == split), default=0)


def _sum_of(table: pd.DataFrame, split: str) -> Count:
    rows = table[table["split"] == split]
    return Count(int(rows["identity"].nunique()), int(rows["images"].sum()))


def _plus(one: Count, other: Count) -> Count:
    return Count(one.identities + other.identities, one.images + other.images)
