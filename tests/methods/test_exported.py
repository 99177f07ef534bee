"""Exports take the place of bundles, without torch; a damaged one is one clear error."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vireid.errors import BundleError, UsageError
from vireid.gallery import Gallery
from vireid.methods.bundle import Bundle, Preprocessing
from vireid.methods.onnx_encoder import inputs_of
from vireid.types import Modality

write_export = runpy.run_path(str(Path(__file__).with_name("made_export.py")))["write_export"]

SEARCH = """
import sys
sys.modules["torch"] = None
import json
from vireid.gallery import Gallery
export, crops, query, out = sys.argv[1:]
gallery = Gallery.build(out, export, crops, modality="visible")
found = Gallery.open(out).search(query, modality="infrared", top=4)
print(json.dumps({"mode": found.mode, "hits": [[hit.path, hit.score] for hit in found.hits]}))
"""


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[Path, Path]:
    """A folder of five pictures and a query beside it."""
    rng = np.random.default_rng(0)
    (tmp_path / "crops").mkdir()
    paths = [tmp_path / "crops" / f"{number}.png" for number in range(5)] + [tmp_path / "query.png"]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (16, 8, 3), dtype=np.uint8) // 4 + rng.integers(0, 190, 3, np.uint8)).save(
            path
        )
    return tmp_path / "crops", paths[-1]


@pytest.mark.parametrize("pairs", [False, True])
def test_an_environment_without_torch_indexes_and_searches(
    tmp_path: Path, pictures: tuple[Path, Path], pairs: bool
) -> None:
    export = write_export(tmp_path / "export", pairs=pairs)
    words = [sys.executable, "-c", SEARCH, str(export), str(pictures[0]), str(pictures[1]), str(tmp_path / "gallery")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    means = {path: _mean(path) for path in sorted(pictures[0].iterdir())}
    asked = _mean(pictures[1])
    if not pairs:
        asked, means = asked / np.linalg.norm(asked), {p: m / np.linalg.norm(m) for p, m in means.items()}
    expected = sorted(((float(mean @ asked), str(path)) for path, mean in means.items()), reverse=True)[:4]
    assert found["mode"] == ("cascade:50" if pairs else "full")
    assert [path for path, _ in found["hits"]] == [path for _, path in expected]
    np.testing.assert_allclose([score for _, score in found["hits"]], [s for s, _ in expected], atol=5e-3)


def _mean(path: Path) -> np.ndarray:
    return ((np.asarray(Image.open(path), np.float64) / 255 - 0.1) / 0.5).mean(axis=(0, 1))


def test_an_export_in_fp32_has_the_hash_of_its_bundle_and_one_in_int8_its_own(tmp_path: Path) -> None:
    same, other = (Bundle.open(write_export(tmp_path / name, precision=name)) for name in ("fp32", "int8"))
    header = (tmp_path / "fp32/bundle.json").read_bytes()
    assert header == (tmp_path / "int8/bundle.json").read_bytes()
    assert same.digest != other.digest
    with pytest.raises(BundleError, match="has no network to open"):
        same.method()


def test_a_gallery_of_another_precision_is_refused(tmp_path: Path, pictures: tuple[Path, Path]) -> None:
    from vireid.errors import GalleryError

    Gallery.build(tmp_path / "gallery", write_export(tmp_path / "fp32"), pictures[0], modality="visible")
    with pytest.raises(GalleryError, match="was built with model"):
        Gallery.open(tmp_path / "gallery", bundle=write_export(tmp_path / "int8", precision="int8"))


def test_damage_is_one_clear_error(tmp_path: Path) -> None:
    missing, changed, header, unnamed = (write_export(tmp_path / name) for name in "abcd")
    (missing / "infrared.onnx").unlink()
    with pytest.raises(BundleError, match=r"infrared\.onnx is missing; copy the whole export again"):
        Bundle.open(missing)
    with (changed / "visible.onnx").open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(BundleError, match=r"visible\.onnx is not the file that was exported"):
        Bundle.open(changed)
    (header / "bundle.json").write_text((header / "bundle.json").read_text().replace('"seed": 0', '"seed": 1'))
    with pytest.raises(BundleError, match=r"bundle\.json is not the file"):
        Bundle.open(header)
    written = json.loads((unnamed / "export.json").read_text())
    del written["files"]["visible.onnx"]
    (unnamed / "export.json").write_text(json.dumps(written))
    with pytest.raises(BundleError, match=r"names no visible\.onnx"):
        Bundle.open(unnamed)


def test_an_operator_set_that_the_runtime_does_not_know_is_said(tmp_path: Path) -> None:
    encoder = Bundle.open(write_export(tmp_path / "export", opset=99)).encoder(device="cpu")
    with pytest.raises(BundleError, match="cannot be run by ONNX Runtime"):
        encoder.embed([np.zeros((16, 8, 3), np.uint8)], Modality.VISIBLE)


def test_a_device_is_known_or_refused(tmp_path: Path) -> None:
    bundle = Bundle.open(write_export(tmp_path / "export"))
    with pytest.raises(UsageError, match="unknown device 'gpu'"):
        bundle.encoder(device="gpu")


def test_pictures_are_normalised_to_the_bit_as_with_torch() -> None:
    torch = pytest.importorskip("torch")
    from vireid.data.transforms import normalise

    pictures = np.random.default_rng(0).integers(0, 256, (3, 16, 8, 3), dtype=np.uint8)
    preprocessing = Preprocessing(height=16, width=8)
    expected = normalise(torch.from_numpy(pictures).permute(0, 3, 1, 2), preprocessing.mean, preprocessing.std)
    np.testing.assert_array_equal(inputs_of(list(pictures), preprocessing), expected.numpy())
