"""The adapter: what it does not see, and what permutations do to it."""

import pytest
import torch

from vireid.methods.cal import adapter as module
from vireid.methods.cal.adapter import Adapter, attend, read


def adapter(**changes: bool) -> Adapter:
    torch.manual_seed(0)
    return Adapter(64, 5, **{"normalise": True, "gate": True, **changes}).double()


def picture(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens (1, 12, 64) and part queries (1, 3, 64), weighted means of them."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.rand(1, 12, 64, generator=generator, dtype=torch.float64)
    weights = torch.rand(1, 3, 12, generator=generator, dtype=torch.float64).softmax(dim=2)
    return tokens, weights @ tokens


@pytest.fixture
def no_epsilon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_EPSILON", 0.0)


@pytest.mark.usefixtures("no_epsilon")
@pytest.mark.parametrize("restyled", ["asking", "read"])
def test_a_change_of_style_leaves_the_attention_alone(restyled: str) -> None:
    tsaa = adapter()
    scale, offset = torch.rand(64, dtype=torch.float64) + 0.5, torch.randn(64, dtype=torch.float64)
    asking, other = picture(1), picture(2)
    before = tsaa(*asking), tsaa(*other)
    if restyled == "asking":
        asking = tuple(values * scale + offset for values in asking)
    else:
        other = tuple(values * scale + offset for values in other)
    after = tsaa(*asking), tsaa(*other)
    attention = attend(after[1].keys, after[0].queries)
    torch.testing.assert_close(attention, attend(before[1].keys, before[0].queries), atol=1e-6, rtol=1e-5)
    changed = 0 if restyled == "asking" else 1
    assert not torch.allclose(after[changed].gates, before[changed].gates)
    assert not torch.allclose(after[changed].tokens, before[changed].tokens)


def test_plain_similarity_does_see_style() -> None:
    tsaa = adapter(normalise=False)
    tokens, queries = picture(1)
    before, after = tsaa(tokens, queries), tsaa(3 * tokens, 3 * queries)
    assert not torch.allclose(attend(after.keys, after.queries), attend(before.keys, before.queries), atol=1e-3)


def test_queries_that_say_nothing_read_the_mean_token() -> None:
    tsaa = adapter()
    for parameter in tsaa.of_queries[-1].parameters():
        torch.nn.init.zeros_(parameter)
    known = tsaa(*picture(1))
    attention = attend(known.keys, known.queries)
    torch.testing.assert_close(attention, torch.full((1, 3, 12), 1 / 12, dtype=torch.float64))
    expected = known.tokens.mean(dim=1, keepdim=True) * known.gates
    torch.testing.assert_close(read(attention, known.tokens, known.gates), expected, atol=1e-6, rtol=1e-6)


def test_the_gate_lies_between_zero_and_one_and_can_be_left_out() -> None:
    gates = adapter()(*picture(1)).gates
    assert ((gates > 0) & (gates < 1)).all()
    plain = adapter(gate=False)
    assert (plain(*picture(1)).gates == 1).all()
    assert not [name for name, _ in plain.named_parameters() if name.startswith("gate")]


def test_queries_keep_their_order_and_positions_have_none() -> None:
    tsaa, (tokens, queries) = adapter(), picture(1)
    known = tsaa(tokens, queries)
    found = read(attend(known.keys, known.queries), known.tokens, known.gates)
    order, places = torch.tensor([2, 0, 1]), torch.randperm(12)
    turned = tsaa(tokens, queries[:, order])
    torch.testing.assert_close(read(attend(turned.keys, turned.queries), tokens, turned.gates), found[:, order])
    moved = tsaa(tokens[:, places], queries)
    torch.testing.assert_close(read(attend(moved.keys, moved.queries), tokens[:, places], moved.gates), found)


def test_a_picture_asked_with_its_own_queries_is_self_refined() -> None:
    one, twin = adapter()(*picture(1)), adapter()(*picture(1))
    own = read(attend(one.keys, one.queries), one.tokens, one.gates)
    crossed = read(attend(twin.keys, one.queries), twin.tokens, one.gates)
    assert torch.equal(own, crossed)


def test_at_the_start_attention_is_neither_even_nor_on_one_position() -> None:
    torch.manual_seed(0)
    tsaa = Adapter(256, 128, normalise=True, gate=True)
    tokens = torch.rand(8, 45, 256)
    known = tsaa(tokens, tokens[:, :4])
    assert 0.5 < float(known.queries.detach().std()) < 2
    attention = attend(known.keys, known.queries)
    entropy = -(attention * attention.log()).sum(dim=2).mean()
    assert 2.0 < float(entropy.detach()) < 3.75  # even: log 45 = 3.81
