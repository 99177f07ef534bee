import pytest
import torch
from torch import nn

from vireid.errors import UsageError
from vireid.networks.part_attention import PartAttention


def maps(rows: int = 24, columns: int = 8, channels: int = 32) -> torch.Tensor:
    return torch.randn(2, channels, rows, columns, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("rows", "columns", "parts"), [(24, 8, 4), (18, 9, 3)])
def test_the_shape_stays_and_it_begins_as_the_identity(rows, columns, parts):
    given = maps(rows, columns)
    found, gates = PartAttention(32, parts=parts)(given)
    assert torch.equal(found, given)
    assert gates.shape == (2, 32)


def test_literal_gates_without_weights_are_a_quarter():
    module = PartAttention(32, parts=4, residual="none")
    nn.init.zeros_(module.excite.weight)
    nn.init.zeros_(module.combine.weight)
    nn.init.zeros_(module.combine.bias)
    given = maps()
    found, gates = module(given)
    assert torch.equal(gates, torch.full((2, 32), 0.5))
    assert torch.equal(found, given / 4)


def test_columns_of_a_band_may_change_places_and_bands_swap_their_blocks():
    module, given = PartAttention(32, parts=4), maps()
    shuffled = given.clone()
    shuffled[:, :, :6] = given[:, :, :6].flip(3)
    torch.testing.assert_close(module.channel_gates(shuffled), module.channel_gates(given))
    swapped = torch.cat([given[:, :, 6:12], given[:, :, :6], given[:, :, 12:]], dim=2)
    for before, after in zip(module.pooled(given), module.pooled(swapped), strict=True):
        assert torch.equal(after, before[:, [1, 0, 2, 3]])
    means, maxima = module.pooled(given)
    torch.testing.assert_close(means[0, 1], given[0, :, 6:12].mean((1, 2)))
    torch.testing.assert_close(maxima[0, 3], given[0, :, 18:].amax((1, 2)))


def test_the_channel_gate_has_the_papers_number_of_weights():
    module = PartAttention(768, parts=4, reduction=16)
    assert sum(p.numel() for p in (*module.squeeze.parameters(), *module.excite.parameters())) == 184_320
    shared = PartAttention(768, parts=4, reduction=16, mlp="shared")
    assert shared.squeeze.weight.numel() + shared.excite.weight.numel() == 2 * 768 * 48


def test_bands_that_do_not_divide_the_height_are_refused():
    with pytest.raises(UsageError, match="maps of 24 rows do not divide into 5 bands"):
        PartAttention(32, parts=5)(maps())
    with pytest.raises(UsageError, match="leave nothing to gate"):
        PartAttention(8, parts=2)


def test_gates_are_single_precision_where_the_rest_is_in_half_the_bits():
    module = PartAttention(8, parts=2, reduction=2)
    maps = torch.rand(2, 8, 4, 2, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        gated, gates = module(maps.bfloat16())
    assert (gated.dtype, gates.dtype) == (torch.bfloat16, torch.float32)
