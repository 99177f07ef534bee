"""`vireid keys`, `vireid audit`; and the README's three commands, as they stand there."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from service_fixtures import Service, free_port, told
from typer.testing import CliRunner

from vireid.cli.app import app
from vireid.errors import UsageError
from vireid.service import Settings, open_state
from vireid.service.state import AuditEntry

ROOT = Path(__file__).parents[2]


def vireid(*words: object, status: int = 0) -> str:
    found = CliRunner().invoke(app, [str(word) for word in words])
    assert found.exit_code == status, f"{found.output}\n{found.exception!r}"
    return found.stdout


def test_keys_by_command_are_accepted_and_refused_at_once(service: Service) -> None:
    folder = service.core.settings.folder
    words = ("--holder", "A. Person", "--role", "reader", "--gallery", "entrance", "--json")
    made = json.loads(vireid("keys", "create", folder, *words))
    client = service.client(key=made["key"])
    assert told(client.get("/v1/me"))["galleries"] == ["entrance"]
    assert [key["id"] for key in json.loads(vireid("keys", "list", folder, "--json"))] == [made["id"]]
    vireid("keys", "revoke", folder, made["id"])
    told(client.get("/v1/me"), 401)
    plain = vireid("keys", "create", folder, *words[:4]).strip()
    assert told(service.client(key=plain).get("/v1/me"))["galleries"] == ["*"]


def test_audit_verify_says_what_it_found_by_its_exit_code(
    make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    settings = make_settings()
    database, ledger = open_state(settings)
    for _ in range(3):
        ledger.record("search")
    assert json.loads(vireid("audit", "verify", settings.folder, "--json"))["sound"]
    with database.write() as session:
        session.get_one(AuditEntry, 2).actor = "nobody"
    assert "edited: entry 2" in vireid("audit", "verify", settings.folder, status=1)
    found = json.loads(vireid("audit", "verify", settings.folder, "--json", status=1))
    assert (found["sound"], found["entries"], found["findings"][0]["kind"]) == (False, 3, "edited")
    missing = CliRunner().invoke(app, ["audit", "verify", str(tmp_path / "none")])
    assert isinstance(missing.exception, UsageError)


@pytest.mark.slow
def test_the_readme_goes_from_nothing_to_a_search_in_three_commands(tiny_demo: Path, tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8").split("## Search over HTTP")[1]
    [block] = re.findall(r"^```bash\n(.*?)^```", text.split("\n## ")[0], flags=re.M | re.S)
    index, serve, curl = [shlex.split(line) for line in block.replace("\\\n", " ").splitlines()]
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "demo").symlink_to(tiny_demo)
    (tmp_path / "crops").mkdir()
    rng = np.random.default_rng(0)
    for path in ("crops/1.png", "crops/2.png", "night.png"):
        Image.fromarray(rng.integers(0, 255, (60, 30, 3), np.uint8)).save(tmp_path / path)
    program = [sys.executable, "-m", "vireid"]
    subprocess.run([*program, *index[1:]], cwd=tmp_path, check=True, capture_output=True)
    port = free_port()
    command = [*program, *serve[1:], "--port", str(port), "--device", "cpu"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, env=environment) as server:
        try:
            assert server.stdout is not None
            key = server.stdout.readline().removeprefix("first admin key, shown this once: ").strip()
            answer = curled(curl, key=key, port=port, folder=tmp_path)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(60)
    hits = told(answer, 201)["hits"]
    assert [hit["rank"] for hit in hits] == [1, 2]
    assert server.returncode in (0, -signal.SIGTERM)
    assert "sound" in CliRunner().invoke(app, ["audit", "verify", str(tmp_path / "service")]).output


def curled(words: list[str], *, key: str, port: int, folder: Path) -> httpx.Response:
    """What `curl -H HEADER... -F FIELD... URL` sends."""
    headers, data, files = {}, {}, {}
    for option, value in pairwise(words):
        name, _, content = value.partition("=" if option == "-F" else ": ")
        if option == "-H":
            headers[name] = content.replace("$KEY", key)
        elif option == "-F" and content.startswith("@"):
            files[name] = (folder / content[1:]).read_bytes()
        elif option == "-F":
            data[name] = content
    address = words[-1].replace(":8321", f":{port}")
    transport: Any = httpx.HTTPTransport(retries=8)
    with httpx.Client(transport=transport, timeout=60) as client:
        return client.post(address, headers=headers, data=data, files=files)
