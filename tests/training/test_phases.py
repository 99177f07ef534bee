"""What a phase trains, and how held-out people are searched where vectors only find candidates."""

from typing import Any

import numpy as np
import pytest
from torch import nn

from vireid.matching import Dot
from vireid.methods.base import ParameterGroup
from vireid.training import pictures
from vireid.training.optimisation import only_these_train
from vireid.types import Embeddings


def test_other_parameters_want_no_gradient_within_a_phase() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    module[1].bias.requires_grad_(False)
    groups = [ParameterGroup(name="first", parameters=[module[0].weight])]

    def wanted() -> set[str]:
        return {name for name, p in module.named_parameters() if p.requires_grad}

    before = wanted()
    with only_these_train(module, groups):
        assert wanted() == {"0.weight"}
    assert wanted() == before == {"0.weight", "0.bias", "1.weight"}
    with pytest.raises(KeyboardInterrupt), only_these_train(module, groups):
        raise KeyboardInterrupt
    assert wanted() == before


class Backwards(Dot):
    """Ranks as the product does, the other way round."""

    exact = False

    def score(self, query: Embeddings[Any], gallery: Embeddings[Any]) -> Any:
        return -super().score(query, gallery)


def test_candidates_are_ranked_by_exact_scores_above_all_others() -> None:
    rng = np.random.default_rng(0)
    query, gallery = (Embeddings(rng.normal(size=(count, 4)).astype(np.float32)) for count in (3, 60))
    product = query.vector @ gallery.vector.T
    np.testing.assert_array_equal(pictures._scores(Dot(), query, gallery), product)
    order = np.argsort(-pictures._scores(Backwards(), query, gallery), axis=1)
    expected = np.argsort(-product, axis=1)
    np.testing.assert_array_equal(order[:, :50], expected[:, :50][:, ::-1])
    np.testing.assert_array_equal(order[:, 50:], expected[:, 50:])
