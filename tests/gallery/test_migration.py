"""A gallery moves to another model as a whole, or stays as it was."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from vireid.errors import DataError, GalleryError, MissingExtraError, UsageError
from vireid.gallery import Gallery
from vireid.methods.bundle import Bundle


@pytest.fixture
def encoders(make_encoder: Any, other_bundle: Bundle) -> tuple[Any, Any]:
    return make_encoder(), make_encoder(digest=other_bundle.digest)


def test_all_pictures_move_in_one_step(
    tmp_path: Path, bundle: Bundle, other_bundle: Bundle, encoders: Any, mixed: pd.DataFrame
) -> None:
    gallery = Gallery.build(tmp_path / "g", bundle, mixed, encoder=encoders[0], restricted=True)
    stale = Gallery.open(tmp_path / "g")
    before = gallery.search(mixed.path[8], modality="infrared", top=20, encoder=encoders[0])
    report = gallery.migrate(other_bundle, encoders=encoders)
    assert (report.pictures, report.left_out, report.note) == (12, (), "")
    assert report.agreement is not None
    assert (report.agreement.queries, report.agreement.same_first, report.agreement.overlap) == (12, 1.0, 1.0)
    assert report.agreement.right_before == report.agreement.right_after is not None
    opened = Gallery.open(tmp_path / "g", bundle=other_bundle)
    assert opened.header.restricted
    for each in (gallery, opened):
        assert each.search(mixed.path[8], modality="infrared", top=20, encoder=encoders[1]) == before
    stores = [entry.name for entry in (tmp_path / "g").iterdir() if entry.is_dir()]
    assert stores == [f"store-{other_bundle.digest[:16]}"]
    assert not (tmp_path / "g/leftover.json").exists()
    with pytest.raises(GalleryError, match="was migrated to another model meanwhile"):
        stale.delete({"identity": 1})
    with pytest.raises(UsageError, match=r"is of model .* already"):
        gallery.migrate(other_bundle, encoders=encoders)
    assert gallery.delete({"identity": 1}).remaining == 9


def test_a_stopped_migration_goes_on_and_changes_nothing_before(
    tmp_path: Path, bundle: Bundle, other_bundle: Bundle, encoders: Any, make_encoder: Any, mixed: pd.DataFrame
) -> None:
    gallery = Gallery.build(tmp_path / "g", bundle, mixed, encoder=encoders[0])
    stopping = make_encoder(digest=other_bundle.digest, batches=3)
    with pytest.raises(KeyboardInterrupt):
        gallery.migrate(other_bundle, encoders=(encoders[0], stopping), batch_size=2)
    assert Gallery.open(tmp_path / "g").header.digest == bundle.digest
    assert len(gallery.search(mixed.path[8], modality="infrared", encoder=encoders[0])) == 8
    new = make_encoder(digest=other_bundle.digest)
    report = gallery.migrate(other_bundle, encoders=(encoders[0], new), batch_size=2, queries=1)
    assert report.pictures == 12
    assert new.embedded == 6 + 1, "half was there already; one picture was searched for"


def test_another_writer_gives_a_stopped_migration_up(
    tmp_path: Path, bundle: Bundle, other_bundle: Bundle, encoders: Any, make_encoder: Any, mixed: pd.DataFrame
) -> None:
    gallery = Gallery.build(tmp_path / "g", bundle, mixed, encoder=encoders[0])
    stopping = make_encoder(digest=other_bundle.digest, batches=3)
    with pytest.raises(KeyboardInterrupt):
        gallery.migrate(other_bundle, encoders=(encoders[0], stopping), batch_size=2)
    assert gallery.delete({"identity": 1}).deleted == 3
    assert [entry.name for entry in (tmp_path / "g").iterdir() if entry.is_dir()] == ["store"]


def test_pictures_are_not_lost_unasked(
    tmp_path: Path, bundle: Bundle, other_bundle: Bundle, encoders: Any, mixed: pd.DataFrame
) -> None:
    gallery = Gallery.build(tmp_path / "g", bundle, mixed, encoder=encoders[0])
    Path(mixed.path[1]).unlink()
    Path(mixed.path[2]).write_bytes(Path(mixed.path[3]).read_bytes())
    with pytest.raises(DataError, match=r"2 pictures of the gallery cannot be embedded anew(.|\n)*has changed"):
        gallery.migrate(other_bundle, encoders=encoders)
    assert (gallery.header.digest, len(gallery)) == (bundle.digest, 12)
    report = gallery.migrate(other_bundle, encoders=encoders, leave_out=True)
    assert (report.pictures, [lost.path for lost in report.left_out]) == (10, [mixed.path[1], mixed.path[2]])


def test_nothing_is_left_of_a_migration_to_a_third_model(
    tmp_path: Path,
    bundle: Bundle,
    other_bundle: Bundle,
    encoders: Any,
    make_encoder: Any,
    make_bundle: Any,
    mixed: pd.DataFrame,
) -> None:
    third = make_bundle(tmp_path / "third model", seed=2)
    gallery = Gallery.build(tmp_path / "g", bundle, mixed, encoder=encoders[0])
    stopping = make_encoder(digest=other_bundle.digest, batches=3)
    with pytest.raises(KeyboardInterrupt):
        gallery.migrate(other_bundle, encoders=(encoders[0], stopping), batch_size=2)
    gallery.migrate(third, encoders=(encoders[0], make_encoder(digest=third.digest)))
    stores = [entry.name for entry in (tmp_path / "g").iterdir() if entry.is_dir()]
    assert stores == [f"store-{third.digest[:16]}"]


def test_an_old_model_that_cannot_be_asked_is_no_hindrance(
    tmp_path: Path, bundle: Bundle, other_bundle: Bundle, encoders: Any, mixed: pd.DataFrame
) -> None:
    gallery = Gallery.build(tmp_path / "g", bundle, mixed, encoder=encoders[0])

    class Lost:
        digest, preprocessing = encoders[0].digest, encoders[0].preprocessing

        def embed(self, *_: Any) -> Any:
            raise MissingExtraError("torch", "train")

    report = gallery.migrate(other_bundle, encoders=(Lost(), encoders[1]))
    assert report.agreement is None
    assert "vireid[train]" in report.note
    assert gallery.header.digest == other_bundle.digest
