"""A gallery belongs to one model, and refuses every other."""

from pathlib import Path
from typing import Any

import pytest

from vireid.errors import GalleryError, UsageError
from vireid.gallery import Gallery
from vireid.methods.bundle import Bundle


def test_another_model_is_refused_with_the_command_that_rebuilds(
    tmp_path: Path, bundle: Bundle, other_bundle: Bundle, encoder: Any, make_pictures: Any, files_below: Any
) -> None:
    make_pictures(tmp_path / "my crops", 3)
    make_pictures(tmp_path / "more", 3, seed=4)
    Gallery.build(tmp_path / "g", bundle, tmp_path / "my crops", modality="visible", encoder=encoder)
    Gallery.build(tmp_path / "g", bundle, tmp_path / "more", modality="infrared", camera=3, encoder=encoder)
    before = files_below(tmp_path / "g")
    new = f"{tmp_path / 'g'}-{other_bundle.digest[:8]}"
    commands = [
        f"vireid index '{tmp_path}/my crops' --modality visible --bundle '{other_bundle.path}' --out {new}",
        f"vireid index {tmp_path}/more --modality infrared --bundle '{other_bundle.path}' --camera 3 --out {new}",
    ]
    for attempt in (
        lambda: Gallery.open(tmp_path / "g", bundle=other_bundle),
        lambda: Gallery.build(
            tmp_path / "g", other_bundle.path, tmp_path / "more", modality="visible", encoder=encoder
        ),
    ):
        with pytest.raises(GalleryError, match="was built with model") as caught:
            attempt()
        assert all(command in str(caught.value) for command in commands)
    assert files_below(tmp_path / "g") == before


def test_a_model_that_was_replaced_or_has_moved_is_refused(
    tmp_path: Path, bundle: Bundle, other_bundle: Bundle, encoder: Any, make_pictures: Any
) -> None:
    query = make_pictures(tmp_path / "crops", 3)[0]
    Gallery.build(tmp_path / "g", bundle, tmp_path / "crops", modality="visible", encoder=encoder)
    bundle.path.rename(tmp_path / "moved")
    with pytest.raises(GalleryError, match="say where it lies"):
        Gallery.open(tmp_path / "g").search(query, modality="infrared")
    assert len(Gallery.open(tmp_path / "g", bundle=tmp_path / "moved")) == 3
    other_bundle.path.rename(bundle.path)
    with pytest.raises(GalleryError, match="was built with model"):
        Gallery.open(tmp_path / "g").search(query, modality="infrared")


def test_an_encoder_of_another_model_is_refused(
    tmp_path: Path, bundle: Bundle, other_bundle: Bundle, encoder: Any, make_encoder: Any, make_pictures: Any
) -> None:
    query = make_pictures(tmp_path / "crops", 3)[0]
    foreign = make_encoder(digest=other_bundle.digest)
    with pytest.raises(UsageError, match=f"is of model {other_bundle.digest[:12]}, the gallery of model"):
        Gallery.build(tmp_path / "g", bundle, tmp_path / "crops", modality="visible", encoder=foreign)
    assert not (tmp_path / "g").exists()
    gallery = Gallery.build(tmp_path / "g", bundle, tmp_path / "crops", modality="visible", encoder=encoder)
    with pytest.raises(UsageError, match="Give the encoder of the gallery's bundle"):
        gallery.search(query, modality="infrared", encoder=foreign)
    with pytest.raises(UsageError, match="a method in training"):
        gallery.search(query, modality="infrared", encoder=make_encoder(digest=""))
    assert foreign.embedded == 0


def test_a_device_is_for_the_bundles_own_encoder(
    tmp_path: Path, bundle: Bundle, encoder: Any, make_pictures: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = make_pictures(tmp_path / "crops", 3)[0]
    build = {"modality": "visible", "device": "cpu"}
    with pytest.raises(UsageError, match="leave it out where encoder is given"):
        Gallery.build(tmp_path / "g", bundle, [query], encoder=encoder, **build)
    asked = []
    monkeypatch.setattr(Bundle, "encoder", lambda bundle, *, device=None: asked.append(device) or encoder)
    Gallery.build(tmp_path / "g", bundle, [query], **build).search(query, modality="infrared")
    Gallery.open(tmp_path / "g", device="cuda").search(query, modality="infrared")
    assert asked == ["cpu", "cpu", "cuda"]
