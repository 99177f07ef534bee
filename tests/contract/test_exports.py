"""Every method is exported, and its export answers as its bundle does. A new method is tested by existing."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from vireid.errors import UsageError
from vireid.export import Int8, export_bundle
from vireid.export.parity import made_up_pictures
from vireid.gallery import Gallery
from vireid.matching.calibration import Calibration, PairCalibration
from vireid.methods import create, names
from vireid.methods.bundle import Bundle, Card, Preprocessing, save_bundle
from vireid.training.recipe import load_recipe
from vireid.types import DataInfo, Modality

pytestmark = pytest.mark.slow

SIZE = (64, 32)
DATA = DataInfo(identities=4, image_size=SIZE, visible_cameras=(1, 2), infrared_cameras=(3,))
SEARCH = """
import sys
sys.modules["torch"] = None
import json
from vireid.gallery import Gallery
export, gallery, query = sys.argv[1:]
found = Gallery.open(gallery, bundle=export).search(query, modality="infrared", top=8)
print(json.dumps([hit.path for hit in found.hits]))
"""


def bundle_of(name: str, folder: Path, card: Card) -> Bundle:
    torch.manual_seed(0)
    method = create(name, data=DATA, **load_recipe(f"{name}-demo").options).eval()
    return save_bundle(folder, method, preprocessing=Preprocessing(height=SIZE[0], width=SIZE[1]), card=card)


@pytest.mark.parametrize("name", names())
def test_an_export_answers_as_its_bundle_does(name: str, tmp_path: Path, card: Card) -> None:
    bundle = bundle_of(name, tmp_path / "bundle", card)
    export = export_bundle(bundle, tmp_path / "export", device="cpu")
    parity = export.parity()
    assert export.digest == bundle.digest
    assert parity["identical"] == parity["lists"] > 0
    assert all(arrays["vector"] <= 1e-4 for arrays in parity["arrays"].values())
    pictures = made_up_pictures(SIZE, 8)
    (tmp_path / "crops").mkdir()
    for number, picture in enumerate(pictures[Modality.VISIBLE]):
        Image.fromarray(picture).save(tmp_path / "crops" / f"{number}.png")
    query = tmp_path / "query.png"
    Image.fromarray(pictures[Modality.INFRARED][0]).save(query)
    gallery = Gallery.build(tmp_path / "gallery", bundle, tmp_path / "crops", modality="visible", device="cpu")
    expected = [hit.path for hit in gallery.search(query, modality="infrared", top=8).hits]
    words = [sys.executable, "-c", SEARCH, str(export.path), str(gallery.path), str(query)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == expected


def test_what_must_not_be_written_over_is_not(tmp_path: Path, card: Card) -> None:
    bundle = bundle_of("agw", tmp_path / "bundle", card)
    with pytest.raises(UsageError, match="exists and is no export"):
        export_bundle(bundle, tmp_path / "bundle")
    with pytest.raises(UsageError, match="int8 learns its ranges"):
        export_bundle(bundle, tmp_path / "export", int8=Int8())


def test_what_scores_mean_goes_with_the_export(
    tmp_path: Path, card: Card, calibration: Callable[..., Calibration], pair: Callable[..., PairCalibration]
) -> None:
    bundle = bundle_of("agw", tmp_path / "bundle", card)
    made = calibration(bundle, infrared_visible=pair(10.0, -2.0))
    export = export_bundle(bundle, tmp_path / "export", device="cpu")
    assert export.calibration() is None
    export.attach(made)
    assert export_bundle(bundle, tmp_path / "export", device="cpu").calibration() == made, "it is kept"
    bundle.attach(made)
    assert export_bundle(bundle, tmp_path / "other", device="cpu").calibration() == made
