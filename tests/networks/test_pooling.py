"""Generalised-mean pooling."""

import pytest
import torch

from vireid.errors import UsageError
from vireid.networks.pooling import GeM, StripeGeM


@pytest.mark.parametrize("constant", [0.0, 1e-5, 0.3, 7.0])
def test_of_a_constant(constant):
    pooled = GeM()(torch.full((2, 3, 4, 5), constant, dtype=torch.float64))
    assert pooled.shape == (2, 3)
    assert torch.allclose(pooled, torch.full_like(pooled, (constant**3 + 1e-12) ** (1 / 3)), rtol=1e-12)


def test_equals_plain_loops():
    maps = torch.rand(2, 3, 4, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    pooled = GeM(4.5)(maps)
    for n in range(2):
        for c in range(3):
            values = [v**4.5 for v in maps[n, c].flatten().tolist()]
            assert pooled[n, c].item() == pytest.approx((sum(values) / 8 + 1e-12) ** (1 / 4.5), rel=1e-12)


def test_gradient_is_finite_where_a_whole_map_is_zero():
    maps = torch.zeros(1, 2, 3, 3, requires_grad=True)
    GeM()(maps).sum().backward()
    assert torch.isfinite(maps.grad).all()


def test_half_precision_maps_are_pooled_in_single_precision():
    assert GeM()(torch.ones(1, 1, 2, 2, dtype=torch.bfloat16)).dtype == torch.float32


def test_an_exponent_that_is_not_positive_is_refused():
    with pytest.raises(UsageError, match="must be positive"):
        GeM(0.0)


@pytest.mark.parametrize("exponent", [1.0, 3.0, 10.0])
def test_a_stripe_of_one_value_gives_that_value(exponent):
    values = torch.tensor([0.5, 2.0, 7.0], dtype=torch.float64)
    maps = values.repeat_interleave(4)[None, None, :, None].expand(2, 5, 12, 3)
    pooled = StripeGeM(3, exponent)(maps)
    assert pooled.shape == (2, 3, 5)
    torch.testing.assert_close(pooled, values[None, :, None].expand(2, 3, 5), rtol=1e-6, atol=0)


def test_stripes_are_means_at_exponent_one_and_near_the_greatest_value_at_a_high_one():
    maps = torch.rand(2, 3, 6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 0.5
    stripes = maps.unflatten(2, (3, 2))
    torch.testing.assert_close(StripeGeM(3, 1.0)(maps), stripes.mean(dim=(3, 4)).transpose(1, 2))
    torch.testing.assert_close(StripeGeM(3, 200.0)(maps), stripes.amax(dim=(3, 4)).transpose(1, 2), rtol=0.02, atol=0)


def test_one_stripe_is_the_whole_map():
    maps = torch.rand(2, 3, 4, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(StripeGeM(1)(maps)[:, 0], GeM()(maps))


def test_stripes_share_a_row_where_the_height_does_not_divide():
    maps = torch.tensor([1.0, 2.0, 3.0])[None, None, :, None]
    torch.testing.assert_close(StripeGeM(2, 1.0)(maps)[0, :, 0], torch.tensor([1.5, 2.5]))


def test_more_stripes_than_rows_and_none_are_refused():
    with pytest.raises(UsageError, match="maps of 3 rows have no 4 stripes"):
        StripeGeM(4)(torch.ones(1, 1, 3, 2))
    with pytest.raises(UsageError, match="stripes is 0"):
        StripeGeM(0)
