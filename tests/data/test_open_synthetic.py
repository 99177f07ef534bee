"""The readers of the official layouts on rendered sets: everything a protocol names is there and can be read."""

from pathlib import Path

import numpy as np
import pytest

from vireid.data import open_dataset
from vireid.data.images import read_image


@pytest.mark.parametrize("kind", ["sysu", "regdb", "llcm"])
def test_every_protocol_of_a_rendered_set(kind: str, request: pytest.FixtureRequest):
    root: Path = request.getfixturevalue(f"tiny_{kind}")
    dataset = open_dataset(kind, root)
    assert dataset.synthetic
    assert not dataset.restricted
    assert ("visible-to-visible" in dataset.protocols()) == (kind != "regdb")
    for name in dataset.protocols():
        protocol = dataset.protocol(name)
        identity, modality = (protocol.images[column].to_numpy() for column in ("identity", "modality"))
        trained = set(identity[protocol.training_rows])
        for trial in protocol.trials():
            assert set(modality[trial.query]) == {str(protocol.query_modality)}
            assert set(modality[trial.gallery]) == {str(protocol.gallery_modality)}
            assert not trained & set(identity[trial.query])
            correct = (identity[trial.query][:, None] == identity[trial.gallery]) & ~trial.invalid
            assert correct.any(axis=1).sum() > 0
    image = read_image(dataset.images.path[0])
    assert image.dtype == np.uint8
    assert image.shape[2] == 3
