"""How benchmarks measure: the median of several calls after one that warms up."""

import statistics
import time
from collections.abc import Callable
from typing import TypeVar

__all__ = ["median"]

ResultT = TypeVar("ResultT")


def median(work: Callable[[], ResultT], repeat: int) -> tuple[float, ResultT]:
    """Median seconds after one unmeasured call, and what the work returned."""
    result = work()
    seconds = []
    for _ in range(repeat):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), result
