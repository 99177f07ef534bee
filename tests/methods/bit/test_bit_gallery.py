"""A gallery of a model whose scores a network makes: built, opened again, and searched as a cascade."""

import numpy as np
from PIL import Image

from vireid.data.images import read_image
from vireid.gallery import Gallery
from vireid.methods.bundle import Preprocessing, save_bundle
from vireid.methods.encoder import open_encoder
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
