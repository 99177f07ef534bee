"""The pair network: its cost, and that neither caching, order nor chunks change a score or a gradient."""

import json

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from vireid.networks.cross_interaction import CrossInteraction
from vireid.networks.pair_network import PairNetwork, PatchScoring
from vireid.types import Modality

VISIBLE, INFRARED = Modality.VISIBLE, Modality.INFRARED
SCORINGS = [PatchScoring(), PatchScoring(perceptron=False), PatchScoring(mutual=False, completion=False), None]


def network(*, scoring=SCORINGS[0], channels=8, heads=2, patches=5, blocks=2, dropout=0.0, width=None, kept=None):
    torch.manual_seed(0)
    interaction = CrossInteraction(width or channels, heads=heads, blocks=blocks, dropout=dropout)
    sizes = {"channels": channels, "patches": patches, "width": width, "kept": kept}
    return PairNetwork(interaction, scoring=scoring, **sizes).double()


def tokens(count, seed=0):
    return torch.randn(count, 5, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def all_pairs(pairs, visible, infrared, **options):
    return pairs.all_pairs(pairs.prepare(visible, VISIBLE), pairs.prepare(infrared, INFRARED), **options)


@pytest.mark.parametrize("scoring", SCORINGS)
def test_tiles_of_prepared_pictures_score_as_single_pairs_do(scoring):
    pairs = network(scoring=scoring).eval()
    visible, infrared = tokens(3), tokens(4, seed=1)
    logits, cosines = all_pairs(pairs, visible, infrared, chunk=5)
    for row in range(3):
        for column in range(4):
            one = pairs(
                pairs.prepare(visible[row : row + 1], VISIBLE), pairs.prepare(infrared[column : column + 1], INFRARED)
            )
            torch.testing.assert_close(one.logits[0], logits[row, column], atol=1e-10, rtol=0)
            torch.testing.assert_close(one.cosines[0], cosines[row, column], atol=1e-10, rtol=0)


@pytest.mark.parametrize("scoring", SCORINGS)
def test_chunks_change_no_gradient(scoring):
    visible, infrared = tokens(3), tokens(4, seed=1)
    weights = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    gradients = []
    for chunk in (1, 5, 100):
        pairs = network(scoring=scoring)
        logits, cosines = all_pairs(pairs, visible, infrared, chunk=chunk)
        # coupled over all pairs, as the contrast is
        ((weights[0] * logits).sum().square() + (weights[1] * cosines).logsumexp(1).sum()).backward()
        gradients.append({name: p.grad for name, p in pairs.named_parameters()})
    assert all(value is not None and value.isfinite().all() for value in gradients[0].values())
    for other in gradients[1:]:
        for name, value in gradients[0].items():
            torch.testing.assert_close(other[name], value, atol=1e-10, rtol=1e-10, msg=name)


def test_the_chunk_decides_how_much_memory_a_step_takes(tmp_path):
    """Peaks of all that the allocator gave, of losses and their backward pass, as the profiler saw them."""
    visible, infrared = (torch.randn(12, 24, 32, generator=torch.Generator().manual_seed(n)) for n in (0, 1))
    pairs, peaks, gradients = network(channels=32, patches=24, heads=4).float(), {}, {}
    for chunk in (6, 36, 144):
        pairs.zero_grad()
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
            logits, cosines = all_pairs(pairs, visible, infrared, chunk=chunk)
            (logits.square().mean() + cosines.logsumexp(1).sum()).backward()
        gradients[chunk] = torch.cat([p.grad.flatten() for p in pairs.parameters()]).double()
        seen.export_chrome_trace(str(tmp_path / "trace.json"))
        events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
        totals = [event["args"]["Total Allocated"] for event in events if event.get("name") == "[memory]"]
        peaks[chunk] = max(totals) - totals[0]
    assert peaks[6] < peaks[36] / 2 < peaks[144] / 6
    for other in gradients.values():
        torch.testing.assert_close(other, gradients[6], atol=1e-6, rtol=1e-4)


def test_pairs_that_are_not_looked_at_have_nothing():
    pairs = network().eval()
    looked = torch.tensor([[1, 0, 1, 0], [0, 0, 0, 1], [1, 1, 1, 1]]).bool()
    whole = all_pairs(pairs, tokens(3), tokens(4, seed=1), chunk=5)
    some = all_pairs(pairs, tokens(3), tokens(4, seed=1), chunk=2, looked=looked)
    for found, expected in zip(some, whole, strict=True):
        torch.testing.assert_close(found, expected * looked)


@pytest.mark.parametrize("scoring", SCORINGS)
def test_left_out_patches_score_nothing_and_all_of_them_in_any_order_change_nothing(scoring):
    pairs, sides = network(scoring=scoring, kept=5).eval(), (tokens(2), tokens(2, seed=1))
    expected = pairs(pairs.prepare(sides[0], VISIBLE), pairs.prepare(sides[1], INFRARED))
    order = torch.tensor([[4, 2, 0, 1, 3], [1, 0, 2, 4, 3]])
    mixed = (side.gather(1, order[..., None].expand(-1, -1, 8)) for side in sides)
    found = pairs(*(pairs.prepare(side, m, order) for side, m in zip(mixed, (VISIBLE, INFRARED), strict=True)))
    torch.testing.assert_close(found.logits, expected.logits)
    if scoring is None:
        return
    torch.testing.assert_close(found.scores, expected.scores)
    few = pairs(
        *(
            pairs.prepare(s[:, 1:3], m, order[:, :2] * 0 + torch.tensor([1, 2]))
            for s, m in zip(sides, (VISIBLE, INFRARED), strict=True)
        )
    )
    assert few.scores.shape == (2, 5)
    assert (few.scores[:, [0, 3, 4]] == 0).all()
    assert few.chosen.shape == (2, 2, 2)


def test_the_backward_pass_sees_the_same_dropout():
    visible, infrared = tokens(2), tokens(2, seed=1)
    pairs = network(dropout=0.3)
    found = []
    for checkpointed in (True, False):
        pairs.zero_grad()
        torch.manual_seed(5)
        if checkpointed:
            logits = all_pairs(pairs, visible, infrared, chunk=4)[0].flatten()
        else:
            rows, columns = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1])
            sides = pairs.prepare(visible, VISIBLE), pairs.prepare(infrared, INFRARED)
            logits = pairs(sides[0].rows(rows), sides[1].rows(columns)).logits
        logits.square().sum().backward()
        found.append([p.grad.clone() for p in pairs.parameters()])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_permuting_infrared_patches_changes_no_score():
    pairs = network().eval()
    visible, infrared, order = tokens(2), tokens(2, seed=1), torch.tensor([4, 2, 0, 1, 3])
    left = pairs.prepare(visible, VISIBLE)
    found, shuffled = (pairs(left, pairs.prepare(side, INFRARED)) for side in (infrared, infrared[:, order]))
    torch.testing.assert_close(shuffled.logits, found.logits)
    torch.testing.assert_close(shuffled.scores, found.scores)
    moved = pairs(pairs.prepare(visible[:, order], VISIBLE), pairs.prepare(infrared, INFRARED))
    torch.testing.assert_close(moved.scores, found.scores[:, order])
    assert not torch.allclose(moved.logits, found.logits)


def test_without_scoring_the_logit_is_the_scaled_cosine():
    pairs = network(scoring=None).eval()
    logits, cosines = all_pairs(pairs, tokens(2), tokens(2, seed=1), chunk=3)
    torch.testing.assert_close(logits, 16 * cosines)


def test_a_narrow_network_costs_what_its_width_says():
    pairs = network(channels=24, heads=2, patches=12, blocks=1, width=8).eval()
    given = torch.zeros(1, 12, 24, dtype=torch.float64)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        pairs(pairs.prepare(given, VISIBLE), pairs.prepare(given, INFRARED))
    expected = 2 * 12 * 24 * 8 + 24 * 12 * 8**2 + 5 * 12**2 * 8 + 128 * 13
    assert counter.get_total_flops() == 2 * expected


@pytest.mark.parametrize(("patches", "channels", "heads"), [(12, 24, 3), (20, 16, 4)])
def test_a_pair_costs_what_the_formula_says(patches, channels, heads):
    pairs = network(channels=channels, heads=heads, patches=patches, blocks=3).eval()
    given = torch.zeros(1, patches, channels, dtype=torch.float64)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:  # the fused ones are not counted
        pairs(pairs.prepare(given, VISIBLE), pairs.prepare(given, INFRARED))
    expected = 72 * patches * channels**2 + 13 * patches**2 * channels + 128 * (patches + 1)
    assert counter.get_total_flops() == 2 * expected
