"""The operator's settings: `service.yaml` in the service's folder, with what the command line adds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, field_validator

from vireid.errors import UsageError
from vireid.options import Options, parse

__all__ = ["NAME", "Alarms", "Limits", "Retention", "Sessions", "Settings", "read_settings"]

FILE = "service.yaml"
NAME = r"^[a-z0-9][a-z0-9_-]{0,62}$"
MEBIBYTE = 1 << 20


class Limits(Options):
    """How much one request, one key or one address may ask for."""

    requests_per_minute: int = Field(600, ge=1, description="of one key")
    failures_per_minute: int = Field(20, ge=1, description="requests of one address whose key is not accepted")
    searches_per_day: int = Field(500, ge=1, description="of one key")
    json_bytes: int = Field(64 * 1024, ge=1024)
    pictures_bytes: int = Field(32 * MEBIBYTE, ge=1024, description="of one request with pictures")
    archive_bytes: int = Field(512 * MEBIBYTE, ge=1024, description="of one zip archive")
    unpacked_bytes: int = Field(4096 * MEBIBYTE, ge=1024, description="of all files in one archive")
    archive_files: int = Field(100_000, ge=1, description="in one archive")
    pictures: int = Field(64, ge=1, description="in one request")
    pixels: int = Field(25_000_000, ge=1, description="of one picture")
    top: int = Field(200, ge=1, description="hits of one search")


class Retention(Options):
    """How long things stay, in days, unless a gallery says it for itself. There is no way to say `for ever`."""

    images: int = Field(30, ge=1, le=3650, description="pictures and their vectors")
    searches: int = Field(90, ge=1, le=3650, description="searches, their results and marks")
    reports: int = Field(7, ge=1, le=366, description="rows of a job's report, which name files and pictures")
    every_minutes: int = Field(60, ge=1, le=1440, description="how often what has expired is deleted")


class Alarms(Options):
    """When searches of one key look like following one person."""

    searches: int = Field(5, ge=2, description="searches for one person by one key that raise an alarm")
    hours: int = Field(24, ge=1, description="within this time")
    similarity: float = Field(
        0.8, gt=0, le=1, description="cosine of two queries' vectors from which they count as one person"
    )


class Sessions(Options):
    """How long somebody stays signed in to the console."""

    idle_minutes: int = Field(30, ge=1, le=1440, description="without a request")
    hours: int = Field(8, ge=1, le=24, description="altogether")


class Settings(Options):
    """Everything the operator decides; paths are the operator's alone, no request names one."""

    folder: Path = Field(description="state, pictures, vectors and secrets of the service")
    database: str = Field("", description="URL of the database; SQLite in the folder unless given")
    anchors: Path | None = Field(None, description="file of the audit's signed heads; better on another disk")
    bundles: dict[str, Path] = Field({}, description="name -> run folder or bundle of a model")
    roots: dict[str, Path] = Field({}, description="name -> folder that galleries may be filled from")
    device: str | None = Field(None, description="cpu or cuda, where the models run")
    batch: int = Field(16, ge=1, le=256, description="pictures of concurrent queries that are embedded at once")
    batch_milliseconds: float = Field(4.0, ge=0, le=1000, description="how long a query waits for company")
    limits: Limits = Limits()
    retention: Retention = Retention()
    alarms: Alarms = Alarms()
    sessions: Sessions = Sessions()

    @field_validator("bundles", "roots")
    @classmethod
    def _named(cls, value: dict[str, Path]) -> dict[str, Path]:
        wrong = [name for name in value if not re.fullmatch(NAME, name)]
        if wrong:
            raise ValueError(f"{wrong[0]!r} is no name; lower-case letters, digits, - and _ are allowed")
        return {name: path.expanduser().absolute() for name, path in value.items()}

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{self.folder / 'state.sqlite3'}"

    @property
    def anchor_file(self) -> Path:
        return self.anchors or self.folder / "anchors.jsonl"

    @property
    def secrets(self) -> Path:
        return self.folder / "secrets"


def read_settings(folder: Path, further: Mapping[str, Any] | None = None) -> Settings:
    """The settings of the service in `folder`: its `service.yaml` where there is one, and `further` on top.

    Raises:
        UsageError: the file is no YAML mapping. RecipeError: values that are not allowed, all at once.
    """
    file = folder / FILE
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} is no YAML: {error}") from None
    values = found if found is not None else {}
    if not isinstance(values, dict) or "folder" in values:
        raise UsageError(f"{file} must hold settings by name, and not `folder`, which is where it lies")
    for name, value in (further or {}).items():
        values[name] = values.get(name, {}) | value if isinstance(value, dict) else value
    return parse(Settings, {**values, "folder": folder.absolute()}, where=str(file))
