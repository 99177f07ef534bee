import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from vireid.errors import GalleryError
from vireid.gallery import Entries, ExactStore
from vireid.gallery.filters import check_filters


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


@pytest.mark.parametrize("on_disk", [False, True])
def test_search_equals_brute_force_over_several_additions(tmp_path: Path, on_disk: bool) -> None:
    rng = np.random.default_rng(0)
    lift, queries = unit_rows(rng, 60), unit_rows(rng, 7)
    keys = [f"k{n:02d}" for n in range(60)]
    store = ExactStore(tmp_path / "store" if on_disk else None)
    for start in range(0, 60, 25):
        store.add(entries(keys[start : start + 25], lift[start : start + 25]))
    if on_disk:
        store = ExactStore(tmp_path / "store")
    found = store.search(queries, 9)
    assert found.keys.tolist() == brute_force(queries, lift, keys, 9)
    assert np.allclose(found.scores, -np.sort(-(queries @ lift.T), axis=1)[:, :9], atol=1e-6)


@pytest.mark.parametrize("share", [2, 10])
def test_filtered_search_equals_brute_force_of_the_rest(share: int) -> None:
    rng = np.random.default_rng(1)
    lift, queries = unit_rows(rng, 50), unit_rows(rng, 4)
    keys = [f"k{n:02d}" for n in range(50)]
    cameras = [n % share for n in range(50)]
    store = ExactStore()
    store.add(entries(keys, lift, camera=cameras))
    for wanted in ([1], [0], list(range(1, share))):
        rows = [n for n in range(50) if cameras[n] in wanted]
        expected = brute_force(queries, lift[rows], [keys[n] for n in rows], 6)
        assert store.search(queries, 6, {"camera": wanted}).keys.tolist() == expected
        assert store.count({"camera": wanted}) == len(rows)


def test_ties_stand_in_the_order_of_addition() -> None:
    store = ExactStore()
    store.add(entries(["b", "d"], [[1, 0], [1, 0]]))
    store.add(entries(["a", "c"], [[1, 0], [0, 1]]))
    assert store.search(np.array([[1.0, 0.0]]), 3).keys.tolist() == [["b", "d", "a"]]


def test_equal_vectors_tie_whatever_the_shape_of_the_search() -> None:
    rng = np.random.default_rng(3)
    lift = np.repeat(unit_rows(rng, 1, 2048), 101, axis=0)
    queries = unit_rows(rng, 50, 2048)
    keys = [f"k{n:03d}" for n in range(101)]
    store = ExactStore()
    store.add(entries(keys, lift, camera=[n % 5 for n in range(101)]))
    together = store.search(queries, 7)
    assert together.keys.tolist() == [keys[:7]] * 50
    for place in range(5):
        alone = store.search(queries[place : place + 1], 7)
        assert alone.keys.tolist() == [keys[:7]]
        assert alone.scores.tolist() == together.scores[place : place + 1].tolist()
        few = store.search(queries[place : place + 1], 7, {"camera": [3]})
        assert few.keys.tolist() == [keys[3:38:5]]
        assert few.scores.tolist() == alone.scores.tolist()


def test_fewer_entries_than_wanted() -> None:
    store = ExactStore()
    assert store.search(np.ones((2, 2)), 3).keys.shape == (2, 0)
    store.add(entries(["a"], [[1, 0]]))
    assert store.search(np.ones((2, 2)), 3).keys.tolist() == [["a"], ["a"]]
    assert store.search(np.ones((2, 2)), 3, {"camera": [7]}).keys.shape == (2, 0)


def test_a_later_entry_takes_the_place_of_an_older_one(tmp_path: Path) -> None:
    store = ExactStore(tmp_path)
    store.add(entries(["a", "b"], [[1, 0], [0, 1]]))
    store.add(entries(["a"], [[0, 1]], camera=[5]))
    for each in (store, ExactStore(tmp_path)):
        assert each.count() == 2
        assert each.fetch(["a"]).table["camera"].tolist() == [5]
        assert each.search(np.array([[1.0, 0.0]]), 2).scores.tolist() == [[0.0, 0.0]]


def test_compaction_keeps_answers_and_one_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    store = ExactStore(tmp_path)
    for number in range(4):
        store.add(entries([f"k{number}", "shared"], unit_rows(rng, 2)))
    (tmp_path / ".00000009-left.npz").write_bytes(b"unfinished")
    before = store.search(np.eye(8, dtype=np.float32), 5)
    store.compact()
    assert len(list(tmp_path.iterdir())) == 1
    for each in (store, ExactStore(tmp_path)):
        assert each.search(np.eye(8, dtype=np.float32), 5).keys.tolist() == before.keys.tolist()


def test_a_compaction_that_was_killed_leaves_nothing_twice(tmp_path: Path) -> None:
    store = ExactStore(tmp_path)
    store.add(entries(["a", "b"], [[1, 0], [0, 1]]))
    store.add(entries(["c"], [[1, 0]]))
    parts = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    store.compact()
    for name, data in parts.items():
        (tmp_path / name).write_bytes(data)
    again = ExactStore(tmp_path)
    assert again.count() == 3
    assert sorted(again.search(np.ones((1, 2)), 9).keys[0]) == ["a", "b", "c"]
    assert again.delete(["a"]) == 1
    assert ExactStore(tmp_path).keys() == {"b", "c"}


def test_deletion_reaches_every_file(tmp_path: Path) -> None:
    store = ExactStore(tmp_path)
    store.add(entries(["a", "b"], [[1, 0], [0, 1]], marker=["needle", "hay"]))
    store.add(entries(["c"], [[1, 0]], marker=["needle"]))
    (tmp_path / ".00000003-left.npz").write_bytes(b"needle")
    assert any(b"needle" in file.read_bytes() for file in tmp_path.iterdir())
    assert store.delete(["a", "c", "unknown"]) == 2
    assert not any(b"needle" in file.read_bytes() for file in tmp_path.iterdir())
    for each in (store, ExactStore(tmp_path)):
        assert each.keys() == {"b"}
        assert each.search(np.ones((1, 2)), 3).keys.tolist() == [["b"]]
    assert store.delete(["b"]) == 1
    assert ExactStore(tmp_path).count() == 0
    assert store.delete(["b"]) == 0


def test_columns_that_some_additions_lack_are_unknown_there(tmp_path: Path) -> None:
    store = ExactStore(tmp_path)
    store.add(entries(["a"], [[1, 0]]))
    store.add(entries(["b"], [[1, 0]], identity=[4]))
    again = ExactStore(tmp_path)
    assert again.columns == ["sha256", "path", "modality", "camera", "identity"]
    assert again.fetch(["b", "a"]).table["identity"].tolist() == [4, None]
    assert again.count({"identity": [None]}) == 1
    assert again.count({"identity": ["4"]}) == 1


def test_vectors_of_another_length_are_refused() -> None:
    store = ExactStore()
    store.add(entries(["a"], [[1, 0]]))
    with pytest.raises(GalleryError, match="vectors of 2 values"):
        store.add(entries(["b"], [[1, 0, 0]]))
    with pytest.raises(GalleryError, match="vectors of 2 values"):
        store.search(np.ones((1, 3)), 1)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    store = ExactStore(tmp_path)
    store.add(entries(["a"], [[1, 0]]))
    file = next(tmp_path.iterdir())
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(GalleryError, match=r"00000001\.npz is damaged"):
        ExactStore(tmp_path)


def test_what_was_added_survives_a_kill(tmp_path: Path) -> None:
    program = """
    import os, sys
    from pathlib import Path
    import numpy as np, pandas as pd
    from vireid.gallery import Entries, ExactStore

    store = ExactStore(Path(sys.argv[1]))
    for number in range(3):
        row = {"sha256": str(number), "path": "p", "modality": "visible", "camera": None}
        store.add(Entries(table=pd.DataFrame([row], dtype=object), lift=np.ones((1, 2), np.float32)))
    os._exit(9)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program), str(tmp_path)], check=False)
    assert done.returncode == 9
    assert ExactStore(tmp_path).keys() == {"0", "1", "2"}


def test_filters_are_compared_as_they_are_written() -> None:
    store = ExactStore()
    store.add(entries(["a", "b", "c"], np.eye(3), camera=[2, "2", 2.0], identity=["0007", 7, None]))
    assert store.count({"camera": [2]}) == 3
    assert store.count({"identity": [7]}) == 1
    assert check_filters({"camera": 2, "path": ["x"]}, store.columns) == {"camera": [2], "path": ["x"]}
