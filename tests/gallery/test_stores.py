"""Every store answers as a loop over all entries does, and as the others do."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from vireid.errors import GalleryError
from vireid.gallery import Entries, GalleryStore, LanceStore, MemoryStore, Range
from vireid.gallery.filters import check_filters
from vireid.gallery.milvus import MilvusStore
from vireid.gallery.store import Except

Reopen = Callable[[], GalleryStore]


@pytest.fixture(params=["memory", "lance", "lance by codes", "milvus"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Reopen:
    """Opens the store as another process would; memory has no other process."""
    if request.param == "memory":
        store = MemoryStore()
        return lambda: store
    if request.param == "milvus":
        return lambda: MilvusStore(str(tmp_path / "milvus.db"), "people", folder=tmp_path)
    return lambda: LanceStore(tmp_path / "store", in_memory=0 if "codes" in request.param else 50_000)


@pytest.fixture
def store(reopen: Reopen) -> GalleryStore:
    return reopen()


def entries(keys: list[str], lift: Any, **columns: list[Any]) -> Entries:
    count = len(keys)
    table = {
        "sha256": keys,
        "path": [f"/p/{key}.png" for key in keys],
        "modality": ["visible"] * count,
        "camera": [1] * count,
        **columns,
    }
    return Entries(table=pd.DataFrame(table, dtype=object), lift=np.asarray(lift, dtype=np.float32))


def unit_rows(rng: np.random.Generator, count: int, width: int = 8) -> np.ndarray:
    rows = rng.normal(size=(count, width)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def brute_force(queries: np.ndarray, lift: np.ndarray, keys: list[str], k: int) -> list[list[str]]:
    """The slow reference: every product in a loop, sorted by score and then by place."""
    answers = []
    for query in queries:
        scored = sorted((-float(query @ row), place) for place, row in enumerate(lift))
        answers.append([keys[place] for _, place in scored[:k]])
    return answers


def both(store: GalleryStore, reopen: Reopen) -> Iterator[GalleryStore]:
    """The store that wrote, and one that reads what it wrote."""
    yield store
    yield reopen()


def test_search_equals_brute_force_over_several_additions(store: GalleryStore, reopen: Reopen) -> None:
    rng = np.random.default_rng(0)
    lift, queries = unit_rows(rng, 60), unit_rows(rng, 7)
    keys = [f"k{n:02d}" for n in range(60)]
    for start in range(0, 60, 25):
        store.add(entries(keys[start : start + 25], lift[start : start + 25]))
    for each in both(store, reopen):
        found = each.search(queries, 9)
        assert found.keys.tolist() == brute_force(queries, lift, keys, 9)
        assert np.allclose(found.scores, -np.sort(-(queries @ lift.T), axis=1)[:, :9], atol=1e-6)


@pytest.mark.parametrize("share", [2, 10])
def test_filtered_search_equals_brute_force_of_the_rest(store: GalleryStore, share: int) -> None:
    rng = np.random.default_rng(1)
    lift, queries = unit_rows(rng, 50), unit_rows(rng, 4)
    keys = [f"k{n:02d}" for n in range(50)]
    cameras = [n % share for n in range(50)]
    store.add(entries(keys, lift, camera=cameras))
    for wanted in ([1], [0], list(range(1, share))):
        rows = [n for n in range(50) if cameras[n] in wanted]
        expected = brute_force(queries, lift[rows], [keys[n] for n in rows], 6)
        assert store.search(queries, 6, {"camera": wanted}).keys.tolist() == expected
        assert store.count({"camera": wanted}) == len(rows)
        assert store.keys({"camera": wanted}) == {keys[n] for n in rows}


def test_ties_stand_in_the_order_of_addition(store: GalleryStore, reopen: Reopen) -> None:
    store.add(entries(["b", "d"], [[1, 0], [1, 0]]))
    reopen().add(entries(["a", "c"], [[1, 0], [0, 1]]))
    for each in both(store, reopen):
        assert each.search(np.array([[1.0, 0.0]]), 3).keys.tolist() == [["b", "d", "a"]]


def test_equal_vectors_tie_whatever_the_shape_of_the_search(store: GalleryStore) -> None:
    rng = np.random.default_rng(3)
    lift = np.repeat(unit_rows(rng, 1, 2048), 101, axis=0)
    queries = unit_rows(rng, 6, 2048)
    keys = [f"k{n:03d}" for n in range(101)]
    store.add(entries(keys, lift, camera=[n % 5 for n in range(101)]))
    together = store.search(queries, 7)
    assert together.keys.tolist() == [keys[:7]] * 6
    for place in range(3):
        alone = store.search(queries[place : place + 1], 7)
        assert alone.keys.tolist() == [keys[:7]]
        assert alone.scores.tolist() == together.scores[place : place + 1].tolist()
        few = store.search(queries[place : place + 1], 7, {"camera": [3]})
        assert few.keys.tolist() == [keys[3:38:5]]
        assert few.scores.tolist() == alone.scores.tolist()


def test_fewer_entries_than_wanted(store: GalleryStore) -> None:
    assert store.search(np.ones((2, 2)), 3).keys.shape == (2, 0)
    assert (store.count(), store.keys(), store.columns) == (0, set(), ["sha256", "path", "modality", "camera"])
    store.add(entries(["a"], [[1, 0]]))
    assert store.search(np.ones((2, 2)), 3).keys.tolist() == [["a"], ["a"]]
    assert store.search(np.ones((2, 2)), 3, {"camera": [7]}).keys.shape == (2, 0)


def test_a_later_entry_takes_the_place_of_an_older_one(store: GalleryStore, reopen: Reopen) -> None:
    store.add(entries(["a", "b"], [[1, 0], [0, 1]]))
    store.add(entries(["a"], [[0, 1]], camera=[5]))
    for each in both(store, reopen):
        assert each.count() == 2
        assert each.fetch(["a"]).table["camera"].tolist() == [5]
        assert each.search(np.array([[1.0, 0.0]]), 2).scores.tolist() == [[0.0, 0.0]]
        assert each.search(np.array([[1.0, 0.0]]), 2).keys.tolist() == [["b", "a"]]


def test_one_addition_may_hold_a_key_twice(store: GalleryStore) -> None:
    store.add(entries(["a", "b", "a"], [[1, 0], [0, 1], [0, 1]], camera=[1, 2, 3]))
    assert store.count() == 2
    assert store.fetch(["a"]).table["camera"].tolist() == [3]


def test_compaction_keeps_answers(store: GalleryStore, reopen: Reopen) -> None:
    rng = np.random.default_rng(2)
    for number in range(4):
        store.add(entries([f"k{number}", "shared"], unit_rows(rng, 2)))
    before = store.search(np.eye(8, dtype=np.float32), 5)
    store.compact()
    for each in both(store, reopen):
        found = each.search(np.eye(8, dtype=np.float32), 5)
        assert found.keys.tolist() == before.keys.tolist()
        assert found.scores.tolist() == before.scores.tolist()
    store.add(entries(["later"], unit_rows(rng, 1)))
    assert store.keys() == {"k0", "k1", "k2", "k3", "shared", "later"}


def test_what_is_deleted_is_gone(store: GalleryStore, reopen: Reopen) -> None:
    store.add(entries(["a", "b"], [[1, 0], [0, 1]], marker=["needle", "hay"]))
    store.add(entries(["c"], [[1, 0]], marker=["needle"]))
    assert store.delete(["a", "c", "unknown"]) == 2
    for each in both(store, reopen):
        assert each.keys() == {"b"}
        assert each.count({"marker": ["needle"]}) == 0
        assert each.search(np.ones((1, 2)), 3).keys.tolist() == [["b"]]
        assert len(each.fetch(["a", "c"])) == 0
    assert store.delete(["b"]) == 1
    assert reopen().count() == 0
    assert store.search(np.ones((1, 2)), 3).keys.shape == (1, 0)
    assert store.delete(["b"]) == 0
    store.add(entries(["d"], [[1, 0]]))
    assert reopen().keys() == {"d"}


def test_columns_that_some_additions_lack_are_unknown_there(store: GalleryStore, reopen: Reopen) -> None:
    store.add(entries(["a"], [[1, 0]]))
    store.add(entries(["b"], [[1, 0]], identity=[4]))
    for again in both(store, reopen):
        assert again.columns == ["sha256", "path", "modality", "camera", "identity"]
        assert again.fetch(["b", "a"]).table["identity"].tolist() == [4, None]
        assert again.count({"identity": [None]}) == 1
        assert again.count({"identity": ["4"]}) == 1
        assert again.count({"identity": [None, 4]}) == 2


def test_any_name_and_any_text_can_be_filtered_by(store: GalleryStore) -> None:
    names = ["O'Neill", 'say "so"', "a\\b%_", "naïve 人", ""]
    store.add(entries([f"k{n}" for n in range(5)], np.eye(5), **{"Wer? (Name_1.ä)": names}))
    for number, name in enumerate(names):
        assert store.keys({"Wer? (Name_1.ä)": [name]}) == {f"k{number}"}
    assert store.fetch(["k3"]).table["Wer? (Name_1.ä)"].tolist() == ["naïve 人"]


def test_filters_are_compared_as_they_are_written(store: GalleryStore) -> None:
    store.add(entries(["a", "b", "c"], np.eye(3), camera=[2, "2", 2.0], identity=["0007", 7, None]))
    assert store.count({"camera": [2]}) == 3
    assert store.count({"identity": [7]}) == 1
    assert store.fetch(["a", "b", "c"]).table["camera"].map(type).tolist() == [int, str, float]
    assert check_filters({"camera": 2, "path": ["x"]}, store.columns) == {"camera": [2], "path": ["x"]}


def test_ranges_of_numbers_and_times(store: GalleryStore, reopen: Reopen) -> None:
    times = ["2026-11-20", "2026-11-21T10:00:00", "2026-11-21T23:59:59+00:00", "2026-11-22T00:30+01:00", "noon", None]
    frames = [1, 2.5, "3", "0004", "nan", None]
    keys = list("abcdef")
    store.add(entries(keys[:3], np.eye(6)[:3], time=times[:3], frame=frames[:3], note=["x"] * 3))
    store.add(entries(keys[3:], np.eye(6)[3:], time=times[3:], frame=frames[3:], note=["7", "y", "1_0"]))
    asked: list[tuple[str, Range, str]] = [
        ("time", Range("2026-11-21", "2026-11-21"), "bcd"),
        ("time", Range(high="2026-11-20"), "a"),
        ("time", Range(low="2026-11-21T10:00:00Z"), "bcd"),
        ("time", Range("2026-11-21T23:30:00", None), "cd"),
        ("time", Range(datetime(2026, 11, 21, 12, tzinfo=UTC), None), "cd"),
        ("frame", Range(2, 3), "bc"),
        ("frame", Range(None, "2.5"), "ab"),
        ("frame", Range(3.0, None), "cd"),
        ("frame", Range(low="2026-01-01"), ""),
        ("time", Range(0, None), ""),
        ("note", Range(7, 7), "d"),
        ("camera", Range(1, 1), "abcdef"),
    ]
    again = reopen()
    for column, wanted, expected in asked:
        assert "".join(sorted(again.keys({column: wanted}))) == expected, (column, wanted)
    found = again.search(np.ones((1, 6)), 9, {"time": Range("2026-11-21", "2026-11-21"), "camera": [1]})
    assert found.keys.tolist() == [["b", "c", "d"]]
    assert store.count({"frame": Range(2, 3)}) == 2


def test_values_can_be_left_out(store: GalleryStore) -> None:
    store.add(entries(list("abcd"), np.eye(4), track=["x", "y", None, "3"]))
    asked: list[tuple[Except, str]] = [
        (Except(["x"]), "bcd"),
        (Except([3, "y"]), "ac"),
        (Except([None]), "abd"),
        (Except(["x", None]), "bd"),
        (Except(["x"], ["x", "y", None]), "bc"),
        (Except(["x"], Range(1, 5)), "d"),
    ]
    for wanted, expected in asked:
        assert "".join(sorted(store.keys({"track": wanted}))) == expected, wanted


def test_arrays_come_back_in_their_shapes(store: GalleryStore, reopen: Reopen) -> None:
    rng = np.random.default_rng(5)
    arrays = {
        "vector": rng.normal(size=(3, 4)).astype(np.float16),
        "parts": rng.normal(size=(3, 2, 5)).astype(np.float16),
        "weight": rng.normal(size=3).astype(np.float32),
    }
    given = entries(["a", "b", "c"], unit_rows(rng, 3))
    store.add(Entries(table=given.table, lift=given.lift, arrays=arrays))
    for each in both(store, reopen):
        found = each.fetch(["c", "a"])
        assert np.array_equal(found.lift, given.lift[[2, 0]])
        assert {name: array.dtype for name, array in found.arrays.items()} == {
            name: array.dtype for name, array in arrays.items()
        }
        assert all(np.array_equal(found.arrays[name], array[[2, 0]]) for name, array in arrays.items())


def test_vectors_of_another_length_are_refused(store: GalleryStore) -> None:
    store.add(entries(["a"], [[1, 0]]))
    with pytest.raises(GalleryError, match="vectors of 2 values"):
        store.add(entries(["b"], [[1, 0, 0]]))
    with pytest.raises(GalleryError, match="vectors of 2 values"):
        store.search(np.ones((1, 3)), 1)


def test_nothing_can_be_fetched_from_nothing(store: GalleryStore) -> None:
    with pytest.raises(GalleryError, match="is empty"):
        store.fetch(["a"])


def test_milvus_reads_everything_where_one_search_gives_too_little(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vireid.gallery.milvus._MOST", 10)
    monkeypatch.setattr("vireid.gallery.milvus._PAGE", 7)
    rng = np.random.default_rng(6)
    lift, queries = unit_rows(rng, 30), unit_rows(rng, 3)
    lift[20] = lift[3]
    keys = [f"k{n:02d}" for n in range(30)]
    milvus, memory = MilvusStore(str(tmp_path / "milvus.db"), "people", folder=tmp_path), MemoryStore()
    for each in (milvus, memory):
        each.add(entries(keys, lift, camera=[n % 2 for n in range(30)]))
    assert milvus.keys() == set(keys)
    for wanted in (None, {"camera": [0]}):
        found, expected = milvus.search(queries, 14, wanted), memory.search(queries, 14, wanted)
        assert found.keys.tolist() == expected.keys.tolist()
        assert found.scores.tolist() == expected.scores.tolist()


def test_what_engines_raise_is_said_plainly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pymilvus import MilvusException

    milvus = MilvusStore(str(tmp_path / "milvus.db"), "people", folder=tmp_path)
    milvus.add(entries(["a"], [[1, 0]]))

    def refuse(*arguments: Any, **options: Any) -> Any:
        raise MilvusException(message="no quorum")

    for name in ("query", "search", "query_iterator", "delete", "upsert"):
        monkeypatch.setattr(milvus._client, name, refuse)
    for work in (milvus.count, milvus.keys, lambda: milvus.search(np.ones((1, 2)), 1), lambda: milvus.fetch(["a"])):
        with pytest.raises(GalleryError, match=r"Milvus at .* did not answer .*no quorum"):
            work()
    with pytest.raises(GalleryError, match="did not answer"):
        milvus.add(entries(["b"], [[1, 0]]))

    lance = LanceStore(tmp_path / "store")
    lance.add(entries(["a"], [[1, 0]]))
    for file in (tmp_path / "store").rglob("*.lance"):
        if file.is_file():
            file.write_bytes(b"damaged")
    again = LanceStore(tmp_path / "store")
    with pytest.raises(GalleryError, match=r"entries\.lance cannot be read or written"):
        again.search(np.ones((1, 2)), 1)
    with pytest.raises(GalleryError, match=r"entries\.lance cannot be read or written"):
        again.delete(["a"])
    for file in (tmp_path / "store").rglob("*.manifest"):
        file.write_bytes(b"damaged")
    with pytest.raises(GalleryError, match=r"entries\.lance cannot be read or written"):
        LanceStore(tmp_path / "store").count()
