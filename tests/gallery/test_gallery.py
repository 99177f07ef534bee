import json
import multiprocessing
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock
from PIL import Image

from vireid.data.images import read_image, resize
from vireid.errors import DataError, GalleryError, ImageError, UsageError
from vireid.gallery import Broken, Gallery
from vireid.matching import Dot, create_matcher
from vireid.methods.bundle import Bundle
from vireid.types import Embeddings


@pytest.fixture
def mixed(tmp_path: Path, make_pictures: Any) -> pd.DataFrame:
    """Eight visible and four infrared pictures of four people."""
    visible = make_pictures(tmp_path / "visible", 8, seed=1)
    infrared = make_pictures(tmp_path / "infrared", 4, seed=2)
    return pd.DataFrame(
        {
            "path": [str(path) for path in (*visible, *infrared)],
            "modality": ["visible"] * 8 + ["infrared"] * 4,
            "identity": [0, 0, 1, 1, 2, 2, 3, 3, 0, 1, 2, 3],
            "camera": [1, 2] * 4 + [3] * 4,
        }
    )


def reference(paths: list[Path], query: Path, encoder: Any) -> list[str]:
    """The ranking by a plain loop over all pictures."""
    vector = encoder.embed([read_image(query)], "infrared").vector[0]
    scored = []
    for place, path in enumerate(paths):
        pixels = resize(read_image(path), encoder.preprocessing.size)
        scored.append((-float(vector @ encoder.embed([pixels], "visible").vector[0]), place))
    return [str(paths[place]) for _, place in sorted(scored)]


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_search_equals_a_loop_over_all_pictures(
    tmp_path: Path, bundle: Bundle, encoder: Any, make_pictures: Any
) -> None:
    paths = make_pictures(tmp_path / "crops", 30)
    query = make_pictures(tmp_path / "query", 1, seed=9)[0]
    Gallery.build(tmp_path / "g", bundle, tmp_path / "crops", modality="visible", encoder=encoder, batch_size=4)
    result = Gallery.open(tmp_path / "g").search(query, modality="infrared", top=30, encoder=encoder)
    assert [hit.path for hit in result] == reference(paths, query, encoder)
    assert [hit.rank for hit in result] == list(range(1, 31))
    assert list(result.hits) == sorted(result.hits, key=lambda hit: -hit.score)
    assert (result.mode, result.searched, result.note) == ("full", ("visible",), "")
    assert result.hits[0].modality == "visible"


def test_five_formats_a_broken_picture_and_other_files(tmp_path: Path, bundle: Bundle, encoder: Any) -> None:
    folder = tmp_path / "photographs"
    (folder / "below").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ("a.jpg", "b.PNG", "c.bmp", "below/d.webp", "e.tiff"):
        Image.fromarray(rng.integers(0, 256, (40, 20, 3), dtype=np.uint8)).save(folder / name)
    (folder / "f.jpeg").write_bytes((folder / "a.jpg").read_bytes()[:200])
    (folder / "notes.txt").write_text("no picture")
    (folder / "Thumbs.db").write_text("no picture")
    (folder / ".hidden.png").write_bytes(b"")
    gallery = Gallery.build(tmp_path / "g", bundle, folder, modality="visible", camera=7, encoder=encoder)
    report = gallery.report
    assert report is not None
    assert (len(gallery), report.added) == (5, 5)
    assert [broken.path for broken in report.broken] == [str(folder / "f.jpeg")]
    assert "cannot be read" in report.broken[0].reason
    assert "bytes>" not in report.broken[0].reason
    assert dict(report.ignored) == {".txt": 1, ".db": 1, ".png": 1}
    result = gallery.search(folder / "below/d.webp", modality="visible", top=1, encoder=encoder)
    assert result.hits[0].path == str(folder / "below/d.webp")
    assert result.hits[0].camera == 7
    assert json.loads(json.dumps(report.to_json()))["broken"][0]["path"] == str(folder / "f.jpeg")


def test_the_same_command_again_embeds_nothing(
    tmp_path: Path, bundle: Bundle, make_encoder: Any, make_pictures: Any
) -> None:
    make_pictures(tmp_path / "crops", 10)
    build = {"modality": "visible", "camera": 1}
    Gallery.build(tmp_path / "g", bundle, tmp_path / "crops", encoder=make_encoder(), **build)
    before = files_below(tmp_path / "g")
    again = make_encoder()
    gallery = Gallery.build(tmp_path / "g", bundle, tmp_path / "crops", encoder=again, **build)
    assert again.embedded == 0
    assert gallery.report is not None
    assert (gallery.report.added, gallery.report.unchanged) == (0, 10)
    assert files_below(tmp_path / "g") == before


def test_an_interrupted_run_goes_on_and_answers_as_an_uninterrupted_one(
    tmp_path: Path, bundle: Bundle, make_encoder: Any, make_pictures: Any
) -> None:
    paths = make_pictures(tmp_path / "crops", 23)
    build = {"modality": "visible", "batch_size": 2}
    with pytest.raises(KeyboardInterrupt):
        Gallery.build(tmp_path / "g", bundle, tmp_path / "crops", encoder=make_encoder(batches=7), **build)
    assert len(Gallery.open(tmp_path / "g")) == 14
    rest = make_encoder()
    resumed = Gallery.build(tmp_path / "g", bundle, tmp_path / "crops", encoder=rest, **build)
    assert rest.embedded == 9
    whole = Gallery.build(tmp_path / "h", bundle, tmp_path / "crops", encoder=make_encoder(), **build)
    for query in paths[:3]:
        answers = [g.search(query, modality="infrared", top=23, encoder=rest) for g in (resumed, whole)]
        assert answers[0] == answers[1]


def killed_build(path: Path, bundle: Path, crops: Path) -> None:
    import os

    from vireid.methods.bundle import Preprocessing

    class Killer:
        preprocessing = Preprocessing.model_validate(
            {"height": 16, "width": 8, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}
        )
        digest = Bundle.open(bundle).digest
        calls = 0

        def embed(self, pictures: Any, modality: Any) -> Embeddings[Any]:
            self.calls += 1
            if self.calls > 6:
                os._exit(9)
            vectors = np.stack([picture.reshape(-1)[:12].astype(np.float32) + 1 for picture in pictures])
            return Embeddings(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))

    Gallery.build(path, bundle, crops, modality="visible", encoder=Killer(), batch_size=2)


def test_a_killed_run_keeps_what_was_written(tmp_path: Path, bundle: Bundle, encoder: Any, make_pictures: Any) -> None:
    make_pictures(tmp_path / "crops", 20)
    arguments = (tmp_path / "g", bundle.path, tmp_path / "crops")
    process = multiprocessing.get_context("fork").Process(target=killed_build, args=arguments)
    process.start()
    process.join(60)
    assert process.exitcode == 9
    assert len(Gallery.open(tmp_path / "g")) == 8  # four batches of two; two more were embedded and not yet written
    gallery = Gallery.build(tmp_path / "g", bundle, tmp_path / "crops", modality="visible", encoder=encoder)
    assert len(gallery) == 20
    assert gallery.report is not None
    assert (gallery.report.added, gallery.report.unchanged) == (12, 8)


def test_another_model_is_refused_with_the_command_that_rebuilds(
    tmp_path: Path, bundle: Bundle, other_bundle: Bundle, encoder: Any, make_pictures: Any
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


def test_a_mixed_gallery_is_searched_in_the_other_modality(
    tmp_path: Path, bundle: Bundle, encoder: Any, mixed: pd.DataFrame
) -> None:
    gallery = Gallery.build(tmp_path / "g", bundle, mixed, encoder=encoder)
    assert gallery.modalities() == {"visible": 8, "infrared": 4}
    query = mixed.path[8]
    across = gallery.search(query, modality="infrared", top=20, encoder=encoder)
    assert {hit.modality for hit in across} == {"visible"}
    assert across.searched == ("visible",)
    assert "the 4 infrared ones are left out" in across.note
    same = gallery.search(query, modality="infrared", top=20, filters={"modality": "infrared"}, encoder=encoder)
    assert same.hits[0].path == query
    assert (len(same), same.searched, same.note) == (4, ("infrared",), "")
    both = gallery.search(
        query, modality="infrared", top=20, filters={"modality": ["visible", "infrared"]}, encoder=encoder
    )
    assert (len(both), both.searched) == (12, ("visible", "infrared"))


def test_a_gallery_of_the_querys_own_modality_says_so(
    tmp_path: Path, bundle: Bundle, encoder: Any, make_pictures: Any
) -> None:
    query = make_pictures(tmp_path / "crops", 3)[0]
    gallery = Gallery.build(tmp_path / "g", bundle, tmp_path / "crops", modality="visible", encoder=encoder)
    result = gallery.search(query, modality="visible", encoder=encoder)
    assert len(result) == 3
    assert "no search across modalities" in result.note


def test_filters_by_any_column(tmp_path: Path, bundle: Bundle, encoder: Any, mixed: pd.DataFrame) -> None:
    gallery = Gallery.build(tmp_path / "g", bundle, mixed, encoder=encoder)
    query = mixed.path[9]

    def search(**filters: Any) -> list[Any]:
        return list(gallery.search(query, modality="infrared", top=20, filters=filters, encoder=encoder))

    assert {hit.camera for hit in search(camera=2)} == {2}
    assert {hit.camera for hit in search(camera="2")} == {2}
    assert {(hit.camera, hit.identity) for hit in search(camera=[1, 2], identity=3)} == {(1, 3), (2, 3)}
    everything = [hit.path for hit in search()]
    assert [hit.path for hit in search(camera=1)] == [
        path for path in everything if mixed.camera[list(mixed.path).index(path)] == 1
    ]
    nothing = gallery.search(query, modality="infrared", filters={"camera": 9}, encoder=encoder)
    assert nothing.hits == ()
    assert nothing.note == "no picture of the gallery matches camera=9, modality=visible"
    with pytest.raises(UsageError, match="did you mean 'camera'"):
        search(camra=1)
    with pytest.raises(UsageError, match="unknown modality 'thermal'"):
        search(modality="thermal")


def test_equal_scores_stand_in_the_order_of_indexing(tmp_path: Path, bundle: Bundle, encoder: Any) -> None:
    folder = tmp_path / "crops"
    folder.mkdir()
    for number in range(6):  # other bytes, same pixels
        Image.fromarray(np.full((16, 8, 3), 90, np.uint8)).save(folder / f"{number}.png", compress_level=number)
    gallery = Gallery.build(tmp_path / "g", bundle, folder, modality="visible", encoder=encoder, batch_size=2)
    result = gallery.search(np.full((4, 4, 3), 50, np.uint8), modality="infrared", encoder=encoder)
    assert [Path(hit.path).name for hit in result] == [f"{number}.png" for number in range(6)]
    assert len({hit.score for hit in result}) == 1


def test_two_builds_give_the_same_answers_and_bytes(
    tmp_path: Path, bundle: Bundle, encoder: Any, make_pictures: Any
) -> None:
    make_pictures(tmp_path / "crops", 12)
    for name in ("g", "h"):
        Gallery.build(tmp_path / name, bundle, tmp_path / "crops", modality="visible", encoder=encoder)
    assert files_below(tmp_path / "g" / "store") == files_below(tmp_path / "h" / "store")


def test_same_bytes_are_one_entry_and_a_moved_picture_is_found_again(
    tmp_path: Path, bundle: Bundle, make_encoder: Any, make_pictures: Any
) -> None:
    paths = make_pictures(tmp_path / "crops", 4)
    (tmp_path / "crops/zz copy.png").write_bytes(paths[0].read_bytes())
    encoder = make_encoder()
    gallery = Gallery.build(tmp_path / "g", bundle, tmp_path / "crops", modality="visible", camera=1, encoder=encoder)
    assert gallery.report is not None
    assert (len(gallery), gallery.report.duplicates) == (4, 1)
    (tmp_path / "crops").rename(tmp_path / "elsewhere")
    again = make_encoder()
    moved = Gallery.build(tmp_path / "g", bundle, tmp_path / "elsewhere", modality="visible", encoder=again)
    assert moved.report is not None
    assert (again.embedded, moved.report.updated, len(moved)) == (0, 4, 4)
    hit = moved.search(tmp_path / "elsewhere/001.png", modality="infrared", top=1, encoder=again).hits[0]
    assert (hit.path, hit.camera) == (str(tmp_path / "elsewhere/001.png"), 1)


def test_a_corrected_modality_replaces_the_wrong_one(
    tmp_path: Path, bundle: Bundle, make_encoder: Any, make_pictures: Any
) -> None:
    make_pictures(tmp_path / "crops", 4)
    Gallery.build(tmp_path / "g", bundle, tmp_path / "crops", modality="infrared", encoder=make_encoder())
    again = make_encoder()
    gallery = Gallery.build(tmp_path / "g", bundle, tmp_path / "crops", modality="visible", encoder=again)
    assert again.embedded == 4
    assert gallery.modalities() == {"visible": 4}


def test_labels_of_a_table_are_kept_and_updated(
    tmp_path: Path, bundle: Bundle, make_encoder: Any, mixed: pd.DataFrame
) -> None:
    Gallery.build(tmp_path / "g", bundle, mixed, encoder=make_encoder())
    again = make_encoder()
    Gallery.build(tmp_path / "g", bundle, tmp_path / "visible", modality="visible", encoder=again)
    table = mixed.assign(identity=mixed.identity.astype(float).where(mixed.index != 2), time=pd.Timestamp("2024-05-01"))
    gallery = Gallery.build(tmp_path / "g", bundle, table, encoder=again)
    assert again.embedded == 0
    result = gallery.search(mixed.path[0], modality="infrared", top=9, filters={"camera": 1}, encoder=again)
    assert sorted(hit.identity for hit in result) == [0, 1, 2, 3]
    assert all(isinstance(hit.identity, int) for hit in result)
    assert {hit.metadata["time"] for hit in result} == {"2024-05-01T00:00:00"}


@pytest.mark.parametrize("content", ["nothing", "text", "broken"])
def test_a_folder_without_readable_pictures_leaves_nothing(
    tmp_path: Path, bundle: Bundle, encoder: Any, content: str
) -> None:
    folder = tmp_path / "crops"
    folder.mkdir()
    if content == "text":
        (folder / "a.txt").write_text("x")
    if content == "broken":
        for number in range(7):
            (folder / f"{number}.png").write_bytes(b"x")
    with pytest.raises(DataError, match="none of the 7 pictures" if content == "broken" else "holds no picture"):
        Gallery.build(tmp_path / "g", bundle, folder, modality="visible", encoder=encoder)
    assert not (tmp_path / "g").exists()


def test_wrong_uses_are_one_clear_error_and_write_nothing(
    tmp_path: Path, bundle: Bundle, encoder: Any, make_pictures: Any, mixed: pd.DataFrame
) -> None:
    crops = tmp_path / "visible"
    out = tmp_path / "g"

    def refused(error: type[Exception], match: str, images: Any, **options: Any) -> None:
        with pytest.raises(error, match=match):
            Gallery.build(options.pop("path", out), bundle, images, encoder=encoder, **options)
        assert not out.exists()

    refused(UsageError, "say which camera", crops)
    refused(UsageError, "did you mean 'visible'", crops, modality="visibel")
    refused(UsageError, "modality is given twice", mixed, modality="visible")
    refused(UsageError, "needs a column 'modality'", mixed.drop(columns="modality"))
    refused(UsageError, "needs a column 'path'", mixed.drop(columns="path"))
    refused(UsageError, "unknown modality of", mixed.assign(modality="thermal"))
    refused(UsageError, "rename the columns score", mixed.assign(score=1))
    refused(UsageError, "row 0 of the table has no path", mixed.assign(path=None))
    refused(DataError, "no rows", mixed.iloc[:0])
    refused(DataError, "does not exist", tmp_path / "missing", modality="visible")
    refused(DataError, "no such file|No such file", [tmp_path / "missing.png"], modality="visible")
    refused(DataError, "the list holds no picture", [], modality="visible")
    refused(UsageError, "batch_size is 0", crops, modality="visible", batch_size=0)
    refused(GalleryError, "exists and is no gallery", crops, modality="visible", path=tmp_path / "infrared")
    assert len(list((tmp_path / "infrared").iterdir())) == 4


def test_searches_that_cannot_be_answered(tmp_path: Path, bundle: Bundle, encoder: Any, make_pictures: Any) -> None:
    query = make_pictures(tmp_path / "crops", 3)[0]
    gallery = Gallery.build(tmp_path / "g", bundle, [query], modality="visible", encoder=encoder)
    with pytest.raises(UsageError, match="top is 0"):
        gallery.search(query, modality="visible", top=0, encoder=encoder)
    with pytest.raises(UsageError, match="unknown modality 'red'"):
        gallery.search(query, modality="red", encoder=encoder)
    with pytest.raises(ImageError, match="no such file"):
        gallery.search(tmp_path / "missing.png", modality="visible", encoder=encoder)
    with pytest.raises(GalleryError, match="vectors of 12 values"):
        gallery.search_vectors(np.ones((1, 5), np.float32))
    with pytest.raises(GalleryError, match="there is no gallery"):
        Gallery.open(tmp_path / "missing")
    (tmp_path / "g/gallery.json").write_text("{}")
    with pytest.raises(GalleryError, match="damaged or of another version"):
        Gallery.open(tmp_path / "g")


def test_a_second_writer_is_refused(tmp_path: Path, bundle: Bundle, encoder: Any, make_pictures: Any) -> None:
    make_pictures(tmp_path / "crops", 3)
    build: Callable[[], Gallery] = lambda: Gallery.build(  # noqa: E731
        tmp_path / "g", bundle, tmp_path / "crops", modality="visible", encoder=encoder
    )
    build()
    with FileLock(tmp_path / "g" / ".lock"), pytest.raises(GalleryError, match="being written by another process"):
        build()
    assert len(build()) == 3


def test_progress_counts_pictures(tmp_path: Path, bundle: Bundle, encoder: Any, mixed: pd.DataFrame) -> None:
    seen: dict[str, list[Any]] = {}

    def track(items: Any, /, *, description: str, total: int | None = None) -> Any:
        found = list(items)
        seen[description] = [total, len(found)]
        return iter(found)

    Gallery.build(tmp_path / "g", bundle, mixed, encoder=encoder, track=track)
    assert seen == {"indexing visible": [8, 8], "indexing infrared": [4, 4]}


class Reversed(Dot):
    """Searches by the vector and ranks by a field, worst first, so that nothing is right by accident."""

    name = "reversed"
    exact = False
    fields = ("plain",)

    def score(self, query: Embeddings[Any], gallery: Embeddings[Any]) -> Any:
        return -(query.fields["plain"] @ gallery.fields["plain"].T)


def test_an_inexact_matcher_is_rescored_with_its_fields(
    tmp_path: Path, bundle: Bundle, encoder: Any, make_pictures: Any, monkeypatch: pytest.MonkeyPatch
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


def test_many_vectors_at_once(tmp_path: Path, bundle: Bundle, encoder: Any, mixed: pd.DataFrame) -> None:
    gallery = Gallery.build(tmp_path / "g", bundle, mixed, encoder=encoder)
    queries = [mixed.path[8], mixed.path[9]]
    vectors = encoder.embed([read_image(path) for path in queries], "infrared").vector
    found = gallery.search_vectors(vectors, modality="infrared", names=queries)
    assert found == [gallery.search(path, modality="infrared", encoder=encoder) for path in queries]
    assert gallery.search_vectors(vectors[0])[0].searched == ("visible", "infrared")


def test_the_package_needs_no_torch() -> None:
    program = "import sys; sys.modules['torch'] = None; import vireid.gallery; import vireid.gallery.sheet"
    subprocess.run([sys.executable, "-c", program], check=True)


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


def test_a_list_with_a_missing_file_goes_on(tmp_path: Path, bundle: Bundle, encoder: Any, make_pictures: Any) -> None:
    paths = make_pictures(tmp_path / "crops", 2)
    missing = tmp_path / "missing.png"
    gallery = Gallery.build(tmp_path / "g", bundle, [missing, *paths], modality="visible", encoder=encoder)
    assert gallery.report is not None
    assert gallery.report.broken == (Broken(str(missing), "No such file or directory"),)
    assert len(gallery) == 2


def test_links_are_followed_once(tmp_path: Path, bundle: Bundle, encoder: Any, make_pictures: Any) -> None:
    make_pictures(tmp_path / "far", 2)
    make_pictures(tmp_path / "crops", 3, seed=1)
    (tmp_path / "crops/far").symlink_to(tmp_path / "far")
    (tmp_path / "crops/loop").symlink_to(tmp_path / "crops")
    gallery = Gallery.build(tmp_path / "crops/gallery", bundle, tmp_path / "crops", modality="visible", encoder=encoder)
    assert len(gallery) == 5
    again = Gallery.build(tmp_path / "crops/gallery", bundle, tmp_path / "crops", modality="visible", encoder=encoder)
    assert again.report is not None
    assert dict(again.report.ignored) == {}


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
    monkeypatch.setattr("vireid.gallery.gallery._open_encoder", lambda bundle, device: asked.append(device) or encoder)
    Gallery.build(tmp_path / "g", bundle, [query], **build).search(query, modality="infrared")
    Gallery.open(tmp_path / "g", device="cuda").search(query, modality="infrared")
    assert asked == ["cpu", "cpu", "cuda"]


def test_a_gallery_that_is_restricted_stays_so(
    tmp_path: Path, bundle: Bundle, encoder: Any, make_pictures: Any
) -> None:
    query = make_pictures(tmp_path / "crops", 3)[0]

    def build(**options: Any) -> bool:
        Gallery.build(tmp_path / "g", bundle, [query], modality="visible", encoder=encoder, **options)
        gallery = Gallery.open(tmp_path / "g")
        found = gallery.search(query, modality="infrared", encoder=encoder)
        assert found.restricted == found.to_json()["restricted"] == gallery.header.restricted
        return found.restricted

    assert [build(), build(restricted=True), build(), build(restricted=False)] == [False, True, True, True]
