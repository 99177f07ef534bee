"""Searches a second over loopback and their 95th percentile, by number of clients; one JSON line each.

    python bench/bench_service.py [--model runs/demo] [--size 100000] [--clients 1 8 32] [--seconds 20] [--folder DIR]

`vireid serve` in a process of its own, with the model as ONNX (a model that is no export is exported first, which needs
torch). The gallery holds drawn unit vectors, twenty to a person, so its answers mean nothing; everything else is as it
is for real: keys, purposes, audit and anchors on the disk, SQLite. Each client sends one picture after the other, of
128 x 256 pixels and different each time. Seconds are those of whole requests, as the client sees them. Models whose
vectors do not suffice for a search (cascades) are refused.
"""

import argparse
import hashlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from vireid.export import export_bundle
from vireid.gallery import Entries
from vireid.gallery.header import new_header, write_header
from vireid.gallery.store import KEY
from vireid.gallery.stores import open_store
from vireid.methods.bundle import Bundle
from vireid.methods.exported import ExportedBundle
from vireid.service import open_state, read_settings
from vireid.service.keys import issue
from vireid.service.state import GalleryRow, ImageRow, Purpose
from vireid.types import Modality, Side

PICTURES, BATCH, GALLERY = 20, 10_000, "bench"
MANY = 1_000_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("runs/demo"))
    parser.add_argument("--size", type=int, default=100_000)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--folder", type=Path, help="where it is written (default: a temporary folder)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        model = Bundle.open(given.model)
        if not isinstance(model, ExportedBundle):
            model = export_bundle(model, folder / "export")
        key = fill(folder / "service", model, given.size)
        port = free_port()
        command = [sys.executable, "-m", "vireid", "serve", folder / "service", "--port", port]
        with subprocess.Popen([str(word) for word in command], stderr=subprocess.DEVNULL) as server:
            try:
                wait_until_ready(port, server)
                pictures = [picture(number) for number in range(256)]
                for clients in given.clients:
                    load(port, key, pictures, clients, min(2.0, given.seconds))  # warms up
                    seconds = load(port, key, pictures, clients, given.seconds)
                    told = {"clients": clients, "gallery": given.size, "cpus": len(os.sched_getaffinity(0))}
                    print(json.dumps(told | figures(seconds, given.seconds)), flush=True)
            finally:
                server.send_signal(signal.SIGTERM)
                server.wait(60)


def fill(folder: Path, model: Bundle, size: int) -> str:
    """A service folder with a gallery of `size` drawn vectors; returns a key for it."""
    folder.mkdir(parents=True)
    limits = {"requests_per_minute": MANY, "searches_per_day": MANY}
    settings = {"bundles": {GALLERY: str(model.path)}, "limits": limits}
    (folder / "service.yaml").write_text(json.dumps(settings))
    matcher = model.matcher()
    if not matcher.exact:
        raise SystemExit("this model searches as a cascade; give one whose vectors suffice")
    probe = model.encoder().embed([np.zeros((256, 128, 3), np.uint8)], Modality.VISIBLE)
    width = np.asarray(matcher.lift(probe, Side.GALLERY)).shape[1]
    place = folder / "galleries" / GALLERY / "index"
    place.mkdir(parents=True)
    header = new_header(model)
    write_header(place, header)
    store = open_store(place, header)
    database, ledger = open_state(read_settings(folder))
    now = datetime.now(UTC)
    owner = {"bundle": GALLERY, "digest": model.digest, "restricted": False, "created": now}
    with ledger.transaction() as (session, record):
        session.add(GalleryRow(id=GALLERY, retention_days=30, search_retention_days=30, **owner))
        session.flush()
        session.add(Purpose(gallery=GALLERY, name="measuring", basis="drawn vectors", created=now, withdrawn=None))
        _, text = issue(session, holder="bench", role="reader")
        record("gallery.create", gallery=GALLERY)
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((max(1, size // PICTURES), width), dtype=np.float32)
    for start in range(0, size, BATCH):
        count = min(BATCH, size - start)
        rows = centres[rng.integers(len(centres), size=count)] + rng.standard_normal((count, width), dtype=np.float32)
        names = [hashlib.sha256(str(start + number).encode()).hexdigest() for number in range(count)]
        table = {KEY: names, "path": [f"{name}.png" for name in names], "modality": "visible", "camera": "1"}
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        store.add(Entries(table=pd.DataFrame(table, dtype=object), lift=unit.astype(np.float32)))
        row = {"gallery": GALLERY, "suffix": ".png", "modality": "visible", "camera": "1", "added": now}
        with database.write() as session:
            session.add_all(ImageRow(id=name, expires=now + timedelta(days=30), **row) for name in names)
    store.compact()
    database.close()
    return text


def picture(number: int) -> bytes:
    pixels: NDArray[np.uint8] = np.random.default_rng(number).integers(0, 256, (256, 128, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG")
    return stream.getvalue()


def load(port: int, key: str, pictures: list[bytes], clients: int, seconds: float) -> list[float]:
    """Seconds of every request that began in that time."""
    found: list[float] = []
    failures: list[str] = []
    until = time.perf_counter() + seconds
    data = {"modality": "infrared", "purpose": "measuring", "case": "bench", "authorisation": "own"}
    data["authorised_until"] = (datetime.now(UTC) + timedelta(days=1)).isoformat()

    def work(number: int) -> None:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as client:
            client.headers["Authorization"] = f"Bearer {key}"
            turn = number
            while time.perf_counter() < until:
                files = {"picture": pictures[turn % len(pictures)]}
                begin = time.perf_counter()
                answer = client.post(f"/v1/galleries/{GALLERY}/searches", files=files, data=data)
                found.append(time.perf_counter() - begin)
                if answer.status_code != 201:
                    failures.append(answer.text)
                    return
                turn += clients

    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise SystemExit(f"a search was not answered: {failures[0]}")
    return found


def figures(seconds: list[float], lasted: float) -> dict[str, float]:
    return {
        "searches": len(seconds),
        "searches a second": round(len(seconds) / lasted, 2),
        "median seconds": round(float(np.median(seconds)), 4),
        "p95 seconds": round(float(np.quantile(seconds, 0.95)), 4),
    }


def wait_until_ready(port: int, server: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + 300
    while time.monotonic() < until and server.poll() is None:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/health/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise SystemExit("the service did not become ready")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
