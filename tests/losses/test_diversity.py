import pytest
import torch
from torch.nn import functional as F

from vireid.losses.diversity import region_diversity


def test_orthogonal_regions_cost_nothing_equal_ones_one_and_a_single_one_has_no_pair():
    assert float(region_diversity(torch.eye(4)[None].repeat(3, 1, 1))) == 0.0
    assert float(region_diversity(torch.ones(2, 3, 5))) == pytest.approx(1.0, abs=1e-6)
    assert float(region_diversity(torch.randn(4, 1, 5))) == 0.0


def test_the_alike_pair_weighs_more():
    regions = torch.tensor([[[1.0, 0.0, 0.0], [0.8, 0.6, 0.0], [0.0, 0.0, -1.0]]])
    cosines = torch.tensor([0.8, 0.0, 0.0])
    expected = (F.softmax(cosines, dim=0) * cosines).sum()
    torch.testing.assert_close(region_diversity(regions), expected)
    torch.testing.assert_close(region_diversity(3.0 * regions), expected)
