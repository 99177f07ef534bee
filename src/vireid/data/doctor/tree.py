"""All files below a folder, listed once; every check that opens no file works from this."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from vireid.data.layout import is_picture

__all__ = ["DANGLING", "Tree", "read_tree"]

DANGLING = -1
"""The size that stands for a link that leads nowhere."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Tree:
    """sizes: bytes of every file by its path from `root`, with forward slashes. folders: paths of all folders."""

    root: Path
    sizes: Mapping[str, int]
    folders: frozenset[str]

    @cached_property
    def pictures(self) -> list[str]:
        """Paths of the files that count as pictures, sorted."""
        return sorted(path for path in self.sizes if is_picture(path.rpartition("/")[2]))

    @cached_property
    def top(self) -> list[str]:
        """Names of the folders directly in the root, sorted."""
        return sorted(folder for folder in self.folders if "/" not in folder)


def read_tree(root: Path) -> Tree:
    """List `root`; links are followed, and each folder is entered once."""
    sizes: dict[str, int] = {}
    folders: list[str] = []
    for path, size in _walk(root):
        if size is None:
            folders.append(path)
        else:
            sizes[path] = size
    return Tree(root=root, sizes=sizes, folders=frozenset(folders))


def _walk(root: Path) -> Iterator[tuple[str, int | None]]:
    """Every path with its size in bytes, None for a folder."""
    seen = {_place(os.stat(root))}  # noqa: PTH116 (here and below: tens of thousands of entries without Path objects)
    waiting = [(str(root), "")]
    while waiting:
        place, prefix = waiting.pop()
        with os.scandir(place) as entries:
            for entry in entries:
                path = prefix + entry.name
                if not entry.is_dir():
                    yield path, _size(entry)
                    continue
                if entry.is_symlink():
                    where = _place(entry.stat())
                    if where in seen:
                        continue
                    seen.add(where)
                yield path, None
                waiting.append((entry.path, path + "/"))


def _place(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_size
    except FileNotFoundError:
        return DANGLING
