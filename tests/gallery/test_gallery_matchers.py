"""Matchers that are no plain product: searched by their lift, scored by their fields."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vireid.data.images import read_image, resize
from vireid.errors import UsageError
from vireid.gallery import Gallery
from vireid.matching import Dot, create_matcher
from vireid.methods.bundle import Bundle
from vireid.types import Embeddings


class Reversed(Dot):
    """Searches by the vector and ranks by a field, worst first, so that nothing is right by accident."""

    name = "reversed"
    exact = False
    fields = ("plain",)

    def score(self, query: Embeddings[Any], gallery: Embeddings[Any]) -> Any:
        return -(query.fields["plain"] @ gallery.fields["plain"].T)


def test_an_inexact_matcher_is_rescored_with_its_fields(
    tmp_path: Path, bundle: Bundle, encoder: Any, make_pictures: Any, monkeypatch: pytest.MonkeyPatch, reference: Any
) -> None:
    paths = make_pictures(tmp_path / "crops", 60)
    query = make_pictures(tmp_path / "query", 1, seed=5)[0]
    monkeypatch.setattr(Bundle, "matcher", lambda self, **options: Reversed())  # a name that only the method knows
    Gallery.build(tmp_path / "g", bundle, tmp_path / "crops", modality="visible", encoder=encoder)
    gallery = Gallery.open(tmp_path / "g")
    result = gallery.search(query, modality="infrared", top=5, encoder=encoder)
    assert result.mode == "cascade:50"
    first = reference(paths, query, encoder)[:50]
    embedded = {path: encoder.embed([resize(read_image(path), (16, 8))], "visible") for path in first}
    own = encoder.embed([read_image(query)], "infrared")
    scored = sorted(first, key=lambda path: -float(Reversed().score(own, embedded[path])[0, 0]))
    assert [hit.path for hit in result] == scored[:5]
    with pytest.raises(UsageError, match="scores with plain"):
        gallery.search_vectors(own.vector)


class Modulating:
    """Another encoder's stripes as parts; every picture, as a query, doubles some channels and shifts them."""

    def __init__(self, encoder: Any) -> None:
        self.encoder, self.preprocessing, self.digest = encoder, encoder.preprocessing, encoder.digest

    def embed(self, pictures: Any, modality: Any) -> Embeddings[Any]:
        vector = self.encoder.embed(pictures, modality).vector
        parts = vector.reshape(len(vector), 4, 3)
        fields = {"parts": parts, "scale": 1 + 4 * parts[:, 0], "shift": parts[:, 1] - parts[:, 2]}
        return Embeddings(vector, fields)


@pytest.mark.parametrize("name", ["modulated-euclidean", "modulated-cosine"])
def test_a_query_dependent_score_is_searched_by_its_lift(
    name: str, tmp_path: Path, bundle: Bundle, encoder: Any, make_pictures: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = make_pictures(tmp_path / "crops", 40)
    query = make_pictures(tmp_path / "query", 1, seed=5)[0]
    matcher, modulating = create_matcher(name), Modulating(encoder)
    monkeypatch.setattr(Bundle, "matcher", lambda self: matcher)
    Gallery.build(tmp_path / "g", bundle, tmp_path / "crops", modality="visible", encoder=modulating)
    gallery = Gallery.open(tmp_path / "g")
    assert gallery.header.matcher == name
    result = gallery.search(query, modality="infrared", top=5, encoder=modulating)
    assert result.mode == ("full" if matcher.exact else "cascade:50")
    pixels = [resize(read_image(path), (16, 8)) for path in paths]
    own, others = modulating.embed([read_image(query)], "infrared"), modulating.embed(pixels, "visible")
    scores = matcher.score(own, others)[0]
    order = np.argsort(-scores, kind="stable")[:5]
    assert [hit.path for hit in result] == [str(paths[place]) for place in order]
    assert [hit.score for hit in result] == pytest.approx(scores[order], abs=1e-4), "the score, not only its order"
    with pytest.raises(UsageError, match="scores with parts, scale, shift; search with whole embeddings"):
        gallery.search_vectors(own.vector)
