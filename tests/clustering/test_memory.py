import numpy as np
import pytest

from vireid.clustering import jaccard_graph, memory, memory_plan, nearest
from vireid.errors import UsageError

GIB = 2**30


def test_the_plan_adds_up_and_is_readable():
    plan = memory_plan(22258, k1=30, k2=6, memory=2 * GIB)
    assert plan.total == sum(size for _, size in (*plan.fixed, *plan.expected))
    assert 50 * 2**20 < plan.total < 200 * 2**20  # two square matrices would be 3.7 GiB
    lines = str(plan).splitlines()
    assert lines[0].split() == ["a", "block", "of", "similarities", "32.0", "MiB"]
    assert lines[-1].split() == ["free", "2.0", "GiB"]
    assert any(line.startswith("distances (about)") for line in lines)


def test_the_plan_of_few_pictures_is_small():
    assert memory_plan(10, k1=30, k2=6).total < 20_000


def test_too_little_memory_is_refused_before_anything_is_computed(people, monkeypatch):
    monkeypatch.setattr("vireid.clustering.jaccard.nearest", None)
    with pytest.raises(
        UsageError, match=r"lists of neighbours would take .* KiB, 1000 B are allowed; take a smaller k1"
    ):
        jaccard_graph(people(300, 10), k1=30, k2=6, eps=0.6, memory=1000)
    with pytest.raises(UsageError, match=r"neighbours would take .* are allowed; give fewer pictures"):
        nearest(people(300, 10), 30, memory=1000)


def test_weights_are_counted_before_they_are_made(people):
    fixed = sum(size for _, size in memory_plan(300, k1=30, k2=6).fixed)
    with pytest.raises(UsageError, match=r"the weights of the neighbourhoods would take .* take a smaller k1"):
        jaccard_graph(people(300, 10), k1=30, k2=6, eps=0.6, memory=fixed + 1000)


def test_a_graph_of_everything_is_refused_with_its_size(people):
    """Copies are all at distance zero of one another: the graph is the square."""
    copies = np.repeat(people(1, 1), 2000, axis=0)
    with pytest.raises(UsageError, match=r"graph of 4000000 distances .* 68\.7 MiB.* drop the copies first"):
        jaccard_graph(copies, k1=30, k2=6, eps=0.6, memory=30 * 2**20)


def test_without_a_limit_what_is_free_counts(people, monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 1000)
    with pytest.raises(UsageError, match="1000 B are free"):
        jaccard_graph(people(300, 10), k1=30, k2=6, eps=0.6)
    monkeypatch.setattr(memory, "available_memory", lambda: None)
    assert "not known" in str(memory_plan(300, k1=30, k2=6))
    jaccard_graph(people(300, 10), k1=30, k2=6, eps=0.6)


def test_a_device_without_room_is_refused(people, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setattr("vireid.clustering.neighbours.free_of_device", lambda device: 5000)
    with pytest.raises(UsageError, match=r"on cpu would take 1\.0 MiB, 4\.9 KiB are free there"):
        nearest(people(300, 10), 5, device="cpu")


def test_what_is_free_is_read_of_machine_and_container(tmp_path, monkeypatch):
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:  8 kB\n")
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    assert memory.available_memory() == 8192
    (tmp_path / "memory.current").write_text("1000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.available_memory() == 8192
    (tmp_path / "memory.max").write_text("4000\n")
    assert memory.available_memory() == 3000
    (tmp_path / "meminfo").unlink()
    (tmp_path / "memory.max").unlink()
    monkeypatch.setattr("os.sysconf", lambda name: 64)
    assert memory.available_memory() == 4096


@pytest.mark.parametrize(("size", "words"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 * GIB, "3.0 GiB")])
def test_bytes_in_words(size, words):
    assert memory.in_words(size) == words
