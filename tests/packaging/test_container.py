"""Container, compose file and bill of materials, as far as they can be checked without a container engine."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from vireid.cli.app import app

ROOT = Path(__file__).parents[2]
CONTAINERFILE = (ROOT / "Containerfile").read_text(encoding="utf-8")
SERVICE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]["vireid"]


def instructions(name: str) -> list[str]:
    joined = CONTAINERFILE.replace("\\\n", " ")
    return [line.removeprefix(name).strip() for line in joined.splitlines() if line.startswith(f"{name} ")]


def tool(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def test_the_containerfile_is_without_findings() -> None:
    done = subprocess.run([tool("hadolint"), str(ROOT / "Containerfile")], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_the_process_is_not_root_and_says_whether_it_is_ready() -> None:
    assert instructions("USER") == ["10001:10001"] == [SERVICE["user"]]
    assert "/health/ready" in CONTAINERFILE.split("HEALTHCHECK")[1]
    probe = json.loads(re.findall(r"CMD (\[\"python.*\])", CONTAINERFILE)[0])
    compile(probe[-1], "probe", "exec")


def test_what_is_copied_is_there_and_sent_to_the_build() -> None:
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [word for line in instructions("COPY") if "--from" not in line for word in line.split()[:-1]]
    assert copied
    assert {word.removeprefix("./") for word in copied} == sent
    assert not [name for name in sent if not (ROOT / name).exists()]


@pytest.mark.parametrize("words", [json.loads(instructions("CMD")[-1]), SERVICE["command"]])
def test_the_command_is_understood(words: list[str]) -> None:
    command: Any = get_command(app)
    command.commands[words[0]].make_context("vireid", words[1:])
    port = next(option.default for option in command.commands["serve"].params if option.name == "port")
    assert instructions("EXPOSE") == [str(port)]
    assert f"127.0.0.1:{port}/health/ready" in CONTAINERFILE
    assert SERVICE["ports"] == [f"127.0.0.1:{port}:{port}"]


def test_compose_takes_away_what_the_service_does_not_need() -> None:
    assert SERVICE["read_only"]
    assert SERVICE["cap_drop"] == ["ALL"]
    assert SERVICE["security_opt"] == ["no-new-privileges:true"]
    assert not SERVICE.get("privileged", False)
    named = [volume.split(":") for volume in SERVICE["volumes"]]
    assert [parts[1] for parts in named if parts[-1] != "ro"] == instructions_volume()
    assert (ROOT / SERVICE["build"]["dockerfile"]).is_file()
    from vireid.service.server import _GRACE

    assert int(SERVICE["stop_grace_period"].removesuffix("s")) > _GRACE


def instructions_volume() -> list[str]:
    return list(json.loads(instructions("VOLUME")[0]))


def test_the_bill_of_materials_names_what_is_locked(tmp_path: Path) -> None:
    [line] = [line.strip() for line in (ROOT / "Makefile").read_text().splitlines() if "cyclonedx-py" in line]
    words = line.replace("$(BIN)/cyclonedx-py", tool("cyclonedx-py")).replace("dist/", f"{tmp_path}/").split()
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True)
    bill = json.loads((tmp_path / "sbom.json").read_text())
    assert (bill["bomFormat"], bill["metadata"]["component"]["name"]) == ("CycloneDX", "vireid")
    locked = re.findall(r"^([\w.-]+)==([\w.+!-]+)", (ROOT / "requirements.txt").read_text(), flags=re.M)
    found = {(part["name"].lower(), part["version"]) for part in bill["components"]}
    assert {(name.lower(), version) for name, version in locked} <= found
