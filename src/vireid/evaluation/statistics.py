"""How sure a figure is, and whether two configurations differ: over test identities and training seeds together.

The identity is what is drawn anew, with all of its queries, since the queries of one person rise and fall together;
every gallery stays as it is. Queries of one protocol are the same for all runs, so that differences are paired by
identity. Runs with other seeds are independent; identity and run are crossed.

Variances of a mean over runs, from the table of runs by identities (two-way analysis of variance without replication,
on the first-order terms of `Sample.influence`):

    identities   var over identities of the mean over runs, / I     contains the noise of identity by run
    seeds        var over runs of the figure, / R                   contains it too
    noise        mean square of what neither explains, / (I R)
    total        identities + max(0, seeds - noise)

Drawing identities and runs both anew, each with its own multinomial weights, counts the noise three times (Owen,
"The pigeonhole bootstrap", 2007) and understates few runs by (R - 1) / R. So the seeds' part is drawn R - 1 at a time
(Rao and Wu, 1988) and scaled to what the noise does not explain already; and since few runs make the variance itself
unsure, each draw is widened as Student's t is, with Satterthwaite's degrees of freedom.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from vireid.errors import UsageError
from vireid.evaluation.samples import Sample

__all__ = ["RESAMPLES", "Components", "Estimate", "difference", "estimate", "holm", "sign_flip"]

FloatArray = NDArray[np.float64]

RESAMPLES = 10_000
_BLOCK = 1 << 21  # weights held at once
_ENUMERABLE = 13  # identities up to which every pattern of signs is tried


@dataclass(frozen=True, kw_only=True)
class Components:
    """Variances of an estimate, in percent squared; see the module for their meaning.

    seeds: one variance for each configuration of several runs; empty where seeds are not accounted for. runs: of each
    configuration.
    """

    identities: float
    seeds: tuple[float, ...]
    noise: float
    people: int
    runs: tuple[int, ...]

    @property
    def seeds_net(self) -> float:
        """The seeds' variance beyond what the noise of identity by run explains."""
        return max(0.0, sum(self.seeds) - self.noise)

    @property
    def total(self) -> float:
        return self.identities + self.seeds_net

    @property
    def freedom(self) -> float:
        """Satterthwaite's degrees of freedom of `total`; infinite where nothing varies."""
        known = self.identities**2 / (self.people - 1)
        known += sum(part**2 / (runs - 1) for part, runs in zip(self.seeds, self.runs, strict=False))
        return self.total**2 / known if known > 0 else float("inf")

    def with_runs(self, runs: int) -> Components:
        """What `runs` runs of each configuration would give, were these the true variances.

        Raises:
            UsageError: seeds are not accounted for, so that nothing is known about them.
        """
        if not self.seeds or runs < 2:
            raise UsageError("what other numbers of runs would give is known from two runs on, for two or more")
        mean = len(self.runs) / sum(1 / count for count in self.runs)
        noise = self.noise * mean / runs
        return Components(
            identities=max(0.0, self.identities - self.noise) + noise,
            seeds=tuple(part * count / runs for part, count in zip(self.seeds, self.runs, strict=True)),
            noise=noise,
            people=self.people,
            runs=(runs,) * len(self.runs),
        )

    def smallest(self, *, alpha: float = 0.05, power: float = 0.8) -> float:
        """The smallest true value that a two-sided test at `alpha` finds with probability `power`, in percent."""
        quantiles = float(stdtrit(self.freedom, 1 - alpha / 2) + stdtrit(self.freedom, power))
        return float(np.sqrt(self.total)) * quantiles


@dataclass(frozen=True, kw_only=True, eq=False)
class Estimate:
    """A figure or a difference, in percent. draws: (B,) what it may as well have been."""

    value: float
    draws: FloatArray
    components: Components

    @property
    def error(self) -> float:
        """Standard error."""
        return float(np.sqrt(self.components.total))

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """The quantiles of `draws` that leave out (1 - level) / 2 on either side."""
        low, high = np.quantile(self.draws, [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)

    def p(self, value: float = 0.0) -> float:
        """Two-sided: how rarely draws lie beyond `value`; at least 2 / (B + 1)."""
        beyond = min(np.count_nonzero(self.draws <= value), np.count_nonzero(self.draws >= value))
        return min(1.0, 2 * (1 + beyond) / (1 + len(self.draws)))

    def p_outside(self, margin: float) -> float:
        """Of the claim that the true value lies within +-`margin`: the greater p of two tests (Schuirmann, 1987)."""
        return 1.0 if abs(self.value) >= margin else max(self.p(-margin), self.p(margin))


def estimate(sample: Sample, *, crossed: bool = True, resamples: int = RESAMPLES, seed: int = 0) -> Estimate:
    """The mean over runs of one configuration, with its uncertainty over identities and, from two runs on, seeds.

    crossed: everyone is searched for in every run. Not so for the splits of RegDB: there the noise is not taken out.

    Raises:
        UsageError: fewer than two identities.
    """
    return _estimate([(1.0, sample)], resamples=resamples, seed=seed, crossed=crossed)


def difference(a: Sample, b: Sample, *, matched: bool = False, resamples: int = RESAMPLES, seed: int = 0) -> Estimate:
    """`a` minus `b`, paired by identity.

    matched: run i of `a` belongs to run i of `b`, as the splits of RegDB do: they are drawn together, and the noise is
    not taken out, since not everyone is in every split. Otherwise runs are independent, and seeds are accounted for
    where both sides have two or more.

    Raises:
        UsageError: fewer than two identities, or sides that search with other people or queries.
    """
    if matched:
        return _estimate([(1.0, a.minus(b))], resamples=resamples, seed=seed, crossed=False)
    a.refuse_unlike(b)
    return _estimate([(1.0, a), (-1.0, b)], resamples=resamples, seed=seed, crossed=True)


def sign_flip(a: Sample, b: Sample, *, resamples: int = RESAMPLES, seed: int = 0) -> float:
    """Two-sided p of "for every identity it does not matter which side is which", of these very runs.

    Exchanging the sides of an identity changes the difference by twice that identity's part of it, exactly. All
    patterns are tried for few identities, else `resamples` random ones. Nothing is said about other seeds.

    Raises:
        UsageError: sides that search with other people or queries.
    """
    a.refuse_unlike(b)
    sides = [(side.total / side.count.sum(axis=2, keepdims=True)).mean(axis=(0, 1)) for side in (a, b)]
    parts = sides[0] - sides[1]
    count = len(parts)
    reached, tried = 0, 0
    least = abs(parts.sum()) - 1e-9 * np.abs(parts).sum()  # equal sums may differ in their last digits
    if count <= _ENUMERABLE:
        signs = 1 - 2.0 * (np.arange(2**count)[:, None] >> np.arange(count) & 1)
        return float(np.mean(np.abs(signs @ parts) >= least))
    rng = np.random.default_rng(seed)
    for size in _blocks(resamples, count):
        signs = 1 - 2.0 * rng.integers(0, 2, (size, count), dtype=np.int8)
        reached += int(np.count_nonzero(np.abs(signs @ parts) >= least))
        tried += size
    return (1 + reached) / (1 + tried)


def holm(values: Sequence[float]) -> list[float]:
    """Holm's (1979) adjusted p-values: below 5 % after it, no more than 5 % risk of one false claim among all."""
    order = np.argsort(values, kind="stable")
    adjusted, greatest = [0.0] * len(values), 0.0
    for place, index in enumerate(order):
        greatest = max(greatest, min(1.0, (len(values) - place) * values[index]))
        adjusted[index] = greatest
    return adjusted


def _estimate(parts: Sequence[tuple[float, Sample]], *, resamples: int, seed: int, crossed: bool) -> Estimate:
    components = _components(parts, crossed=crossed)
    value = float(sum(sign * sample.per_run.mean() for sign, sample in parts))
    rng = np.random.default_rng(seed)
    deviation = _identities_anew(parts, components.people, resamples, rng) - value
    deviation *= np.sqrt(components.people / (components.people - 1))
    if components.seeds_net > 0:
        share = np.sqrt(components.seeds_net / sum(components.seeds))
        for sign, sample in parts:
            runs = sample.runs
            weights = rng.multinomial(runs - 1, np.full(runs, 1 / runs), size=resamples) / (runs - 1)
            deviation += sign * share * (weights @ (sample.per_run - sample.per_run.mean()))
    if np.isfinite(components.freedom):
        deviation *= np.sqrt(components.freedom / rng.chisquare(components.freedom, resamples))
    return Estimate(value=value, draws=value + deviation, components=components)


def _components(parts: Sequence[tuple[float, Sample]], *, crossed: bool) -> Components:
    people = len(parts[0][1].identities)
    if people < 2:
        raise UsageError(f"an interval needs two test identities at least, here there is {people}")
    mean = sum(sign * sample.influence.mean(axis=0) for sign, sample in parts)
    several = all(sample.runs > 1 for _, sample in parts)
    noise = 0.0
    for _, sample in parts if several and crossed else ():
        rest = sample.influence - sample.influence.mean(axis=0)
        noise += float((rest**2).sum()) / ((sample.runs - 1) * (people - 1)) / (people * sample.runs)
    return Components(
        identities=float(np.var(mean, ddof=1)) / people,
        seeds=tuple(float(np.var(s.per_run, ddof=1)) / s.runs for _, s in parts) if several else (),
        noise=noise,
        people=people,
        runs=tuple(sample.runs for _, sample in parts),
    )


def _identities_anew(
    parts: Sequence[tuple[float, Sample]], people: int, resamples: int, rng: np.random.Generator
) -> FloatArray:
    """(B,) the value with identities drawn anew, as many as there are, with all their queries."""
    found = []
    for size in _blocks(resamples, people):
        drawn = rng.integers(people, size=(size, people)) + np.arange(size)[:, None] * people
        weights = np.bincount(drawn.ravel(), minlength=size * people).reshape(size, people).astype(np.float64)
        found.append(sum(sign * sample.reweighted(weights).mean(axis=1) for sign, sample in parts))
    return np.concatenate(found)


def _blocks(resamples: int, people: int) -> list[int]:
    """Sizes of blocks that keep the weights within bounds."""
    step = max(1, _BLOCK // people)
    edges = [*range(0, resamples, step), resamples]
    return [last - first for first, last in pairwise(edges)]
