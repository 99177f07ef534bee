"""A gallery of a model whose scores a network makes: built, opened again, searched as a cascade, and explained."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from vireid.data.images import read_image
from vireid.errors import UsageError
from vireid.gallery import Gallery
from vireid.methods.bundle import Preprocessing, save_bundle
from vireid.methods.encoder import open_encoder
from vireid.report.explained_search import explained_search
from vireid.types import Modality


def test_hits_stand_in_the_order_of_the_logits(small, tmp_path, card):
    bundle = save_bundle(tmp_path / "bundle", small(), preprocessing=Preprocessing(height=36, width=24), card=card)
    rng = np.random.default_rng(0)
    folder = tmp_path / "pictures"
    folder.mkdir()
    paths = [folder / f"{number}.png" for number in range(5)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (36, 24, 3), dtype=np.uint8)).save(path)
    query = rng.integers(0, 256, (36, 24, 3), dtype=np.uint8)
    Gallery.build(tmp_path / "gallery", bundle, folder, modality="visible", device="cpu")
    found = Gallery.open(tmp_path / "gallery", device="cpu").search(query, modality="infrared", top=3)
    encoder = open_encoder(bundle, device="cpu")
    asked = encoder.embed([query], Modality.INFRARED)
    scores = bundle.matcher().score(asked, encoder.embed([read_image(p) for p in paths], Modality.VISIBLE))[0]
    order = np.argsort(-scores)[:3]
    assert found.mode == "cascade:50"
    assert [hit.path for hit in found.hits] == [str(paths[place]) for place in order]
    np.testing.assert_allclose([hit.score for hit in found.hits], scores[order], atol=1e-4)


def test_the_first_hits_are_explained_on_a_page(small, tmp_path, card):
    method = small({"tokens": 4})
    bundle = save_bundle(tmp_path / "bundle", method, preprocessing=Preprocessing(height=36, width=24), card=card)
    rng = np.random.default_rng(0)
    (tmp_path / "pictures").mkdir()
    for path in (tmp_path / "query.png", *(tmp_path / "pictures" / f"{number}.png" for number in range(4))):
        Image.fromarray(rng.integers(0, 256, (36, 24, 3), dtype=np.uint8)).save(path)
    gallery = Gallery.build(tmp_path / "gallery", bundle, tmp_path / "pictures", modality="visible", device="cpu")
    found = gallery.search(tmp_path / "query.png", modality="infrared", top=4)
    page = explained_search(found, gallery.bundle, device="cpu")
    assert page.count('class="pair"') == 3
    for hit in found.hits[:3]:
        assert f"Hit {hit.rank}: {hit.path}, visible; score {hit.score:.3f}" in page
    assert found.hits[3].path not in page
    assert page.count("<image") == 6
    hidden = explained_search(replace(found, restricted=True), gallery.bundle, device="cpu")
    assert "<image" not in hidden
    with pytest.raises(UsageError, match="only a search for a picture can be explained"):
        explained_search(replace(found, modality=None), gallery.bundle, device="cpu")
