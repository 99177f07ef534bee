"""What a study file refers to: names that must exist, and recipes that must be readable with their changes.

Asked of the plain values, so that these mistakes are told together with those of form.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatch
from typing import Any

from vireid.errors import UsageError, choose

__all__ = ["references"]


def references(values: Mapping[str, Any]) -> list[str]:
    """One line for every name that is not there, with its path; what has another form than expected is passed over."""
    rows, data = _section(values, "rows"), _section(values, "data")
    found = []
    for name, row in rows.items():
        found += [f"rows.{name}.data: {wrong}" for one in _words(row.get("data")) for wrong in _unknown(one, data)]
    for name, source in data.items():
        if not _words(source.get("protocols", values.get("protocols"))):
            found.append(f"data.{name}.protocols: neither these data nor the study name a protocol")
    for name, contrast in _section(values, "contrasts").items():
        found += [f"contrasts.{name}.{wrong}" for wrong in _of_contrast(contrast, values, rows, data)]
    return found


def _of_contrast(
    contrast: Mapping[str, Any],
    values: Mapping[str, Any],
    rows: Mapping[str, Mapping[str, Any]],
    data: Mapping[str, Mapping[str, Any]],
) -> Iterator[str]:
    named = _words(contrast.get("data"))
    for side in ("row", "baseline"):
        row = contrast.get(side)
        if isinstance(row, str):
            yield from (f"{side}: {wrong}" for wrong in _unknown(row, rows, "row"))
            trained = _words(rows.get(row, {}).get("data")) or list(data)
            missing = [one for one in named if one in data and one not in trained]
            yield from (f"{side}: {row} is not trained on {one}" for one in missing)
    for one in named:
        yield from (f"data: {wrong}" for wrong in _unknown(one, data))
        protocols = _words(data.get(one, {}).get("protocols", values.get("protocols")))
        wanted = contrast.get("protocol")
        if one in data and isinstance(wanted, str) and not any(fnmatch(name, wanted) for name in protocols):
            yield f"protocol: {wanted!r} is not evaluated on {one} (allowed: {', '.join(protocols)})"
    if len(named) > 1 and any(_layout(data[one]) != "regdb" for one in named if one in data):
        yield "data: several are averaged over the splits of RegDB alone; write one contrast for each"


def _layout(source: Mapping[str, Any]) -> str:
    synthesize = source.get("synthesize")
    return str(synthesize.get("layout", "sysu") if isinstance(synthesize, Mapping) else source.get("kind"))


def _unknown(name: str, allowed: Iterable[str], what: str = "data") -> list[str]:
    try:
        choose(name, allowed, what)
    except UsageError as error:
        return [str(error)]
    return []


def _section(values: Mapping[str, Any], name: str) -> dict[str, Mapping[str, Any]]:
    section = values.get(name)
    entries = section.items() if isinstance(section, Mapping) else ()
    return {str(key): value for key, value in entries if isinstance(value, Mapping)}


def _words(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [str(one) for one in value] if isinstance(value, list) else []
