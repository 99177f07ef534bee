"""Drafts of impact assessment and records: filled with what is configured, honest about what is not known."""

import json
import re
from collections.abc import Callable
from pathlib import Path

from service_fixtures import Service, fill, told
from typer.testing import CliRunner

from vireid.cli.app import app
from vireid.errors import UsageError
from vireid.service.documents import DOCUMENTS, drafts
from vireid.service.settings import Retention


def test_drafts_say_what_the_service_is(
    make_service: Callable[..., Service], pictures: Callable[..., list[Path]]
) -> None:
    service = make_service(retention=Retention(images=12, searches=34, reports=5))
    fill(service, pictures)
    service.key("auditor", holder="Ada | *Auditor*")
    admin = service.client("admin")
    register = "/v1/galleries/entrance/purposes"
    told(admin.post(register, json={"name": "theft", "basis": "Act 2\n# not a heading"}), 201)
    told(admin.delete(f"{register}/missing-person"))
    found = drafts(service.core.settings, service.core.database)
    assert set(found) == set(DOCUMENTS)
    records, assessment = found["records-of-processing.md"], found["impact-assessment.md"]
    assert "| `entrance` | visible | 8 | 2 |" in records
    assert "| `entrance` | 12 | 34 |" in records
    assert "files: 5 days" in records
    assert r"Ada \| \*Auditor\*" in records
    for text in (records, assessment):
        assert r"basis as registered: Act 2 \# not a heading" in text
        assert "missing-person" not in text  # withdrawn
        assert "**To fill in:**" in text
        assert not re.findall(r"\{[{%]|None", text)
        assert not re.findall(r"\n{3,}", text)
        assert str(service.core.settings.folder) not in text
    assert "8 visible of 2 named cameras." in assessment
    assert "method agw, trained on made up" in assessment
    assert "not calibrated" in assessment


def test_a_service_with_nothing_in_it_has_drafts_too(make_service: Callable[..., Service], tmp_path: Path) -> None:
    service = make_service(bundles={"gone": tmp_path / "nowhere"})
    for text in drafts(service.core.settings, service.core.database).values():
        assert "There is no gallery yet." in text
    assert "`gone` cannot be opened" in drafts(service.core.settings, service.core.database)["impact-assessment.md"]


def test_the_command_writes_drafts_and_replaces_none(service: Service, tmp_path: Path) -> None:
    folder, out = service.core.settings.folder, tmp_path / "drafts"
    words = ["documents", str(folder), "--out", str(out), "--json"]
    written = CliRunner().invoke(app, words)
    assert set(json.loads(written.stdout)) == set(DOCUMENTS) == {path.name for path in out.iterdir()}
    again = CliRunner().invoke(app, words)
    assert isinstance(again.exception, UsageError)
    assert "may have been edited" in str(again.exception)
