"""Where a place may tell a person, as in the real sets, and that it does there."""

from pathlib import Path

import pytest

from vireid.data import open_dataset
from vireid.data.synthetic import synthesize
from vireid.study.acceptance.exceptions import location_rule, one_walk, same_place


def test_dropping_the_location_rule_inflates_rank1(tiny_sets: dict[str, Path]) -> None:
    found = location_rule(open_dataset("sysu", tiny_sets["sysu"]))
    assert found.value > 5


@pytest.fixture(scope="module")
def llcm_backgrounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("backgrounds") / "llcm"
    synthesize(root, layout="llcm", preset="tiny", seed=0, only="background")
    return root


def test_both_modalities_of_an_llcm_camera_share_their_place(llcm_backgrounds: Path) -> None:
    assert same_place(open_dataset("llcm", llcm_backgrounds)).value > 1.5


def test_both_modalities_of_a_regdb_person_are_one_walk(tiny_sets: dict[str, Path]) -> None:
    assert one_walk(open_dataset("regdb", tiny_sets["regdb"])).met
