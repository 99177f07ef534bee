"""Galleries do without torch where the encoder does."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from vireid.methods.bundle import Bundle


def test_the_package_needs_no_torch() -> None:
    program = "import sys; sys.modules['torch'] = None; import vireid.gallery; import vireid.gallery.sheet"
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_without_torch_the_bundles_own_encoder_names_the_extra(
    tmp_path: Path, bundle: Bundle, make_pictures: Any
) -> None:
    make_pictures(tmp_path / "crops", 2)
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "from vireid.gallery import Gallery\n"
        "Gallery.build(sys.argv[1], sys.argv[2], sys.argv[3], modality='visible')"
    )
    arguments = [str(tmp_path / "g"), str(bundle.path), str(tmp_path / "crops")]
    done = subprocess.run([sys.executable, "-c", program, *arguments], check=False, capture_output=True, text=True)
    assert "MissingExtraError" in done.stderr
    assert not (tmp_path / "g").exists()
