"""What a graph will hold in memory, said beforehand; and a refusal where the machine has less."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vireid.errors import UsageError

__all__ = ["BLOCK", "MemoryPlan", "Reserve", "available_memory", "free_of_device", "in_words", "memory_plan"]

BLOCK = 1 << 23
"""Similarities that are held at once."""

_INDEX, _PLACE, _WEIGHT = 4, 8, 8  # bytes of a row's number, of a place in a list, of a weight or distance
_TYPICAL = (1.5, 2.5, 0.7)  # entries a row by k1: weights, averaged weights, distances of at most 0.6
_CGROUP = Path("/sys/fs/cgroup")
_MEMINFO = Path("/proc/meminfo")


@dataclass(frozen=True, kw_only=True)
class MemoryPlan:
    """What `jaccard_graph` holds besides the features, in bytes, and what the machine has.

    fixed: needed whatever the features are. expected: of usual features; counted exactly before it is taken.
    available: None where it is not known.
    """

    fixed: tuple[tuple[str, int], ...]
    expected: tuple[tuple[str, int], ...]
    available: int | None

    @property
    def total(self) -> int:
        """Bytes of both together."""
        return sum(size for _, size in (*self.fixed, *self.expected))

    def __str__(self) -> str:
        rows = [(name, in_words(size)) for name, size in self.fixed]
        rows += [(f"{name} (about)", in_words(size)) for name, size in self.expected]
        rows.append(("together", in_words(self.total)))
        rows.append(("free", "not known" if self.available is None else in_words(self.available)))
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {size:>10}" for name, size in rows)


def memory_plan(count: int, *, k1: int, k2: int, itemsize: int = 4, memory: int | None = None) -> MemoryPlan:
    """The plan for `count` features of numbers of `itemsize` bytes.

    memory: bytes that may be taken; None takes what is free.
    """
    listed = min(max(k1, k2), count)
    half = min(round(k1 / 2) + 1, listed)
    fixed = [
        ("a block of similarities", min(max(BLOCK, count), count * count) * itemsize),
        ("lists of neighbours", count * listed * _INDEX),
        ("lists of mutual neighbours", count * (min(k1, listed) + half) * _INDEX + 2 * count * _PLACE),
    ]
    first, second, last = (int(count * min(count, share * k1)) * (_WEIGHT + _INDEX) for share in _TYPICAL)
    expected = [
        ("weights", first),
        ("averaged weights, by row and by column", 2 * second),
        ("distances", last + last // 2),
    ]
    return MemoryPlan(
        fixed=tuple(fixed),
        expected=tuple(expected),
        available=available_memory() if memory is None else memory,
    )


class Reserve:
    """Says no before memory is taken that is not there. limit: bytes for all checks together; None: what is free."""

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit
        self._taken = 0

    def check(self, size: int, what: str, remedy: str) -> None:
        """Refuse `size` bytes if there are less.

        Raises:
            UsageError: with both figures and what to change.
        """
        free = available_memory() if self._limit is None else self._limit - self._taken
        self._taken += size
        if free is not None and size > free:
            source = "are free" if self._limit is None else "are allowed"
            raise UsageError(f"{what} would take {in_words(size)}, {in_words(free)} {source}; {remedy}")


def available_memory() -> int | None:
    """Bytes that can be taken before the system runs short, of the machine or of its container; None: not known."""
    found = [size for size in (_free_of_machine(), _free_of_container()) if size is not None]
    return min(found) if found else None


def free_of_device(device: Any) -> int | None:
    """Bytes that a torch device has left; None for one that does not tell, such as main memory."""
    if device.type != "cuda":
        return None
    free, _ = sys.modules["torch"].cuda.mem_get_info(device)
    return int(free)


def in_words(size: int) -> str:
    """Bytes as people read them: 1.5 GiB."""
    value, unit = float(size), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


def _free_of_machine() -> int | None:
    try:
        lines = _MEMINFO.read_text(encoding="ascii").splitlines()
    except OSError:  # not Linux
        try:
            return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (AttributeError, ValueError, OSError):
            return None
    kib = [int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    return 1024 * kib[0] if kib else None


def _free_of_container() -> int | None:
    try:
        limit = (_CGROUP / "memory.max").read_text(encoding="ascii").strip()
        used = int((_CGROUP / "memory.current").read_text(encoding="ascii"))
    except (OSError, ValueError):  # no container, or an old kernel
        return None
    return None if limit == "max" else max(0, int(limit) - used)
