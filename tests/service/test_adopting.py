"""Taking over a gallery that `vireid index` made: all of it or nothing, and no picture shut out."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from service_fixtures import GALLERY, run_service, search, told
from sqlalchemy import select

from vireid.errors import UsageError
from vireid.gallery import Gallery
from vireid.methods.bundle import Bundle
from vireid.service import Core
from vireid.service.adopting import adopt
from vireid.service.retention import expire
from vireid.service.state import AuditEntry, GalleryRow, ImageRow


@pytest.fixture
def built(tmp_path: Path, model: Path, pictures: Callable[..., list[Path]]) -> Path:
    """A gallery `mine` of six pictures in `crops`."""
    pictures("crops", 6, seed=1)
    bundle = Bundle.open(model)
    encoder = GALLERY.StripeEncoder(digest=bundle.digest)
    path = tmp_path / "galleries" / "mine"
    Gallery.build(path, bundle, tmp_path / "crops", modality="visible", camera=4, encoder=encoder)
    return path


def test_a_gallery_is_taken_over_without_embedding_anew(
    make_core: Callable[..., Core], built: Path, tmp_path: Path
) -> None:
    (tmp_path / "crops" / "005.png").unlink()
    core = make_core()
    taken = adopt(core, built, purposes={"missing-person": "Act 1"})
    assert taken == {"gallery": "mine", "pictures": 5, "unreadable": 1}
    assert core.galleries.model("demo").encoder._encoder.embedded == 0  # type: ignore[attr-defined]
    assert core.galleries.count("mine") == 5
    assert adopt(core, built, purposes={}) is None
    assert len(Gallery.open(built)) == 6  # what was taken over from is left as it was
    with core.database.read() as session:
        rows = session.scalars(select(ImageRow)).all()
        actions = session.scalars(select(AuditEntry.action).order_by(AuditEntry.number)).all()
    assert {(row.modality, row.camera, (row.expires - row.added).days) for row in rows} == {("visible", "4", 30)}
    assert actions == ["purpose.add", "gallery.adopt", "images.add"]
    with pytest.raises(UsageError, match="rename the folder"):
        adopt(core, tmp_path / "My Gallery", purposes={})


def test_a_gallery_of_another_model_is_not_taken_over(
    make_core: Callable[..., Core], pictures: Callable[..., list[Path]], tmp_path: Path
) -> None:
    pictures("crops", 2)
    other = GALLERY.write_bundle(tmp_path / "other", seed=5)
    encoder = GALLERY.StripeEncoder(digest=other.digest)
    Gallery.build(tmp_path / "mine", other, tmp_path / "crops", modality="visible", encoder=encoder)
    with pytest.raises(UsageError, match="add --bundle NAME="):
        adopt(make_core(), tmp_path / "mine", purposes={})


@pytest.mark.parametrize("step", ["keep", "transaction"])
def test_an_adoption_that_was_cut_leaves_no_gallery_and_can_be_repeated(
    make_core: Callable[..., Core], built: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    core = make_core()

    def killed(*_words: Any, **_how: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(core.library if step == "keep" else core.ledger, step, killed)
        with pytest.raises(KeyboardInterrupt):
            adopt(core, built, purposes={})
    with core.database.read() as session:
        assert session.scalars(select(GalleryRow)).all() == []
    left = core.galleries.folder / "mine"
    assert left.exists()
    expire(core.library)  # as at the next start: nothing stays that no retention knows
    assert not left.exists()
    assert adopt(core, built, purposes={}) == {"gallery": "mine", "pictures": 6, "unreadable": 0}
    assert core.galleries.count("mine") == 6
    with core.database.read() as session:
        rows = session.scalars(select(ImageRow)).all()
    assert len(rows) == 6
    expire(core.library, now=rows[0].expires + timedelta(seconds=1))
    assert core.galleries.count("mine") == 0


def test_what_was_left_of_a_cut_adoption_does_not_disturb_the_next(make_core: Callable[..., Core], built: Path) -> None:
    core = make_core()
    core.galleries.copy(built, "mine")
    assert adopt(core, built, purposes={}) == {"gallery": "mine", "pictures": 6, "unreadable": 0}


def test_a_picture_that_could_not_be_read_may_come_later_and_a_deleted_one_may_not(
    make_core: Callable[..., Core], built: Path, tmp_path: Path
) -> None:
    deleted, away = (tmp_path / "crops" / name for name in ("000.png", "005.png"))
    Gallery.open(built).delete({"path": [str(deleted)]})
    data = {path: path.read_bytes() for path in (deleted, away)}
    away.unlink()
    core = make_core()
    assert adopt(core, built, purposes={}) == {"gallery": "mine", "pictures": 4, "unreadable": 1}
    files = [(path.name, data[path]) for path in (deleted, away)]
    rows = core.library.add("mine", files, modality="visible", camera=None, key="")
    assert [row["state"] for row in rows] == ["refused", "added"]


def test_a_gallery_whose_pictures_are_all_away_is_not_taken_over(
    make_core: Callable[..., Core], built: Path, tmp_path: Path
) -> None:
    (tmp_path / "crops").rename(tmp_path / "elsewhere")
    core = make_core()
    with pytest.raises(UsageError, match="none of its 6 pictures can be read"):
        adopt(core, built, purposes={})
    (tmp_path / "elsewhere").rename(tmp_path / "crops")
    assert adopt(core, built, purposes={}) == {"gallery": "mine", "pictures": 6, "unreadable": 0}


def test_a_search_in_a_gallery_that_was_taken_over(make_core: Callable[..., Core], built: Path, tmp_path: Path) -> None:
    core = make_core()
    adopt(core, built, purposes={"missing-person": "Act 1"})
    service = run_service(core)
    hits = told(search(service.client("reader"), tmp_path / "crops" / "002.png", "mine"), 201)["hits"]
    service.close()
    assert len(hits) == 6
    assert hits[0]["score"] > 0.999
