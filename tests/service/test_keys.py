from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from vireid.errors import UsageError
from vireid.service.keys import Caller, authenticate, issue, list_keys, revoke
from vireid.service.rights import RIGHTS, Right, Role
from vireid.service.state import Database, Key


def made(database: Database, **how: Any) -> tuple[Key, str]:
    with database.write() as session:
        return issue(session, **{"holder": "A. Person", "role": "reader", **how})


def caller(database: Database, text: str) -> Caller | None:
    with database.read() as session:
        return authenticate(session, text)


def test_a_key_is_recognised_and_its_secret_is_kept_nowhere(database: Database) -> None:
    key, text = made(database, galleries=["entrance"], exports=True)
    name, secret = text.split(".")
    assert name == key.id
    assert len(secret) == 43  # 256 bits in base 64
    found = caller(database, text)
    assert found == Caller(key.id, "A. Person", Role.READER, ("entrance",), True)
    with database.read() as session:
        row = session.get_one(Key, key.id)
    assert secret not in repr([getattr(row, column.name) for column in Key.__table__.columns])
    assert made(database)[1] != text


WRONG = ["", ".", "x", "x.y", "{id}", "{id}.", "{id}.{secret}x", "{id}x.{secret}", "{secret}", "é.{secret}"]
WRONG += ["\udcff.\udcff", "'; drop table keys; --.{secret}", "{id}." + "A" * 43]


@pytest.mark.parametrize("wrong", WRONG)
def test_anything_else_is_not(database: Database, wrong: str) -> None:
    key, text = made(database)
    name, secret = text.split(".")
    assert caller(database, wrong.replace("{id}", name).replace("{secret}", secret)) is None
    assert caller(database, text) is not None
    assert key.id == name


def test_revoked_and_expired_keys_are_refused(database: Database) -> None:
    key, text = made(database)
    with database.write() as session:
        assert revoke(session, key.id) is not None
        assert revoke(session, "0" * 16) is None
    assert caller(database, text) is None
    key, text = made(database, days=1)
    with database.write() as session:
        session.get_one(Key, key.id).expires = datetime.now(UTC) - timedelta(seconds=1)
    assert caller(database, text) is None


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"role": "root"}, "root"),
        ({"role": "admn"}, "did you mean 'admin'"),
        ({"holder": "  "}, "holder"),
        ({"galleries": []}, "galleries"),
        ({"days": 0}, "366"),
        ({"days": 3650}, "366"),
        ({"role": "auditor", "exports": True}, "auditor"),
    ],
)
def test_what_a_key_cannot_be_is_said(database: Database, how: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        made(database, **how)


def test_a_key_gives_and_sees_no_more_than_it_has(database: Database) -> None:
    _, text = made(database, role="admin", galleries=["entrance"])
    mine = caller(database, text)
    assert mine is not None
    for galleries in (["*"], ["yard"], ["entrance", "yard"]):
        with pytest.raises(UsageError, match="cannot give more"):
            made(database, galleries=galleries, by=mine)
    with pytest.raises(UsageError, match="cannot export marks and cannot give"):
        made(database, galleries=["entrance"], exports=True, by=mine)
    inside, _ = made(database, galleries=["entrance"], by=mine)
    outside, _ = made(database, galleries=["yard"])
    everywhere, _ = made(database)
    with database.write() as session:
        assert {key.id for key in list_keys(session, by=mine)} == {mine.key, inside.id}
        assert len(list_keys(session)) == 4
        assert revoke(session, outside.id, by=mine) is None
        assert revoke(session, everywhere.id, by=mine) is None
        assert revoke(session, inside.id, by=mine) is not None


def test_the_auditor_is_never_admin_and_nobody_else_sees_the_audit() -> None:
    assert RIGHTS[Role.AUDITOR] == {Right.SEE_GALLERIES, Right.SEE_AUDIT, Right.SEE_METRICS}
    assert [role for role in Role if Right.SEE_AUDIT in RIGHTS[role]] == [Role.AUDITOR]
    assert not [role for role in Role if Right.EXPORT_MARKS in RIGHTS[role]]
