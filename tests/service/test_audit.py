"""The chain: what was written is found whole; what somebody changed is found."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select, text

from vireid.service.audit import Anchors, Ledger, verify
from vireid.service.audit.chain import BEGINNING, hash_of
from vireid.service.secrets import Secrets
from vireid.service.state import AuditEntry, Database, GalleryRow


@pytest.fixture
def ledger(database: Database, tmp_path: Path) -> Ledger:
    secrets = Secrets(tmp_path / "secrets")
    return Ledger(database, Anchors(tmp_path / "anchors.jsonl", secrets), secrets)


def write(ledger: Ledger, count: int, action: str = "search") -> None:
    for number in range(count):
        ledger.record(action, key="k1", gallery="entrance", case=f"case {number}", images=["a", "b"])


def kinds(ledger: Ledger, **how: Any) -> list[tuple[str, int]]:
    return [(finding.kind, finding.number) for finding in verify(ledger.database, ledger.anchors, **how).findings]


def rewrite(database: Database, change: Callable[[AuditEntry], None], *, begin: int) -> None:
    """What somebody does who knows how entries are hashed: changes one and hashes all that follow anew."""
    with database.write() as session:
        entries = list(session.scalars(select(AuditEntry).order_by(AuditEntry.number)))
        for place, entry in enumerate(entries):
            if entry.number == begin:
                change(entry)
            entry.previous = entries[place - 1].hash if place else BEGINNING
            entry.hash = hash_of(entry)


def test_an_untouched_audit_is_sound(ledger: Ledger) -> None:
    write(ledger, 5)
    found = verify(ledger.database, ledger.anchors)
    assert (found.entries, found.anchors, found.findings, found.sound) == (5, 5, (), True)
    with ledger.database.read() as session:
        entries = list(session.scalars(select(AuditEntry).order_by(AuditEntry.number)))
    assert [entry.number for entry in entries] == [1, 2, 3, 4, 5]
    assert [entry.previous for entry in entries] == [BEGINNING, *(entry.hash for entry in entries[:-1])]


def test_an_edited_row_is_found(ledger: Ledger) -> None:
    write(ledger, 5)
    with ledger.database.write() as session:
        session.get_one(AuditEntry, 3).details = '{"case":"another"}'
    assert kinds(ledger) == [("edited", 3)]


def test_an_edited_row_that_was_hashed_anew_is_found(ledger: Ledger) -> None:
    write(ledger, 5)
    with ledger.database.write() as session:
        entry = session.get_one(AuditEntry, 3)
        entry.actor = "somebody else"
        entry.hash = hash_of(entry)
    assert kinds(ledger) == [("broken", 4), ("rewritten", 3)]


def test_a_removed_row_is_found(ledger: Ledger) -> None:
    write(ledger, 5)
    with ledger.database.write() as session:
        session.execute(delete(AuditEntry).where(AuditEntry.number == 2))
    assert kinds(ledger) == [("removed", 2), ("broken", 3)]


def test_a_cut_tail_is_found(ledger: Ledger) -> None:
    write(ledger, 5)
    with ledger.database.write() as session:
        session.execute(delete(AuditEntry).where(AuditEntry.number > 3))
    assert kinds(ledger) == [("cut", 3)]
    with ledger.database.write() as session:
        session.execute(delete(AuditEntry))
    assert kinds(ledger) == [("cut", 0)]


def test_a_rollback_is_found_also_when_writing_goes_on(ledger: Ledger) -> None:
    write(ledger, 5)
    with ledger.database.write() as session:  # a copy of the database from after entry 3 is put back
        session.execute(delete(AuditEntry).where(AuditEntry.number > 3))
    write(ledger, 4, action="other")
    assert ("rollback", 5) in kinds(ledger), "the fourth says that there is a gap"
    assert {kind for kind, _ in kinds(ledger)} == {"rollback", "rewritten"}


def test_a_rewritten_chain_is_found(ledger: Ledger) -> None:
    write(ledger, 5)
    rewrite(ledger.database, lambda entry: setattr(entry, "actor", "somebody else"), begin=3)
    assert kinds(ledger) == [("rewritten", 3), ("rewritten", 4), ("rewritten", 5)]


def test_anchors_that_were_rewritten_too_are_found_without_our_secret(ledger: Ledger, tmp_path: Path) -> None:
    write(ledger, 3)
    rewrite(ledger.database, lambda entry: setattr(entry, "actor", "somebody else"), begin=2)
    forger = Anchors(tmp_path / "forged.jsonl", Secrets(tmp_path / "other secrets"))
    with ledger.database.read() as session:
        for entry in session.scalars(select(AuditEntry).order_by(AuditEntry.number)):
            forger.append(entry.number, entry.hash)
    ledger.anchors.file.write_bytes(forger.file.read_bytes())
    assert ("forged", 1) in kinds(ledger)


def test_a_rollback_of_database_and_anchors_is_found_with_a_copy_kept_elsewhere(ledger: Ledger, tmp_path: Path) -> None:
    write(ledger, 3)
    older = ledger.anchors.file.read_bytes()
    write(ledger, 2)
    copy = Anchors(tmp_path / "elsewhere.jsonl", ledger.secrets)
    shutil.copy(ledger.anchors.file, copy.file)
    with ledger.database.write() as session:
        session.execute(delete(AuditEntry).where(AuditEntry.number > 3))
    ledger.anchors.file.write_bytes(older)
    assert kinds(ledger) == []
    assert [finding.kind for finding in verify(ledger.database, copy, copied=True).findings] == ["cut"]
    write(ledger, 4, action="other")
    assert kinds(ledger) == []
    found = [finding.kind for finding in verify(ledger.database, copy, copied=True).findings]
    assert found == ["rewritten", "rewritten"]


def test_a_copy_that_is_older_than_the_last_entries_is_no_finding(ledger: Ledger, tmp_path: Path) -> None:
    write(ledger, 3)
    copy = Anchors(tmp_path / "elsewhere.jsonl", ledger.secrets)
    shutil.copy(ledger.anchors.file, copy.file)
    write(ledger, 2)
    assert verify(ledger.database, copy, copied=True).sound


@pytest.mark.parametrize("change", ["drop a line", "edit a line", "no JSON"])
def test_anchors_that_were_touched_are_found(ledger: Ledger, change: str) -> None:
    write(ledger, 4)
    lines = ledger.anchors.file.read_text().splitlines()
    if change == "drop a line":
        del lines[1]
    elif change == "edit a line":
        lines[1] = json.dumps({**json.loads(lines[1]), "hash": "0" * 64})
    else:
        lines[1] = "what"
    ledger.anchors.file.write_text("\n".join(lines) + "\n")
    assert "forged" in {kind for kind, _ in kinds(ledger)}


def test_a_crash_between_entry_and_anchor_is_told_and_covered_by_the_next(ledger: Ledger) -> None:
    write(ledger, 2)
    lines = ledger.anchors.file.read_text().splitlines()
    ledger.anchors.file.write_text(lines[0] + "\n")
    assert kinds(ledger) == [("unanchored", 2)]
    assert ledger.unanchored() == (2, 1)
    write(ledger, 1)
    assert kinds(ledger) == []
    gaps = verify(ledger.database, ledger.anchors).gaps
    assert [(gap.number, gap.text) for gap in gaps] == [(3, "when entry 3 was made, 2 were there and 1 anchored")]


def test_anchors_that_are_cut_back_to_rewrite_what_follows_leave_a_gap(ledger: Ledger) -> None:
    write(ledger, 5)
    lines = ledger.anchors.file.read_text().splitlines()
    ledger.anchors.file.write_text("\n".join(lines[:2]) + "\n")
    rewrite(ledger.database, lambda entry: setattr(entry, "actor", "somebody else"), begin=3)
    write(ledger, 1)
    found = verify(ledger.database, ledger.anchors)
    assert found.sound, "without a copy it looks like a crash"
    assert [(gap.number, gap.text) for gap in found.gaps] == [(6, "when entry 6 was made, 5 were there and 2 anchored")]
    ledger.anchors.file.unlink()
    write(ledger, 1)
    assert [gap.number for gap in verify(ledger.database, ledger.anchors).gaps] == [6, 8]


def test_entry_and_change_are_kept_together_or_not_at_all(ledger: Ledger) -> None:
    with pytest.raises(RuntimeError), ledger.transaction() as (session, record):
        record("gallery.create", gallery="x")
        session.flush()
        raise RuntimeError
    assert verify(ledger.database, ledger.anchors).entries == 0
    assert ledger.anchors.last() is None
    with ledger.transaction() as (session, _):  # a change that nobody records is possible, and anchors nothing
        assert session.get(GalleryRow, "x") is None
    assert ledger.anchors.last() is None


def test_keys_people_and_pictures_are_told_by_pseudonyms_and_vectors_never(ledger: Ledger, tmp_path: Path) -> None:
    ledger.record("mark", key="k1", image="picture one", holder="A. Person", target_key="k2", images=["picture two"])
    with ledger.database.read() as session:
        entry = session.get_one(AuditEntry, 1)
    words = json.dumps([entry.actor, entry.details])
    assert not [word for word in ("k1", "k2", "A. Person", "picture") if f'"{word}' in words or word in entry.details]
    assert entry.actor == ledger.secrets.pseudonym("key", "k1")
    details = json.loads(entry.details)
    assert details["target_key"] == ledger.secrets.pseudonym("key", "k2")
    assert details["images"] == [ledger.secrets.pseudonym("image", "picture two")]
    assert Secrets(tmp_path / "secrets").pseudonym("key", "k1") == entry.actor  # the same after a restart
    assert Secrets(tmp_path / "others").pseudonym("key", "k1") != entry.actor


def test_the_secrets_can_be_read_by_their_user_alone(ledger: Ledger, tmp_path: Path) -> None:
    files = sorted((tmp_path / "secrets").iterdir())
    assert [file.name for file in files] == ["audit-signing.key", "pseudonyms.key"]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert "signature" in asdict(ledger.anchors.append(1, "0" * 64))
    with ledger.database.read() as session:
        assert not session.execute(text("select count(*) from audit")).scalar()
