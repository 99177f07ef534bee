"""People that are listed, or should be, and have no picture."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from vireid.data.doctor.findings import Finding, error, spans
from vireid.data.doctor.standard import Standard
from vireid.data.doctor.survey import Survey
from vireid.data.table import Picture
from vireid.types import Modality

__all__ = ["check_identities", "describe", "training_words"]

_People = dict[tuple[str, str], set[int]]


def check_identities(survey: Survey, standard: Standard, *, gaps: bool) -> Iterator[Finding]:
    """Identities without pictures; SYSU-MM01's validation identities, which training needs, by a code of their own.

    Where both modalities must show everybody, one of them is not enough. gaps: whole folders are missing, which has
    been told: then one is.
    """
    if gaps and not survey.pictures:
        return
    both = standard.official or (standard.layout == "sysu" and standard.published_names)
    found = _people(survey.pictures, apart=both and not gaps)
    wanted = _wanted(survey, standard)
    if standard.layout == "sysu":
        # Identities that a hand moved from one list to the other still train: another check tells that.
        trained = {m: found.get(("train", m), set()) | found.get(("val", m), set()) for m in map(str, Modality)}
        lost = {m: wanted.pop(("val", m), set()) - trained[m] for m in trained}
        uncounted = 0 if standard.official else _uncounted(survey, standard)
        if any(lost.values()) or uncounted > 0:
            yield _validation(survey, standard, lost, uncounted)
    gone = {key: missing for key, people in wanted.items() if (missing := people - found.get(key, set()))}
    if gone:
        yield _lost(gone)


def training_words(pictures: Sequence[Picture]) -> str:
    """What training sees, as public code prints it: pictures and identities of each modality."""
    trained = [picture for picture in pictures if picture.split in ("train", "val")]
    people = {m: {p.identity for p in trained if p.modality == m} for m in Modality}
    images = {m: sum(p.modality == m for p in trained) for m in Modality}
    return ", ".join(f"{images[m]:,} {m} pictures of {len(people[m])} identities" for m in Modality)


def describe(survey: Survey) -> str:
    """The identities of a set in words."""
    if "all" in survey.identities:
        return f"{len(survey.identities['all'])} people"
    tested = {picture.identity for picture in survey.pictures if picture.split == "test"}
    return f"training: {training_words(survey.pictures)}; test: {len(tested)} identities"


def _people(pictures: Sequence[Picture], *, apart: bool) -> _People:
    """Who has pictures, per split and modality; `apart` is False where those of either modality do for both."""
    found: _People = defaultdict(set)
    for picture in pictures:
        for modality in [picture.modality] if apart else Modality:
            found[picture.split, str(modality)].add(picture.identity)
    return found


def _wanted(survey: Survey, standard: Standard) -> _People:
    """Who must have pictures, per split and modality: the published people, or those that the lists name."""
    if standard.official:
        table = standard.sightings
        groups = table.groupby(["split", "modality"])["identity"]
        wanted = {(str(split), str(modality)): set(people.tolist()) for (split, modality), people in groups}
        for (split, modality), people in wanted.items():
            if survey.identities.get(split) and split != "val":  # what a list lacks has been told
                wanted[split, modality] = people & set(survey.identities[split])
    else:
        wanted = {(split, str(m)): set(people) for split, people in survey.identities.items() for m in Modality}
    # RegDB's people are compared between modalities; LLCM's training people come with their pictures, from one list.
    told = {"sysu": (), "regdb": ("all",), "llcm": ("train",)}[standard.layout]
    return {key: people for key, people in wanted.items() if key[0] not in told}


def _uncounted(survey: Survey, standard: Standard) -> int:
    """How many validation identities fewer the lists name than the set's own counts need."""
    listed = {split: len(survey.identities[split]) for split in ("train", "val")}
    moved = max(0, listed["train"] - standard.at_least("train"))
    return standard.at_least("val") - listed["val"] - moved


def _validation(survey: Survey, standard: Standard, lost: dict[str, set[int]], uncounted: int) -> Finding:
    everyone = set().union(*lost.values())
    number = max(len(everyone), uncounted)
    total = max(standard.at_least("val"), len(survey.identities["val"]))
    named = f" ({spans(everyone)})" if everyone else ""
    return error(
        "identities.validation-lost",
        found=f"training has {training_words(survey.pictures)}",
        expected=_expected_training(standard),
        cause=f"{number} of the {total} validation identities{named} were lost from training: results are published "
        "for models trained on the identities of exp/train_id.txt and exp/val_id.txt together",
        remedy="restore exp/val_id.txt and the folders of these identities from the data set's download; code that "
        "makes array files must add the validation list to the training list",
    )


def _expected_training(standard: Standard) -> str:
    counts = {place: count for place, count in (standard.counts or {}).items() if place.split in ("train", "val")}
    images = {m: sum(c.images for place, c in counts.items() if place.modality == m) for m in Modality}
    people = len(standard.identities("train")) + len(standard.identities("val"))
    whose = f" of {people} identities" if people else ""
    return ", ".join(f"{images[m]:,} {m} pictures{whose}" for m in Modality)


def _lost(gone: _People) -> Finding:
    words = [f"{split} {modality}: {len(people)} ({spans(people)})" for (split, modality), people in gone.items()]
    splits = sorted({split for split, _ in gone})
    return error(
        "identities.lost",
        found=f"identities without any picture: {'; '.join(words)}",
        expected="pictures of every listed identity",
        cause=f"folders of {' and '.join(splits)} identities were not unpacked, deleted, or renumbered",
        remedy="unpack the camera folders again and do not rename what lies in them",
    )
