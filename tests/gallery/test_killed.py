"""kill -9 while a gallery is written to: nothing that was acknowledged is lost, nothing deleted comes back."""

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from vireid.gallery import Gallery, LanceStore
from vireid.methods.bundle import Bundle

WRITER = Path(__file__).with_name("killed_writer.py")


def test_a_killed_run_keeps_what_was_written(tmp_path: Path, bundle: Bundle, encoder: Any, make_pictures: Any) -> None:
    make_pictures(tmp_path / "crops", 20)
    program = """
    import os, sys
    sys.path.insert(0, sys.argv[4])
    from killed_writer import Bundle, Gallery, Pixels

    class Killer(Pixels):
        calls = 0

        def embed(self, pictures, modality):
            self.calls += 1
            if self.calls > 6:
                os._exit(9)
            return super().embed(pictures, modality)

    encoder = Killer(Bundle.open(sys.argv[2]).digest)
    Gallery.build(sys.argv[1], sys.argv[2], sys.argv[3], modality="visible", encoder=encoder, batch_size=2)
    """
    arguments = [str(tmp_path / "g"), str(bundle.path), str(tmp_path / "crops"), str(WRITER.parent)]
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program), *arguments], check=False)
    assert done.returncode == 9
    assert len(Gallery.open(tmp_path / "g")) == 8  # four batches of two; two more were embedded and not yet written
    gallery = Gallery.build(tmp_path / "g", bundle, tmp_path / "crops", modality="visible", encoder=encoder)
    assert len(gallery) == 20
    assert gallery.report is not None
    assert (gallery.report.added, gallery.report.unchanged) == (12, 8)


SLOW = [pytest.mark.slow, pytest.mark.timeout(3000)]


@pytest.mark.parametrize(
    ("kills", "held"), [(3, 5), pytest.param(20, 5, marks=SLOW), pytest.param(20, 50_000, marks=SLOW)]
)
def test_kills_in_the_middle_of_additions_deletions_and_compactions(
    kills: int,
    held: int,
    tmp_path: Path,
    bundle: Bundle,
    encoder: Any,
    make_pictures: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`held`: entries searched in memory; a larger gallery has codes, which the kills must leave sound too."""
    monkeypatch.setattr(
        "vireid.gallery.gallery.open_store", lambda path, header: LanceStore(path / header.store, in_memory=held)
    )
    crops = [str(path) for path in make_pictures(tmp_path / "crops", 40)]
    path = tmp_path / "g"
    Gallery.build(path, bundle, crops[:20], modality="visible", encoder=encoder)
    present, struck = set(crops[:20]), Counter[str]()
    for number in range(kills):
        lines = run_and_kill(path, bundle, tmp_path / "crops", seed=number, held=held)
        for line in lines:
            if line.get("end") == "add":
                present |= set(line["names"])
            elif line.get("end") == "delete":
                present -= set(line["names"])
        in_flight = lines[-1] if lines and "begin" in lines[-1] else {"begin": "nothing", "names": []}
        struck[in_flight["begin"]] += 1
        added = set(in_flight["names"]) if in_flight["begin"] == "add" else set()
        deleted = set(in_flight["names"]) if in_flight["begin"] == "delete" else set()
        assert present - deleted <= paths(path) <= present | added, "read while the deletion is unfinished"
        Gallery.open(path).compact()
        found = paths(path)
        assert present - deleted <= found <= present | added
        assert not deleted & found or deleted & present <= found, "a deletion happens as a whole or not at all"
        assert all(name.encode() not in everything(path) for name in set(crops) - found - added)
        present = found
        query = random.Random(number).choice(sorted(present))
        answer = Gallery.open(path).search(query, modality="visible", top=99, encoder=encoder)
        assert {hit.path for hit in answer} == present
    assert sum(struck[step] for step in ("add", "delete", "compact")) >= kills / 2, struck
    if kills >= 20:
        assert all(struck[step] for step in ("add", "delete", "compact")), struck


def run_and_kill(path: Path, bundle: Bundle, crops: Path, *, seed: int, held: int) -> list[dict[str, Any]]:
    """What the writer said before it was killed, at a moment chosen by the seed."""
    command = [sys.executable, str(WRITER), str(path), str(bundle.path), str(crops), str(seed), str(held)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        time.sleep(random.Random(seed).uniform(0.0, 0.6))
        os.kill(process.pid, signal.SIGKILL)
        lines += process.stdout.readlines()
    return [json.loads(line) for line in lines if line.endswith("\n")]


def paths(path: Path) -> set[str]:
    store = Gallery.open(path).store
    return set(store.fetch(sorted(store.keys())).table["path"])


def everything(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in path.rglob("*") if file.is_file())
