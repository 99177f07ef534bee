"""Codes leave out only what cannot be among the best, whatever the vectors, and files keep what was acknowledged."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from vireid.errors import GalleryError
from vireid.gallery import Entries, LanceStore, MemoryStore
from vireid.gallery.codes import Codes, CodesFile, possible
from vireid.gallery.compiled import turn


def rows_of(kind: str, count: int, width: int) -> NDArray[np.float32]:
    """Vectors of shapes that rounding treats differently."""
    rng = np.random.default_rng(7)
    rows = rng.standard_normal((count, width))
    if kind == "one large value":
        rows[:, 0] *= 50
    elif kind == "near a point":
        rows = 1 + 0.01 * rows
    elif kind == "of all lengths":
        rows *= 10.0 ** rng.uniform(-4, 4, size=(count, 1))
    elif kind == "many zeros":
        rows *= rng.random((count, width)) < 0.02
    elif kind == "few that repeat":
        rows = rows[rng.integers(5, size=count)]
    return rows.astype(np.float32)


def every(codes: Codes) -> NDArray[np.bool_]:
    return np.ones(len(codes), np.bool_)


@pytest.mark.parametrize(
    "kind", ["plain", "one large value", "near a point", "of all lengths", "many zeros", "few that repeat"]
)
@pytest.mark.parametrize("width", [1, 12, 100, 256])
def test_the_best_are_always_among_the_possible(kind: str, width: int) -> None:
    lift = rows_of(kind, 1500, width)
    codes = Codes.of(lift, np.arange(1500))
    rng = np.random.default_rng(8)
    for wanted in (None, rng.random(1500) < 0.5, rng.random(1500) < 0.05, np.arange(1500) == 3, np.zeros(1500, bool)):
        rows = np.flatnonzero(every(codes) if wanted is None else wanted)
        for query in (lift[5], *rng.standard_normal((3, width)).astype(np.float32)):
            scores = lift.astype(np.float64)[rows] @ query.astype(np.float64)
            for k in (1, 10, 400):
                [found] = possible(query, [(codes, wanted)], k)
                assert set(found) <= set(rows)
                assert len(found) >= min(k, len(rows))
                if len(rows):
                    least = np.sort(scores)[-min(k, len(rows))]
                    assert set(rows[scores >= least]) <= set(found), "ties included"


def test_errors_are_bounds_and_few_are_left() -> None:
    lift = rows_of("plain", 4000, 512)
    lift /= np.linalg.norm(lift, axis=1, keepdims=True)
    codes = Codes.of(lift, np.arange(4000))
    signs = np.array([1.0, -1.0], np.float32)
    assert np.allclose(np.linalg.norm(codes.values * codes.scales[:, None], axis=1), 1, atol=0.01)
    assert 0.005 < codes.errors.mean() < 0.01
    [found] = possible(lift[0], [(codes, None)], 10)
    assert len(found) < 40
    row = np.array([3.0, 5.0], np.float32)
    turn(row, signs)
    assert np.allclose(row, np.array([-2.0, 8.0]) / np.sqrt(2))


def test_turning_keeps_inner_products_at_any_width() -> None:
    rng = np.random.default_rng(2)
    for width in (1, 3, 12, 100, 513):
        signs = np.where(rng.random(width) < 0.5, -1, 1).astype(np.float32)
        one, other = rng.standard_normal((2, width)).astype(np.float32)
        before = float(one @ other)
        turn(one, signs)
        turn(other, signs)
        assert float(one @ other) == pytest.approx(before, abs=1e-4)


def test_several_parts_are_searched_as_one() -> None:
    lift = rows_of("plain", 900, 16)
    query = lift[3]
    parts = [Codes.of(lift[a:b], np.arange(a, b)) for a, b in ((0, 5), (5, 600), (600, 900))]
    mask = np.arange(900) % 3 == 0
    found = possible(query, [(part, mask[part.positions]) for part in parts], 7)
    positions = np.concatenate([part.positions[rows] for part, rows in zip(parts, found, strict=True)])
    best = np.flatnonzero(mask)[np.argsort(-(lift @ query)[mask])[:7]]
    assert set(best) <= set(positions)
    assert len(positions) < 60


def test_files_are_appended_to_and_what_a_killed_writer_left_is_cut_off(tmp_path: Path) -> None:
    lift = rows_of("plain", 30, 12)
    file = CodesFile(tmp_path / "codes")
    assert file.read() is None
    file.append([Codes.of(lift[:10], np.arange(10))])
    about = (tmp_path / "codes/codes.json").read_text()
    file.append([Codes.of(lift[10:], np.arange(10, 30))])
    (tmp_path / "codes/codes.json").write_text(about)  # killed before the new ones counted
    assert len(file.read() or []) == 10
    file.append([Codes.of(lift[10:15], np.arange(10, 15)), Codes.of(lift[15:], np.arange(15, 30))])
    read, whole = file.read(), Codes.of(lift, np.arange(30))
    assert read is not None
    for name in ("values", "scales", "errors", "positions"):
        assert np.array_equal(getattr(read, name), getattr(whole, name))
    (tmp_path / "codes/values.bin").write_bytes(b"short")
    with pytest.raises(GalleryError, match="is damaged"):
        file.read()
    file.drop()
    assert not (tmp_path / "codes").exists()


def filled(store: Any, lift: NDArray[np.float32], first: int, stop: int) -> None:
    keys = [f"k{n:05d}" for n in range(first, stop)]
    cameras = [n % 40 for n in range(first, stop)]
    table = {"sha256": keys, "path": keys, "modality": "visible", "camera": cameras}
    store.add(Entries(table=pd.DataFrame(table, dtype=object), lift=lift[first:stop]))


def test_a_large_gallery_answers_exactly_whatever_share_matches(tmp_path: Path) -> None:
    """Above what is held in memory, with entries that have codes, entries that have none yet, and replaced ones."""
    rng = np.random.default_rng(4)
    lift = rng.standard_normal((3000, 32)).astype(np.float32)
    lift /= np.linalg.norm(lift, axis=1, keepdims=True)
    store, reference = LanceStore(tmp_path / "s", in_memory=500), MemoryStore()
    for first, stop in ((0, 400), (400, 1500), (1500, 2900)):
        for each in (store, reference):
            filled(each, lift, first, stop)
    coded = json.loads((tmp_path / "s/codes/codes.json").read_text())
    assert coded == {"count": 2900, "width": 32}, "readers need not code what is larger than memory themselves"
    store.compact()
    for each in (store, reference):
        filled(each, lift, 2900, 3000)  # no codes yet
        filled(each, lift[::-1].copy(), 20, 30)  # other vectors for known keys
    queries = rng.standard_normal((3, 32)).astype(np.float32)
    filters: list[Any] = [None, {"camera": [1]}, {"camera": list(range(20))}, {"camera": list(range(39))}]
    for again in (store, LanceStore(tmp_path / "s", in_memory=500)):
        for wanted in filters:
            expected, found = reference.search(queries, 12, wanted), again.search(queries, 12, wanted)
            assert found.keys.tolist() == expected.keys.tolist()
            assert found.scores.tolist() == expected.scores.tolist()
    store.delete(["k00003", "k02950"])
    reference.delete(["k00003", "k02950"])
    assert json.loads((tmp_path / "s/codes/codes.json").read_text())["count"] == 2998
    for again in (store, LanceStore(tmp_path / "s", in_memory=500)):
        assert again.search(queries, 12).keys.tolist() == reference.search(queries, 12).keys.tolist()


def test_codes_are_made_again_where_they_are_gone_or_of_another_table(tmp_path: Path) -> None:
    lift = rows_of("plain", 200, 8)
    store, other = (LanceStore(tmp_path / name, in_memory=10) for name in ("s", "o"))
    filled(store, lift, 0, 200)
    filled(other, lift, 0, 150)
    for each in (store, other):
        each.compact()
    expected = store.search(lift[:2], 5).keys.tolist()
    CodesFile(tmp_path / "s/codes").drop()
    assert LanceStore(tmp_path / "s", in_memory=10).search(lift[:2], 5).keys.tolist() == expected
    store.compact()
    assert len(CodesFile(tmp_path / "s/codes").read() or []) == 200
    store.delete([f"k{n:05d}" for n in range(50, 60)])
    left = CodesFile(tmp_path / "s/codes").read()
    assert left is not None
    assert len(left) == 190
    removed = Codes.of(lift[50:60], np.arange(50, 60)).values
    held = (tmp_path / "s/codes/values.bin").read_bytes()
    assert all(row.tobytes() not in held for row in removed)
    CodesFile(tmp_path / "o/codes").drop()
    (tmp_path / "s/codes").rename(tmp_path / "o/codes")  # lacks entries of this table
    with pytest.raises(GalleryError, match="does not fit its table; run `vireid gallery compact`"):
        LanceStore(tmp_path / "o", in_memory=10).search(lift[:2], 5)
    other.compact()
    assert len(CodesFile(tmp_path / "o/codes").read() or []) == 150


def test_a_gallery_that_shrinks_into_memory_has_no_codes(tmp_path: Path) -> None:
    lift = rows_of("plain", 30, 8)
    store = LanceStore(tmp_path / "s", in_memory=20)
    filled(store, lift, 0, 30)
    store.compact()
    assert (tmp_path / "s/codes").exists()
    store.delete([f"k{n:05d}" for n in range(15)])
    assert not (tmp_path / "s/codes").exists()
    assert store.search(lift[20:21], 1).keys.tolist() == [["k00020"]]
