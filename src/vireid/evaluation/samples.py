"""Evaluations of one configuration as sums per run, trial and identity: what resampling needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vireid.errors import UsageError
from vireid.evaluation.records import QueryRecords

__all__ = ["Sample"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """One metric of one configuration.

    identities: (I,) rising. total: (R, T, I) sum of the metric in percent over an identity's valid queries, per run and
    trial. count: (R, T, I) how many these are.
    """

    identities: NDArray[np.int64]
    total: FloatArray
    count: FloatArray

    @classmethod
    def of(cls, runs: Sequence[Sequence[QueryRecords]], metric: str) -> Sample:
        """Of runs; where one is given as several evaluations under the same protocol, it is their mean.

        Raises:
            UsageError: no run, an unknown metric, or evaluations that do not search with the same queries.
        """
        if not runs or not all(runs):
            raise UsageError("statistics need at least one run")
        identities = np.unique(np.concatenate([one.identity[one.valid] for run in runs for one in run]))
        means = []
        for run in runs:
            tables = [_sums(one, metric, identities) for one in run]
            if any(not np.array_equal(tables[0][1], count) for _, count in tables):
                raise UsageError("evaluations of one protocol search with other queries; evaluate them again")
            means.append((np.mean([total for total, _ in tables], axis=0), tables[0][1]))
        if len({total.shape for total, _ in means}) > 1:
            raise UsageError("runs have unlike numbers of trials; evaluate them under one protocol")
        return cls(
            identities=identities,
            total=np.stack([total for total, _ in means]),
            count=np.stack([count for _, count in means]),
        )

    @property
    def runs(self) -> int:
        return len(self.total)

    @cached_property
    def per_trial(self) -> FloatArray:
        """(R, T) the metric of every trial, over its valid queries."""
        found: FloatArray = self.total.sum(axis=2) / self.count.sum(axis=2)
        return found

    @property
    def per_run(self) -> FloatArray:
        """(R,) the metric as reported: the mean over trials."""
        found: FloatArray = self.per_trial.mean(axis=1)
        return found

    def reweighted(self, weights: FloatArray) -> FloatArray:
        """(B, R) the metric of every run, were each identity seen `weights` (B, I) times; galleries stay as they are.

        A trial of which a row of weights leaves no query is passed over in that row.
        """
        runs, trials, _ = self.total.shape
        total = weights @ self.total.reshape(runs * trials, -1).T
        count = weights @ self.count.reshape(runs * trials, -1).T
        there = count > 0
        figure = np.divide(total, count, out=np.zeros_like(total), where=there).reshape(-1, runs, trials)
        seen = there.reshape(-1, runs, trials).sum(axis=2)
        found: FloatArray = figure.sum(axis=2) / np.maximum(seen, 1)
        return found

    @cached_property
    def influence(self) -> FloatArray:
        """(R, I) how far each identity pulls its run's metric, times I: mean 0 over identities.

        The first-order term of `reweighted`, so that its variance over identities is that of a mean.
        """
        pull = (self.total - self.per_trial[..., None] * self.count) / self.count.sum(axis=2, keepdims=True)
        found: FloatArray = len(self.identities) * pull.mean(axis=1)
        return found

    def minus(self, other: Sample) -> Sample:
        """Run by run and identity by identity, the difference to `other`.

        Raises:
            UsageError: other identities or queries.
        """
        self.refuse_unlike(other)
        return Sample(identities=self.identities, total=self.total - other.total, count=self.count)

    def refuse_unlike(self, other: Sample) -> None:
        """Refuse a sample of other people or queries: what follows is paired by identity."""
        alike = np.array_equal(self.identities, other.identities)
        if not alike or not np.array_equal(self.count.mean(axis=0), other.count.mean(axis=0)):
            raise UsageError("the two sides search with other people or queries; evaluate both under one protocol")


def _sums(records: QueryRecords, metric: str, identities: NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
    """(T, I) sums and counts over valid queries."""
    trials, valid = np.unique(records.trial), records.valid
    cell = np.searchsorted(trials, records.trial[valid]) * len(identities)
    cell += np.searchsorted(identities, records.identity[valid])
    shape, size = (len(trials), len(identities)), len(trials) * len(identities)
    total = np.bincount(cell, weights=records.values(metric)[valid], minlength=size)
    count = np.bincount(cell, minlength=size)
    return total.astype(np.float64).reshape(shape), count.astype(np.float64).reshape(shape)
