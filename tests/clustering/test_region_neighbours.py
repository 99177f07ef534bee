import numpy as np
import pytest
import torch

from vireid.clustering import region_neighbours
from vireid.errors import UsageError


def features(count: int, width: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)


BANK = features(40, 12, 0)


def test_the_extremes_of_rho_give_oneself_and_everybody():
    alone = region_neighbours(BANK, BANK, regions=3, rho=0.999999)
    np.testing.assert_array_equal(alone.toarray() > 0, np.eye(40, dtype=bool))
    assert region_neighbours(BANK, BANK, regions=3, rho=-2).nnz == 1600


def test_it_is_the_intersection_over_regions():
    found = region_neighbours(BANK, BANK, regions=3, rho=0.2).toarray() > 0
    expected = np.ones((40, 40), bool)
    for part in np.split(BANK, 3, axis=1):
        unit = part / np.linalg.norm(part, axis=1, keepdims=True)
        products = unit @ unit.T
        expected &= products > 0.2 * products.max(axis=1, keepdims=True)
    np.testing.assert_array_equal(found, expected)
    single = region_neighbours(BANK, BANK, regions=1, rho=0.2).toarray() > 0
    unit = BANK / np.linalg.norm(BANK, axis=1, keepdims=True)
    np.testing.assert_array_equal(single, unit @ unit.T > 0.2 * (unit @ unit.T).max(axis=1, keepdims=True))


def test_fewer_that_must_agree_give_more_neighbours():
    sets = [region_neighbours(BANK, BANK, regions=3, rho=0.3, min_agree=x).toarray() for x in (1, 2, 3)]
    assert ((sets[0] > 0) >= (sets[1] > 0)).all()
    assert ((sets[1] > 0) >= (sets[2] > 0)).all()
    assert set(np.unique(sets[0])) <= {0, 1 / 3, 2 / 3, 1}


@pytest.mark.parametrize("rows", [1, 7, 40, 100])
def test_blocks_and_torch_change_nothing(rows):
    expected = region_neighbours(BANK, BANK, regions=3, rho=0.3)
    for bank in (BANK, torch.from_numpy(BANK)):
        found = region_neighbours(bank, bank, regions=3, rho=0.3, rows=rows)
        np.testing.assert_array_equal(found.toarray(), expected.toarray())


def test_without_a_similar_one_the_most_similar_is_the_neighbour():
    bank = np.array([[-1.0, 0.0], [-0.6, 0.8]])
    found = region_neighbours(np.array([[1.0, 0.0]]), bank, regions=1, rho=0.9)
    np.testing.assert_array_equal(found.toarray(), [[0, 1]])


def test_so_many_of_each_region():
    found = region_neighbours(BANK, BANK, regions=1, kind="topk", top=4)
    np.testing.assert_array_equal(np.diff(found.indptr), np.full(40, 4))
    assert region_neighbours(BANK, BANK, regions=1, kind="topk", top=400).nnz == 1600


def test_nobody_is_no_error_and_misuse_is():
    assert region_neighbours(BANK[:0], BANK, regions=3).shape == (0, 40)
    assert region_neighbours(BANK, BANK[:0], regions=3).shape == (40, 0)
    with pytest.raises(UsageError, match="do not fit"):
        region_neighbours(BANK, BANK, regions=5)
    with pytest.raises(UsageError, match="min_agree is 4; give 1 to 3"):
        region_neighbours(BANK, BANK, regions=3, min_agree=4)
