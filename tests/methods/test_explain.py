"""The generic explanation on an encoder whose truth is known: it looks at one place of each picture only."""

import numpy as np
import pytest
import torch
from torch import Tensor

from vireid.errors import UsageError
from vireid.methods.base import Method, unit
from vireid.methods.explain import Explanation, Shown, deletion, explain_by_covering
from vireid.options import Options
from vireid.types import Batch, Clock, DataInfo, Embeddings, Modality

GRID = (4, 2)
LOOKED_AT = {Modality.INFRARED: (1, 0), Modality.VISIBLE: (2, 1)}  # row and column of the region


class OneRegion(Method):
    """Compares the colours of one region of 4 x 4 pixels, which lies elsewhere in each modality."""

    name = "one-region"
    title = "test"
    Options = Options

    def losses(self, batch: Batch, clock: Clock) -> dict[str, Tensor]:
        raise NotImplementedError

    def embed(self, images: Tensor, modality: Modality) -> Embeddings[Tensor]:
        row, column = LOOKED_AT[modality]
        region = images[:, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
        return Embeddings(unit(torch.cat([region.flatten(1), torch.ones(len(images), 1)], dim=1)))


@pytest.fixture
def method() -> Method:
    return OneRegion(Options(), DataInfo(identities=None, image_size=(16, 8)))


@pytest.fixture
def pair() -> tuple[Shown, Shown]:
    """Two pictures of noise that show the same thing where the method looks."""
    one, other = (torch.randn(3, 16, 8, generator=torch.Generator().manual_seed(n)) for n in (1, 2))
    other[:, 8:12, 4:8] = one[:, 4:8, 0:4]
    return Shown(image=one, modality=Modality.INFRARED), Shown(image=other, modality=Modality.VISIBLE)


def test_only_the_regions_that_are_looked_at_have_weight(method: Method, pair: tuple[Shown, Shown]) -> None:
    found = explain_by_covering(method, *pair, grid=GRID)
    assert found.score == pytest.approx(1.0, abs=1e-5)
    for weights, place in ((found.query, (1, 0)), (found.candidate, (2, 1))):
        assert weights.shape == GRID
        assert weights[place] > 0.3
        assert np.delete(weights.ravel(), np.ravel_multi_index(place, GRID)) == pytest.approx(0, abs=1e-6)
    [(query, candidate, weight)] = [pair for pair in found.correspondences(3) if pair[2] > 1e-6]
    assert (query, candidate) == (2, 5)
    assert weight > 0.3


def test_weights_are_what_a_plain_loop_finds(method: Method, pair: tuple[Shown, Shown]) -> None:
    found = explain_by_covering(method, *pair, grid=GRID)

    def covered(shown: Shown, region: int | None) -> Tensor:
        image = shown.image.clone()
        if region is not None:
            row, column = divmod(region, GRID[1])
            image[:, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = shown.image.mean(dim=(1, 2))[:, None, None]
        return method.embed(image[None], shown.modality).vector[0]

    whole = float(covered(pair[0], None) @ covered(pair[1], None))
    for i in range(8):
        assert found.query.ravel()[i] == pytest.approx(
            whole - float(covered(pair[0], i) @ covered(pair[1], None)), abs=1e-5
        )
        for j in range(8):
            joint = (
                whole
                - float(covered(pair[0], i) @ covered(pair[1], None))
                - float(covered(pair[0], None) @ covered(pair[1], j))
                + float(covered(pair[0], i) @ covered(pair[1], j))
            )
            assert found.together[i, j] == pytest.approx(joint, abs=1e-5)


def test_deletion_falls_at_once_in_the_right_order_and_later_in_a_wrong_one(
    method: Method, pair: tuple[Shown, Shown]
) -> None:
    found = explain_by_covering(method, *pair, grid=GRID)
    right = deletion(method, *pair, found.candidate, draws=20)
    assert right.ordered.shape == right.shuffled.shape == (9,)
    assert right.ordered[0] == right.shuffled[0] == pytest.approx(found.score)
    assert right.ordered[1:] == pytest.approx(right.ordered[-1], abs=1e-6)  # all is lost with the first region
    assert right.shuffled[-1] == pytest.approx(right.ordered[-1], abs=1e-6)
    assert right.area > 0.1
    assert deletion(method, *pair, -found.candidate, draws=20).area < -0.1
    again = deletion(method, *pair, found.candidate, draws=20)
    assert (again.shuffled == right.shuffled).all()


def test_regions_cover_a_picture_that_the_grid_does_not_divide(method: Method, pair: tuple[Shown, Shown]) -> None:
    found = explain_by_covering(method, *pair, grid=(3, 3))
    assert found.query.shape == (3, 3)
    assert found.together.shape == (9, 9)


def test_each_region_corresponds_once() -> None:
    together = np.array([[3.0, 2.0], [2.5, 1.0]])
    found = Explanation(score=1.0, query=np.zeros((2, 1)), candidate=np.zeros((2, 1)), together=together)
    assert found.correspondences(5) == [(0, 0, 3.0), (1, 1, 1.0)]


def test_training_mode_is_left_as_it_was(method: Method, pair: tuple[Shown, Shown]) -> None:
    method.train()
    method.explain(*pair)
    assert method.training


def test_what_cannot_be_explained_is_refused(method: Method, pair: tuple[Shown, Shown]) -> None:
    with pytest.raises(UsageError, match="one picture"):
        Shown(image=torch.zeros(1, 3, 4, 4), modality=Modality.VISIBLE)
    with pytest.raises(UsageError, match="coarser grid"):
        explain_by_covering(method, *pair, grid=(40, 2))
    with pytest.raises(UsageError, match="draws is 0"):
        deletion(method, *pair, np.zeros(GRID), draws=0)
