"""What is known of published methods: every file is whole, and its recipes are there."""

import math

import pytest

from vireid.errors import UsageError
from vireid.study.published import published, published_names
from vireid.training.recipe import load_recipe, recipe_names


@pytest.mark.parametrize("name", published_names())
def test_a_published_method_has_sources_and_recipes(name: str) -> None:
    paper = published(name)
    assert paper.title
    assert paper.figures
    for kind, rows in paper.figures.items():
        assert f"{paper.recipe}-{kind}" in recipe_names()
        assert load_recipe(f"{paper.recipe}-{kind}").method == paper.method
        assert len({row.protocol for row in rows}) == len(rows)
        for row in rows:
            assert row.source
            assert "rank1" in row.metrics()
            assert all(0 < value < 100 and math.isfinite(value) for value in row.metrics().values())


def test_the_figures_of_cal() -> None:
    cal = published("cal")
    found = {kind: {row.protocol: row.metrics() for row in rows} for kind, rows in cal.figures.items()}
    assert found["sysu"]["all-single-agw"] == {"rank1": 74.66, "rank10": 96.47, "mAP": 71.73}
    assert found["regdb"]["i2v"] == {"rank1": 93.64, "rank10": 99.46, "mAP": 87.61}
    assert "llcm" not in found
    assert "code" in [one.what for one in cal.departures("llcm", trained=True)]


def test_the_figures_of_cmt_aminet_and_bit() -> None:
    cmt, aminet, bit = (published(name) for name in ("cmt", "aminet", "bit"))
    indoor = cmt.of("sysu", "indoor-multi-agw")
    assert indoor is not None
    assert indoor.metrics() == {"rank1": 84.87, "rank10": 99.41, "rank20": 99.97, "mAP": 74.1}
    found = aminet.of("sysu", "all-single-agw")
    assert found is not None
    assert found.metrics() == {"rank1": 74.75, "mAP": 69.71, "mINP": 53.32}
    assert {kind: [row.protocol for row in rows] for kind, rows in bit.figures.items()} == {
        "sysu": ["all-single-agw", "indoor-single-agw"],
        "regdb": ["v2i"],
        "llcm": ["v2i-standard", "i2v"],
    }
    assert bit.figures["regdb"][0].metrics() == {"rank1": 96.12}


def test_the_figures_of_agw_and_caj() -> None:
    assert {"agw", "caj"} <= set(published_names())
    found = published("agw").of("sysu", "all-single-agw")
    assert found is not None
    assert found.metrics() == {"rank1": 47.5, "mAP": 47.65, "mINP": 35.3}
    assert published("agw").of("sysu", "all-single-official") is None
    caj = published("caj")
    assert caj.recipe == "agw-caj"
    assert [one.what for one in caj.departures("sysu", trained=False)] == ["test pictures", "scaling of pictures"]
    assert "picture size" in [one.what for one in caj.departures("llcm", trained=True)]
    with pytest.raises(UsageError, match="did you mean 'agw'"):
        published("awg")
