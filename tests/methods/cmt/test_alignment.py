"""The prototype decoder and the alignment around it."""

import pytest
import torch

from vireid.methods.cmt.alignment import ModalityAlignment, PrototypeDecoder
from vireid.methods.cmt.options import ModalityOptions
from vireid.types import Modality

every_modality = pytest.mark.parametrize("modality", Modality)


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def decoder() -> PrototypeDecoder:
    torch.manual_seed(0)
    return PrototypeDecoder(3, 8, 2, residual=False)


def make_plain(attention):
    """No query projection, identities for values and the output: every part attends to all alike."""
    with torch.no_grad():
        attention.in_proj_weight[:8] = 0
        attention.in_proj_weight[16:] = torch.eye(8)
        attention.out_proj.weight.copy_(torch.eye(8))
        attention.in_proj_bias.zero_()
        attention.out_proj.bias.zero_()


@every_modality
def test_uniform_attention_gives_the_mean_of_the_refined_parts(modality):
    torch.manual_seed(0)
    alignment = ModalityAlignment(3, 8, ModalityOptions(heads=2)).eval()
    make_plain(alignment.decoder.cross_attention)
    own = draw(5, 3, 8)
    found = alignment(own, modality)
    mean = alignment.encoder(own).mean(dim=1, keepdim=True)
    torch.testing.assert_close(found.made, mean.expand(5, 3, 8), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.complete, own + mean, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.attention, torch.full((5, 3, 3), 1 / 3))


@every_modality
def test_attention_is_over_the_pictures_parts_and_adds_up(decoder, modality):
    refined = draw(5, 3, 8)
    made, attention = decoder(refined, modality)
    assert (made.shape, attention.shape) == ((5, 3, 8), (5, 3, 3))
    torch.testing.assert_close(attention.sum(dim=2), torch.ones(5, 3))
    moved, _ = decoder(refined[:, [2, 0, 1]], modality)
    torch.testing.assert_close(moved, made, msg="keys and values come from the picture, in any order")


def test_a_picture_asks_the_other_modalitys_prototypes(decoder):
    refined = draw(5, 3, 8)
    visible, infrared = (decoder(refined, modality)[0] for modality in Modality)
    assert not torch.allclose(visible, infrared)
    banks = decoder.prototypes
    banks["visible"], banks["infrared"] = banks["infrared"], banks["visible"]
    torch.testing.assert_close(decoder(refined, Modality.INFRARED)[0], visible)
    torch.testing.assert_close(decoder(refined, Modality.VISIBLE)[0], infrared)
    with torch.no_grad():
        banks["visible"].add_(1 + draw(3, 8))
    torch.testing.assert_close(decoder(refined, Modality.VISIBLE)[0], infrared, msg="its own bank plays no part")


@every_modality
def test_queries_are_the_same_for_every_picture(decoder, modality):
    decoder.eval()
    alone = decoder.queries(modality)
    prototypes = decoder.prototypes[modality.value].expand(4, -1, -1)
    attended, _ = decoder.self_attention(prototypes, prototypes, prototypes)
    for row in decoder.self_norm(prototypes + attended):
        torch.testing.assert_close(row, alone, atol=1e-6, rtol=1e-6)


def test_options_of_the_decoder_add_what_they_say():
    torch.manual_seed(0)
    full = PrototypeDecoder(3, 8, 2, residual=True, feed_forward=16)
    refined = draw(5, 3, 8)
    made, _ = full(refined, Modality.VISIBLE)
    plain, _ = full.cross_attention(full.queries(Modality.INFRARED).expand(5, -1, -1), refined, refined)
    inner = full.cross_norm(full.queries(Modality.INFRARED) + plain)
    torch.testing.assert_close(made, full.last_norm(inner + full.feed_forward(inner)))


def test_without_compensation_the_refined_features_are_the_complete_ones():
    torch.manual_seed(0)
    alignment = ModalityAlignment(3, 8, ModalityOptions(heads=2, compensation=False, consistency="none")).eval()
    own = draw(5, 3, 8)
    found = alignment(own, Modality.VISIBLE)
    torch.testing.assert_close(found.complete, alignment.encoder(own))
    assert found.made is found.attention is None
    assert alignment.decoder is None
