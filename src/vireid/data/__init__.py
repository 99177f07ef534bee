"""Data sets, their protocols and pictures. Nothing that this module imports needs torch."""

from collections.abc import Callable
from pathlib import Path

from vireid.data.base import UNKNOWN, Dataset
from vireid.data.folders import open_folders
from vireid.data.llcm import open_llcm
from vireid.data.manifest import open_manifest
from vireid.data.protocol import Protocol
from vireid.data.regdb import open_regdb
from vireid.data.sysu import open_sysu
from vireid.errors import choose

__all__ = ["KINDS", "UNKNOWN", "Dataset", "Protocol", "open_dataset"]

KINDS = ("sysu", "regdb", "llcm", "manifest", "folders")


def open_dataset(kind: str, root: str | Path, *, check_counts: bool = True) -> Dataset:
    """Read the data set that lies in `root`.

    Args:
        kind: `sysu`, `regdb`, `llcm` (the official layouts), `manifest` (a CSV or Parquet table of pictures) or
            `folders` (`visible` and `infrared`, of pictures of people whom nobody named).
        root: its folder; for a manifest the file, or the folder that holds `manifest.csv` or `manifest.parquet`.
        check_counts: compare the pictures found with the published counts, or with those in `<root>/expected.json`.

    Raises:
        UsageError: unknown kind.
        DataError: the data is missing, incomplete or inconsistent.
    """
    choose(kind, KINDS, "kind of data set")
    readers: dict[str, Callable[..., Dataset]] = {
        "sysu": open_sysu,
        "regdb": open_regdb,
        "llcm": open_llcm,
        "manifest": open_manifest,
        "folders": open_folders,
    }
    return readers[kind](Path(root).absolute(), check_counts=check_counts)
