"""The pages say what the code says."""

import re
from pathlib import Path

import yaml

from vireid.service.audit import Finding
from vireid.service.marks import Standing
from vireid.service.problems import CODES
from vireid.service.rights import RIGHTS, RULES, Right, Role
from vireid.service.settings import Settings

DOCS = Path(__file__).parents[2] / "docs"
SERVICE, OPERATING = ((DOCS / name).read_text(encoding="utf-8") for name in ("service.md", "operating.md"))


def test_every_code_stands_in_the_table_with_its_status() -> None:
    rows = re.findall(r"^\| (`[a-z`, -]+) \| (\d{3}) \|$", SERVICE, flags=re.M)
    listed = {code: int(status) for codes, status in rows for code in re.findall(r"`([a-z-]+)`", codes)}
    assert listed == {code: status for code, (status, _) in CODES.items()}


def test_every_finding_and_standing_is_explained() -> None:
    kinds = set(re.findall(r"`([a-z]+)` \(", Finding.__doc__ or ""))
    assert len(kinds) == 8
    assert not [kind for kind in kinds if f"`{kind}`" not in OPERATING]
    assert not [standing for standing in Standing if f"`{standing}`" not in SERVICE]


def test_the_settings_that_are_shown_are_the_settings_there_are() -> None:
    [block] = re.findall(r"^```yaml\n(.*?)^```", OPERATING, flags=re.M | re.S)
    shown = Settings.model_validate({"folder": "/service", **yaml.safe_load(block)})
    default = Settings(folder=Path("/service"))
    for name in ("retention", "alarms", "sessions", "limits"):
        assert getattr(shown, name) == getattr(default, name), "the page shows the defaults"


def test_the_table_of_rights_is_the_one_in_force() -> None:
    head, *rows = re.findall(r"^\| (.*) \|$", SERVICE.split("## Roles")[1].split("```")[0], flags=re.M)
    roles = [Role(word.strip()) for word in head.split("|")[1:]]
    assert roles == [Role.READER, Role.OPERATOR, Role.AUDITOR, Role.ADMIN]
    said = {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in (row.split("|") for row in rows)}
    stands_for = {
        "see galleries, counts, purposes": Right.SEE_GALLERIES,
        "see pictures, search, compare, mark, see what matched": Right.SEARCH,
        "add and delete pictures, see jobs": Right.ADD_IMAGES,
        "make and delete galleries, purposes, retention, import from a folder": Right.MANAGE_GALLERIES,
        "make and revoke keys": Right.MANAGE_KEYS,
        "read the audit, alarms, counts": Right.SEE_AUDIT,
        "figures (`/metrics`)": Right.SEE_METRICS,
        "answer requests for access": Right.EXPORT_SUBJECTS,
    }
    for words, right in stands_for.items():
        assert [cell == "yes" for cell in said[words]] == [right in RIGHTS[role] for role in roles], words
    for both in ((Right.SEARCH, Right.SEE_IMAGES), (Right.ADD_IMAGES, Right.DELETE_IMAGES)):
        assert all(both[0] in RIGHTS[role] for role in roles if both[1] in RIGHTS[role])
    assert {rule.right for rule in RULES.values()} - {None} == set(Right)
