"""The parts of an audit: what each measures of one seed. Each stands alone and can be repeated alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from vireid.study.acceptance.findings import Finding
from vireid.study.acceptance.subject import Subject

if TYPE_CHECKING:
    from vireid.data import Dataset
    from vireid.training.recipe import Recipe

__all__ = ["CUES", "PARTS", "Measured"]

CUES = ("background", "head", "silhouette")
KNOW_NOTHING = ("background", "head")
"""Cues that must not tell who somebody is; an outline may, a little."""
BASELINE = "agw"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a part found: figures to be judged, and values that other items are computed from."""

    findings: tuple[Finding, ...]
    raw: Mapping[str, Any] = field(default_factory=dict)


def _population(subject: Subject) -> Measured:
    from vireid.study.acceptance.population import population, sightings

    dataset = subject.data()
    return Measured(findings=(*population(dataset), *sightings(dataset)))


def _bytes(subject: Subject) -> Measured:
    from vireid.study.acceptance.exceptions import same_bytes

    return Measured(findings=(same_bytes(subject.folder / "bytes", seed=subject.seed),))


def _shortcuts(subject: Subject) -> Measured:
    from vireid.study.acceptance.attacks import colours, learned, unlearned

    dataset = subject.data()
    found = learned(dataset)
    told = Finding(name="features of shape, XQDA, rank-1", value=found.rank1, note=f"mAP {found.mAP:.1f} %")
    return Measured(findings=(*unlearned(dataset), told, *colours(dataset)))


def _metadata(subject: Subject) -> Measured:
    from vireid.study.acceptance.attacks import files

    return Measured(findings=tuple(files(subject.data())))


def _learned(cue: str, subject: Subject) -> Measured:
    from vireid.study.acceptance.attacks import above_chance, learned

    found = learned(subject.data(cue))
    if cue in KNOW_NOTHING:
        return Measured(findings=tuple(above_chance(f"{cue} only, XQDA", found)))
    told = Finding(name=f"{cue} only, XQDA, rank-1", value=found.rank1, note=f"mAP {found.mAP:.1f} %")
    return Measured(findings=(told,))


def _oracle(subject: Subject) -> Measured:
    from vireid.study.acceptance.oracle import ceilings

    findings, mean_ap = ceilings(subject.data())
    return Measured(findings=tuple(findings), raw={"mAP": mean_ap})


def _exceptions(subject: Subject) -> Measured:
    from vireid.study.acceptance.exceptions import exceptions

    found = exceptions(subject.data(), subject.folder, seed=subject.seed, workers=subject.workers)
    return Measured(findings=tuple(found))


def _start(subject: Subject) -> Measured:
    from vireid.study.acceptance.clusters import clusters, start_retrieval, start_vectors

    dataset, recipe = _to_train(BASELINE, subject)
    vectors = start_vectors(dataset, recipe, device=subject.device, track=subject.track)
    return Measured(findings=(*start_retrieval(dataset, vectors), *clusters(dataset, vectors)))


def _arm(arm: str, subject: Subject) -> Measured:
    from vireid.study.acceptance.baseline import fit, measure_arm

    dataset, recipe = _to_train(arm, subject)
    folder = subject.folder / "runs" / arm
    fitted = fit(recipe, dataset, folder, device=subject.device, track=subject.track, say=subject.say)
    return Measured(findings=(), raw=measure_arm(fitted, dataset, device=subject.device, track=subject.track))


def _network(cue: str, subject: Subject) -> Measured:
    from vireid.study.acceptance.attacks import above_chance
    from vireid.study.acceptance.baseline import measure_cue

    dataset, recipe = _to_train(BASELINE, subject, cue)
    folder = subject.folder / "runs" / f"{BASELINE}-on-{cue}"
    found = measure_cue(recipe, dataset, folder, device=subject.device, track=subject.track, say=subject.say)
    judged = above_chance(f"{cue} only, trained network", found) if cue in KNOW_NOTHING else []
    return Measured(findings=tuple(judged), raw={"rank1": found.rank1, "mAP": found.mAP})


def _to_train(arm: str, subject: Subject, cue: str | None = None) -> tuple[Dataset, Recipe]:
    from vireid.study.acceptance.baseline import arm_recipe

    dataset = subject.data(cue)
    recipe = arm_recipe(arm, dataset, preset=subject.preset, seed=subject.seed, changes=subject.changes)
    return dataset, recipe


PARTS: Mapping[str, Callable[[Subject], Measured]] = {
    "population": _population,
    "bytes": _bytes,
    "shortcuts": _shortcuts,
    "metadata": _metadata,
    "oracle": _oracle,
    "exceptions": _exceptions,
    **{f"xqda-{cue}": partial(_learned, cue) for cue in CUES},
    "start": _start,
    **{arm: partial(_arm, arm) for arm in ("agw", "caj", "caj-no-erasing")},
    **{f"network-{cue}": partial(_network, cue) for cue in CUES},
}
"""In the order in which they are measured: the quick ones first."""
