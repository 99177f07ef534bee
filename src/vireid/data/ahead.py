"""Work done in threads ahead of the one who waits for its results."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

__all__ = ["ahead"]

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


def ahead(
    work: Callable[[ItemT], ResultT], items: Iterable[ItemT], *, depth: int, threads: int = 2
) -> Generator[ResultT]:
    """Results of `work` in the order of `items`, at most `depth` of them ready or under way, so memory is bounded."""
    waiting = iter(items)
    with ThreadPoolExecutor(max_workers=threads) as pool:
        pending: deque[Future[ResultT]] = deque(pool.submit(work, item) for item in islice(waiting, depth))
        try:
            while pending:
                yield pending.popleft().result()
                pending.extend(pool.submit(work, item) for item in islice(waiting, 1))
        finally:
            for future in pending:
                future.cancel()
