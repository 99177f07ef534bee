"""From words on the command line to groups of evaluated runs."""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from fnmatch import fnmatch
from itertools import takewhile
from pathlib import Path

from vireid.errors import UsageError
from vireid.evaluation.comparison import Group
from vireid.evaluation.records import EVALUATIONS, QueryRecords, stored_in
from vireid.files import digest_of

__all__ = ["find_groups", "select"]


def find_groups(words: Sequence[str], *, protocol: str | None = None, rerank: bool = False) -> list[Group]:
    """Groups of the runs, bundles and evaluation files that `words` name, in their order.

    `NAME=PATH,PATH` is a group; wildcards in it are expanded. Other words are paths: runs whose recipes differ by seed
    alone, trained on the same pictures, become one group, called by what their folders' names begin with.

    Raises:
        UsageError: no such path or evaluation, or two groups of one name.
    """
    found: dict[str, list[QueryRecords]] = {}
    labels: dict[str, list[str]] = {}  # of groups that nobody named
    for word in words:
        name, equals, rest = word.partition("=")
        if equals and not Path(word).exists():
            found.setdefault(name, []).extend(select(path, protocol, rerank=rerank) for path in _expanded(rest))
            continue
        records = select(Path(word), protocol, rerank=rerank)
        key = digest_of([records.origin.configuration or str(Path(word).absolute()), records.origin.trained_on])
        found.setdefault(key, []).append(records)
        labels.setdefault(key, []).append(_label(Path(word)))
    names = [_common(labels[key]) if key in labels else key for key in found]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise UsageError(
            f"two configurations would be called {min(twice)!r}; name them: NAME=RUN,RUN (runs whose recipes differ by "
            "more than the seed, or that were trained on other pictures, are configurations of their own)"
        )
    return [Group(name=name, runs=tuple(records)) for name, records in zip(names, found.values(), strict=True)]


def select(path: Path, protocol: str | None = None, *, rerank: bool = False) -> QueryRecords:
    """The evaluation meant by `path`: that file, or the one of its folder under `protocol` (a name or a pattern).

    Raises:
        UsageError: there is none, or more than one.
    """
    if path.suffix == ".npz" or path.is_file():
        return QueryRecords.load(path)
    if not path.exists():
        raise UsageError(f"there is no run, bundle or evaluation file {path}")
    stored = [records for records in stored_in(path) if (records.result.get("rerank") is not None) == rerank]
    told = f"vireid evaluate {path}" + (" --rerank" if rerank else "")
    if not stored:
        raise UsageError(f"{path} was not evaluated yet{' with re-ranking' if rerank else ''}; run: {told}")
    names = sorted({records.result["protocol"] for records in stored})
    meant = [name for name in names if protocol is None or fnmatch(name, protocol)]
    if not meant:
        raise UsageError(f"{path} was evaluated under {', '.join(names)}; run: {told} --protocol {protocol}")
    if len(meant) > 1:
        raise UsageError(f"{path} was evaluated under {', '.join(meant)}; add --protocol to say which is meant")
    found = [records for records in stored if records.result["protocol"] == meant[0]]
    if len({digest_of(dict(records.fingerprint)) for records in found}) > 1:
        files = ", ".join(f"{records.file_name} ({records.fingerprint['dataset']})" for records in found)
        raise UsageError(f"{path} was evaluated under {meant[0]} on several data sets; name the file: {files}")
    full = [records for records in found if records.result["mode"] == "full"] or found
    if len(full) > 1:
        files = ", ".join(f"{records.file_name} ({records.result['mode']})" for records in full)
        raise UsageError(f"{path} was evaluated in several modes; name the file: {files}")
    return full[0]


def _expanded(rest: str) -> list[Path]:
    """The paths of `PATH,PATH`, wildcards expanded."""
    paths = []
    for part in rest.split(","):
        hits = sorted(glob.glob(part)) if glob.has_magic(part) else [part]  # noqa: PTH207 (absolute patterns too)
        if not part or not hits:
            raise UsageError(f"{part!r} names no path; write NAME=RUN,RUN")
        paths += [Path(hit) for hit in hits]
    return paths


def _label(path: Path) -> str:
    if path.suffix != ".npz":
        return path.absolute().name
    folder = path.absolute().parent
    return folder.parent.name if folder.name == EVALUATIONS else path.stem


def _common(labels: Sequence[str]) -> str:
    """What names begin with: agw-0, agw-1 -> agw."""
    if len(labels) == 1:
        return labels[0]
    return re.sub(r"[-_. ]+(seed)?\d*$", "", _prefix(labels)) or labels[0]


def _prefix(labels: Sequence[str]) -> str:
    return "".join(letters[0] for letters in takewhile(lambda same: len(set(same)) == 1, zip(*labels, strict=False)))
