"""How often intervals hold the truth, and how long they take: one JSON line per figure.

    python bench/bench_statistics.py [--repetitions 1000] [--draws 1000]

Two methods are simulated whose true difference is 5 points: every person has a difficulty and a gain, every training a
seed's effect and noise of its own for every person. `coverage` is how often a 95 % interval held the 5 points, `half`
its mean half-width. `plain` draws identities and runs anew, both as many as there are, and takes quantiles.
"""

import argparse
import json

import numpy as np
from numpy.typing import NDArray

from timing import median
from vireid.evaluation.samples import Sample
from vireid.evaluation.statistics import difference, sign_flip

# Identities, spread of gains over people, of seeds, of noise (points), runs on either side.
SCENES = {
    "seeds do not matter, 5 runs": (300, 8.0, 0.0, 20.0, 5),
    "seeds matter a little, 5 runs": (300, 8.0, 0.7, 20.0, 5),
    "seeds matter most, 5 runs": (300, 8.0, 2.0, 20.0, 5),
    "seeds matter a little, 3 runs": (300, 8.0, 0.7, 20.0, 3),
    "seeds matter most, 3 runs": (300, 8.0, 2.0, 20.0, 3),
    "96 identities, 5 runs": (96, 8.0, 1.0, 20.0, 5),
}
GAIN = 5.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=1000)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    a, b = (table(rng.uniform(0, 100, (5, 300))) for _ in range(2))
    for name, work in (("difference", lambda: difference(a, b)), ("sign flips", lambda: sign_flip(a, b))):
        seconds, _ = median(work, options.repeat)
        print(json.dumps({"name": f"{name} 300 identities x 5 runs, 10000 draws", "seconds": round(seconds, 4)}))
    for name, scene in SCENES.items():
        found = np.array([repetition(*scene, draws=options.draws, rng=rng) for _ in range(options.repetitions)])
        ours, plain = found[:, :2], found[:, 2:]
        print(json.dumps({"name": name, **summary(ours), "plain": summary(plain)}), flush=True)


def summary(intervals: NDArray[np.float64]) -> dict[str, float]:
    held = (intervals[:, 0] <= GAIN) & (intervals[:, 1] >= GAIN)
    half = (intervals[:, 1] - intervals[:, 0]).mean() / 2
    return {"coverage": round(float(held.mean()), 3), "half": round(float(half), 2)}


def repetition(
    people: int, own: float, seeds: float, noise: float, runs: int, *, draws: int, rng: np.random.Generator
) -> tuple[float, float, float, float]:
    """Our interval and the plain one, of one simulated comparison."""
    difficulty = rng.normal(40, 25, people)
    gains = (GAIN + rng.normal(0, own, people), np.zeros(people))
    sides = [
        difficulty + gain + rng.normal(0, seeds, (runs, 1)) + rng.normal(0, noise, (runs, people)) for gain in gains
    ]
    found = difference(table(sides[0]), table(sides[1]), resamples=draws, seed=int(rng.integers(1 << 30)))
    low, high = np.quantile(plain(sides, draws, rng), [0.025, 0.975])
    return *found.interval(), float(low), float(high)


def plain(sides: list[NDArray[np.float64]], draws: int, rng: np.random.Generator) -> NDArray[np.float64]:
    runs, people = sides[0].shape
    weights = rng.multinomial(people, np.full(people, 1 / people), size=draws) / people
    anew = [rng.multinomial(runs, np.full(runs, 1 / runs), size=draws) / runs for _ in sides]
    means = [((weights @ side.T) * mixed).sum(axis=1) for side, mixed in zip(sides, anew, strict=True)]
    return np.asarray(means[0] - means[1])


def table(values: NDArray[np.float64]) -> Sample:
    """One query an identity and one trial."""
    total = values[:, None, :]
    return Sample(identities=np.arange(values.shape[1]), total=total, count=np.ones_like(total))


if __name__ == "__main__":
    main()
