"""`vireid audit verify`: is the audit what was written?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import func, select

from vireid.service.audit.anchors import Anchor, Anchors
from vireid.service.audit.chain import BEGINNING, hash_of
from vireid.service.state import AuditEntry, Database

__all__ = ["Finding", "Verification", "verify"]

_AT_ONCE = 1000


@dataclass(frozen=True)
class Finding:
    """Something that is not as it was written. number: of the entry, 0 where there is none.

    kind: `edited` (an entry says something else than was hashed), `removed` (a number is missing), `broken` (an entry
    does not follow from the one before it), `cut` (entries that were anchored are not there), `rewritten` (an entry is
    sound in itself and is not the one that was anchored), `rollback` (after an entry was anchored, writing went on
    from an older one), `forged` (an anchor that we did not sign, or that does not follow from the one before it),
    `unanchored` (entries after the last anchor).
    """

    kind: str
    number: int
    text: str


@dataclass(frozen=True)
class Verification:
    """What was looked at, and what was found.

    gaps: entries that say that others before them had no anchor when they were made. A service that was killed leaves
    one, and so does somebody who cut the anchors back and changed what came after them; compare with what is known of
    the machine, and with a copy of the anchors that was kept elsewhere.
    """

    entries: int
    anchors: int
    findings: tuple[Finding, ...]
    gaps: tuple[Finding, ...]

    @property
    def sound(self) -> bool:
        return not self.findings


def verify(database: Database, anchors: Anchors, *, copied: bool = False) -> Verification:
    """Read the whole chain and all anchors. A chain that was replaced together with its anchors is found only with
    a copy of the anchors that was kept elsewhere.

    copied: the anchors are such a copy; entries that are younger than it are then nothing to wonder at.
    """
    with anchors.lock, database.read() as session:  # between two entries of a running service
        heads = list(anchors.read())
        last = session.scalar(select(func.max(AuditEntry.number))) or 0
    hashes: dict[int, str] = {}
    gaps: list[Finding] = []
    found = [*_chain(database, hashes, gaps, last), *_anchored(heads, anchors, hashes)]
    if copied:
        found = [finding for finding in found if finding.kind != "unanchored"]
    return Verification(len(hashes), len(heads), tuple(found), tuple(gaps))


def _chain(database: Database, hashes: dict[int, str], gaps: list[Finding], last: int) -> Iterator[Finding]:
    """What is wrong with the entries up to `last`, whose hashes are added to `hashes`, and gaps to `gaps`."""
    expected, previous = 1, BEGINNING
    entries = select(AuditEntry).where(AuditEntry.number <= last).order_by(AuditEntry.number)
    with database.read() as session:
        for entry in session.scalars(entries.execution_options(yield_per=_AT_ONCE)):
            if entry.number > expected:
                yield Finding("removed", expected, f"entries {expected} to {entry.number - 1} are not there")
            if hash_of(entry) != entry.hash:
                yield Finding("edited", entry.number, f"entry {entry.number} says something else than was hashed")
            if entry.previous != previous:
                yield Finding("broken", entry.number, f"entry {entry.number} does not follow from the one before it")
            if entry.action == "audit.unanchored":
                told = json.loads(entry.details)
                text = (
                    f"when entry {entry.number} was made, {told['entries']} were there and {told['anchored']} anchored"
                )
                gaps.append(Finding("gap", entry.number, text))
            hashes[entry.number] = entry.hash
            expected, previous = entry.number + 1, entry.hash


def _anchored(heads: list[Anchor | None], anchors: Anchors, hashes: dict[int, str]) -> Iterator[Finding]:
    last, highest, signature = max(hashes, default=0), 0, BEGINNING
    for line, anchor in enumerate(heads, start=1):
        if anchor is None or not anchors.signed(anchor) or anchor.previous != signature:
            signature = anchor.signature if anchor else signature
            yield Finding("forged", anchor.number if anchor else 0, f"anchor {line} is not as we signed it")
            continue
        signature = anchor.signature
        if anchor.number <= highest:
            text = f"after entry {highest} was anchored, entry {anchor.number} was written anew: an older database"
            yield Finding("rollback", anchor.number, text)
        elif anchor.number in hashes and hashes[anchor.number] != anchor.hash:
            yield Finding("rewritten", anchor.number, f"entry {anchor.number} is not the one that was anchored")
        highest = max(highest, anchor.number)
    if highest > last:
        text = f"entry {highest} was anchored, and the last one there is {last}"
        yield Finding("cut", last, text)
    if last > highest:
        yield Finding("unanchored", last, f"entries {highest + 1} to {last} have no anchor: a crash, or somebody's")
