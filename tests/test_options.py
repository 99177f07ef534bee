import pytest
from pydantic import Field

from vireid.errors import RecipeError
from vireid.options import Options, parse


class Inner(Options):
    top_k: int = Field(5, ge=1)
    kind: str = "mutual"


class Outer(Options):
    inner: Inner = Inner()
    rate: float


def test_values_are_read_laxly_and_frozen() -> None:
    found = parse(Outer, {"rate": "3e-4", "inner": {"top_k": "7"}}, where="file")
    assert found.rate == 3e-4
    assert found.inner.top_k == 7
    with pytest.raises(ValueError, match="frozen"):
        found.rate = 1.0


def test_all_mistakes_are_told_at_once_with_path_and_nearest_name() -> None:
    with pytest.raises(RecipeError) as caught:
        parse(Outer, {"inner": {"topk": 3, "top_k": 0}}, where="mine.yaml")
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert any("mine.yaml: inner.topk: no such option; did you mean 'top_k'?" in line for line in lines)
    assert any("inner.top_k" in line and "greater than or equal to 1" in line and "not 0" in line for line in lines)
    assert any("mine.yaml: rate: is required" in line for line in lines)
