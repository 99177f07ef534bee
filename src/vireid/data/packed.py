"""Pictures decoded and scaled once, kept in the cache folder, and read from there by every later epoch and run.

    <cache folder>/pictures/<folder of the data>-<height>x<width>-<digest>/
        about.json                         whose pictures these are
        <split>-<number>-<digest>.npy      a shard: up to 1024 pictures, (N, H, W, 3) uint8, in the table's order

A shard's name holds a digest of the names, sizes and times of its pictures' files, so a file of that name is whole and
current; what has no such file is built anew. Shards are read by position (`pread`) and not mapped: the system keeps
what it can in its own cache, and no process's memory grows.
"""

from __future__ import annotations

import errno
import hashlib
import math
import os
import shutil
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from numpy.typing import NDArray

from vireid.data.ahead import ahead
from vireid.data.base import Dataset
from vireid.data.images import read_image, resize
from vireid.errors import DataError, ImageError, UsageError
from vireid.files import alone, cache_folder, digest_of, new_file, write_json
from vireid.types import Say, Track, silent, untracked

__all__ = ["PackedPictures", "pack"]

SHARD = 1024  # pictures
_FORMAT = 1  # part of every shard's digest; raise it when `read_image` or `resize` give other pixels
_THREADS = 8
_OTHER_WAY = "set VIREID_CACHE to a folder elsewhere, or train with data.cache=none"


@dataclass(frozen=True, kw_only=True)
class _Shard:
    path: Path
    rows: NDArray[np.int64]


class PackedPictures:
    """A `PictureSource` over shards; numbers are rows of the data set's image table.

    The files stay open: shards that are replaced or removed meanwhile are read to the end all the same.

    Raises:
        DataError: a shard is damaged.
    """

    def __init__(self, shards: Sequence[_Shard], size: tuple[int, int], *, rows: int) -> None:
        self.size = size
        self._shards = shards
        self._each = size[0] * size[1] * 3
        self._shard_of = np.full(rows, -1, np.int64)
        self._start_of = np.zeros(rows, np.int64)  # of every row's picture in its file
        self._files: list[int] = []
        weakref.finalize(self, _close, self._files)
        for number, shard in enumerate(shards):
            self._files.append(os.open(shard.path, os.O_RDONLY))
            start = _start(self._files[-1], shard, size)
            self._shard_of[shard.rows] = number
            self._start_of[shard.rows] = start + np.arange(len(shard.rows)) * self._each

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (self._shards, self.size, len(self._shard_of))

    def read(self, numbers: Sequence[int] | NDArray[np.int64]) -> NDArray[np.uint8]:
        shards, starts = self._shard_of[numbers], self._start_of[numbers]
        if (shards < 0).any():
            raise UsageError(f"row {np.asarray(numbers)[shards < 0][0]} of the image table is not packed")
        pictures = np.empty((len(shards), *self.size, 3), np.uint8)
        for picture, shard, start in zip(pictures, shards.tolist(), starts.tolist(), strict=True):
            if os.preadv(self._files[shard], [picture.data], start) != self._each:
                raise DataError(f"{self._shards[shard].path} is damaged; remove it, and it is built anew")
        return pictures


def pack(
    dataset: Dataset,
    rows: NDArray[np.int64],
    *,
    size: tuple[int, int],
    track: Track = untracked,
    say: Say = silent,
) -> PackedPictures:
    """The pictures of all splits that `rows` belong to, at `size` = (height, width), built now where they are missing.

    Whole splits, so that runs with other protocols or other identities held out share them. One process builds, others
    wait for it. What was built of files that have changed is removed first, and a build that was stopped goes on.

    Raises:
        UsageError: the disk is too small, the cache cannot be written, or lies in the data set's folder.
        ImageError: a picture is missing or cannot be read; it is named.
    """
    folder = _folder(dataset, size)
    shards = _shards(dataset, rows, folder)
    if not all(shard.path.exists() for shard in shards):
        try:
            with alone(folder.with_name(f"{folder.name}.lock"), "packs these pictures", say):
                _complete(dataset, shards, size, folder, track, say)
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            told = "the disk is full" if full else error.strerror or str(error)
            raise UsageError(f"cannot pack pictures in {folder}: {told}; {_OTHER_WAY}") from error
    return PackedPictures(shards, size, rows=len(dataset.images))


def _folder(dataset: Dataset, size: tuple[int, int]) -> Path:
    root = dataset.root.resolve()
    cache = cache_folder().resolve()
    if cache.is_relative_to(root):
        raise UsageError(f"the cache {cache} lies in the data set's folder, which vireid leaves as it is; {_OTHER_WAY}")
    key = digest_of([str(root), dataset.kind])[:12]
    return cache / "pictures" / f"{root.name}-{size[0]}x{size[1]}-{key}"


def _shards(dataset: Dataset, rows: NDArray[np.int64], folder: Path) -> list[_Shard]:
    """Shards of all splits of `rows`, named after what the files are now."""
    found = []
    base = len(dataset.root.as_posix().rstrip("/")) + 1
    split_of, paths = dataset.images.split.to_numpy(), dataset.images.path.to_numpy()
    for split in sorted(set(split_of[rows])):
        members = np.flatnonzero(split_of == split)
        for number, start in enumerate(range(0, len(members), SHARD)):
            chosen = members[start : start + SHARD]
            digest = _digest(paths[chosen].tolist(), base)
            found.append(_Shard(path=folder / f"{split}-{number:04d}-{digest}.npy", rows=chosen))
    return found


def _digest(paths: Sequence[str], base: int) -> str:
    """Of the files' names (from character `base` on), sizes and times (mtime and ctime), and of the decoder."""
    running = hashlib.blake2b(f"{_FORMAT}\0{PIL.__version__}".encode(), digest_size=8)
    for path in paths:
        try:
            status = os.stat(path)  # noqa: PTH116 (a Path object for each of many files)
        except OSError as error:
            raise ImageError(f"{path}: {error.strerror or error}") from error
        stamp = f"{path[base:]}\0{status.st_size}\0{status.st_mtime_ns}\0{status.st_ctime_ns}"
        running.update(f"\0{stamp}".encode())
    return running.hexdigest()


def _complete(
    dataset: Dataset, shards: Sequence[_Shard], size: tuple[int, int], folder: Path, track: Track, say: Say
) -> None:
    """Build the shards that are missing; the lock is held."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # a copy of pictures that others may not be meant to see
    _remove_stale(folder, shards)
    missing = [shard for shard in shards if not shard.path.exists()]
    if not missing:
        return  # the other process has built them
    rows = np.concatenate([shard.rows for shard in missing])
    needed = len(rows) * size[0] * size[1] * 3
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UsageError(
            f"packing {len(rows)} pictures takes {_told(needed)}, but {folder} has {_told(free)} left; {_OTHER_WAY}"
        )
    say(f"packing {len(rows)} pictures at {size[0]}x{size[1]} once, {_told(needed)} in {folder}")
    write_json(folder / "about.json", {"data": dataset.name, "root": str(dataset.root), "size": list(size)})
    paths = dataset.images.path.to_numpy()
    pictures = iter(track(_decoded(paths[rows].tolist(), size), description="packing pictures", total=len(rows)))
    for shard in missing:
        _write(shard, pictures, size)
    for _ in pictures:  # none is left; the bar sees the end
        pass


def _decoded(paths: Sequence[str], size: tuple[int, int]) -> Iterator[NDArray[np.uint8]]:
    threads = min(_THREADS, os.cpu_count() or 1)
    return ahead(lambda path: resize(read_image(path), size), paths, depth=4 * threads, threads=threads)


def _write(shard: _Shard, pictures: Iterator[NDArray[np.uint8]], size: tuple[int, int]) -> None:
    with new_file(shard.path) as temporary, temporary.open("wb") as stream:
        shape = (len(shard.rows), *size, 3)
        np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})
        for _ in shard.rows:
            stream.write(next(pictures).data)


def _remove_stale(folder: Path, shards: Sequence[_Shard]) -> None:
    """Remove shards of the same splits whose files have changed, and what a build that was killed left."""
    current = {shard.path.name for shard in shards}
    splits = {name.rsplit("-", 2)[0] for name in current}
    for old in folder.glob("*.npy"):
        if old.name.startswith(".") or (old.name not in current and old.name.rsplit("-", 2)[0] in splits):
            old.unlink()


def _told(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def _start(file: int, shard: _Shard, size: tuple[int, int]) -> int:
    """Where the pictures of an open shard begin."""
    expected = (len(shard.rows), *size, 3)
    with open(file, "rb", closefd=False) as stream:
        try:
            np.lib.format.read_magic(stream)
            shape, _, _ = np.lib.format.read_array_header_1_0(stream)
        except ValueError:
            shape = ()
        start = stream.tell()
    if shape != expected or os.fstat(file).st_size != start + math.prod(expected):
        raise DataError(f"{shard.path} is damaged; remove it, and it is built anew")
    return start


def _reopen(shards: Sequence[_Shard], size: tuple[int, int], rows: int) -> PackedPictures:
    return PackedPictures(shards, size, rows=rows)


def _close(files: Sequence[int]) -> None:
    for file in files:
        os.close(file)
