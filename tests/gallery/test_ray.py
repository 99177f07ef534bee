"""Bulk embedding on a Ray cluster of two machines, both of them this one: the same gallery as without."""

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vireid.errors import GalleryError, MissingExtraError
from vireid.gallery import Gallery
from vireid.gallery.bulk import Bulk
from vireid.methods.bundle import Bundle

_HERE = "127.0.0.2"  # of the loopback; Ray takes 127.0.0.1 for the machine's address elsewhere


def test_ray_is_an_extra(tmp_path: Path, bundle: Bundle, encoder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"vireid\[ray\]"):
        Gallery.build(tmp_path / "g", bundle, ["a.png"], modality="visible", encoder=encoder, ray=True)
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


def _machine() -> dict[str, Any]:
    """A machine of one core, with ports chosen here: one that chooses them itself gives up after some seconds."""
    names = ("metrics_agent", "metrics_export", "dashboard_agent_listen", "runtime_env_agent")
    with ExitStack() as opened:
        ports = {f"{name}_port": opened.enter_context(socket.create_server((_HERE, 0))) for name in names}
        chosen = {name: server.getsockname()[1] for name, server in ports.items()}
    return {"num_cpus": 1, "object_store_memory": 100 << 20, "node_ip_address": _HERE, **chosen}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    here = str(Path(__file__).parent)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_raylet_start_wait_time_s", "300")  # where other work goes on
    monkeypatch.setenv("PYTHONPATH", here)  # the workers load the encoders of the test from there
    monkeypatch.syspath_prepend(here)
    import ray
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={**_machine(), "include_dashboard": False})
    made.add_node(**_machine())
    ray.init(address=made.address, log_to_driver=False, _node_ip_address=_HERE)
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.mark.slow
def test_the_gallery_is_the_same_as_without(tmp_path: Path, bundle: Bundle, cluster: Any, make_pictures: Any) -> None:
    import ray
    from ray_encoders import Failing, Noting

    nodes = tmp_path / "nodes"
    nodes.mkdir()
    encoder: Any = Noting(bundle.digest, nodes)
    crops = tmp_path / "crops"
    paths = make_pictures(crops, 40)
    (crops / "005 again.png").write_bytes(paths[5].read_bytes())
    (crops / "011 broken.png").write_bytes(b"no picture")
    options: dict[str, Any] = {"modality": "visible", "encoder": encoder, "batch_size": 4}

    with pytest.raises(GalleryError, match=r"embedding on Ray failed.*no such card"):
        Gallery.build(tmp_path / "f", bundle, crops, modality="visible", encoder=Failing(bundle.digest), ray=True)  # type: ignore[arg-type]

    first = Gallery.build(tmp_path / "ray", bundle, [str(path) for path in paths[:10]], **options)
    assert len(first) == 10
    assert list(nodes.iterdir()) == []
    spread = Gallery.build(tmp_path / "ray", bundle, crops, ray=True, **options)
    Gallery.build(tmp_path / "plain", bundle, [str(path) for path in paths[:10]], **options)
    plain = Gallery.build(tmp_path / "plain", bundle, crops, **options)
    assert spread.report is not None
    assert plain.report is not None
    assert (spread.report.added, spread.report.unchanged + spread.report.duplicates) == (30, 10)
    assert (spread.report.unchanged, spread.report.duplicates) == (plain.report.unchanged, plain.report.duplicates)
    assert [broken.path for broken in spread.report.broken] == [str(crops / "011 broken.png")]
    assert spread.report.broken == plain.report.broken
    assert {node.name for node in nodes.iterdir()} == {node["NodeID"] for node in ray.nodes()}

    keys = sorted(plain.store.keys())
    ours, others = spread.store.fetch(keys), plain.store.fetch(keys)
    assert np.array_equal(ours.lift, others.lift)
    assert ours.table.equals(others.table)
    query = paths[3]
    assert [hit.path for hit in spread.search(query, modality="infrared", encoder=encoder)] == [
        hit.path for hit in plain.search(query, modality="infrared", encoder=encoder)
    ]
    again = Gallery.build(tmp_path / "ray", bundle, crops, ray=True, **options)
    assert again.report is not None
    assert (again.report.added, again.report.unchanged) == (0, 40)


def test_what_is_sent_to_workers_and_back(tmp_path: Path, bundle: Bundle, encoder: Any, make_pictures: Any) -> None:
    """A worker's part without a cluster: known pictures are not embedded, broken ones are told."""
    import json

    from vireid.gallery.bulk import _pictures, _Worker
    from vireid.gallery.reading import read_ahead

    paths = make_pictures(tmp_path / "crops", 3)
    (tmp_path / "broken.png").write_bytes(b"x")
    rows = [{"path": str(path), "camera": 1} for path in (*paths, tmp_path / "broken.png")]
    read = list(read_ahead(rows, known=set(), size=(16, 8)))
    worker = object.__new__(_Worker)
    worker.encoder, worker.modality, worker.size = encoder, "visible", (16, 8)  # type: ignore[assignment]
    worker.known = frozenset({read[1].sha256})
    answer = worker({"part": [json.dumps(rows)]})
    found = list(_pictures(rows, {name: values[0] for name, values in answer.items()}))
    assert [picture.sha256 for picture in found] == [picture.sha256 for picture in read]
    assert [picture.embedded is not None for picture in found] == [True, False, True, False]
    assert found[3].problem == read[3].problem
    whole = encoder.embed([read[0].pixels, read[2].pixels], "visible")
    for place, picture in enumerate((found[0], found[2])):
        assert picture.embedded is not None
        assert np.array_equal(picture.embedded.vector[0], whole.vector[place])
        assert np.array_equal(picture.embedded.fields["plain"][0], whole.fields["plain"][place])
    assert Bulk(bundle=bundle, encoder=None, device="cpu", batch_size=2)._opener().args[1] == "cpu"  # type: ignore[attr-defined]
