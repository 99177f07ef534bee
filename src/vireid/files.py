"""Files and folders that appear whole or not at all, and the folder for what can be made again."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

__all__ = ["alone", "cache_folder", "digest_of", "file_digest", "new_file", "new_folder", "write_json", "write_text"]


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it is flushed to disk and renamed to `path` if the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix is kept: writers such as numpy.savez choose their format, or add an extension, by it.
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        _sync(temporary)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path` that takes its place if the block succeeds; what stood there goes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    retired = temporary.with_name(temporary.name + ".old")
    try:
        yield temporary
        for file in temporary.rglob("*"):
            if file.is_file():
                _sync(file)
        temporary.chmod(0o777 & ~_umask())
        _exchange(temporary, path, retired)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 by rename."""
    with new_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON by rename; not-a-number is refused, since JSON has no word for it."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def cache_folder() -> Path:
    """Where vireid keeps what it can make again: $VIREID_CACHE, or vireid below the user's cache folder."""
    base = os.environ.get("VIREID_CACHE")
    return Path(base) if base else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "vireid"


@contextmanager
def alone(path: Path, doing: str, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock file `path`; while another process has it, tell that it is `doing` that, and wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"another process {doing} (it holds {path}); waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def digest_of(value: Any) -> str:
    """SHA-256 (hex) of a JSON value in canonical form."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _exchange(new: Path, path: Path, retired: Path) -> None:
    """Put `new` in the place of `path`; whatever goes wrong, one of the two stands there afterwards."""
    try:
        if path.exists():
            path.rename(retired)
        new.rename(path)
    finally:
        if not path.exists() and retired.exists():
            retired.rename(path)
        shutil.rmtree(retired, ignore_errors=True)


def _sync(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
