"""Train, evaluate and search with CAL on rendered people, with its own parts and target-aware."""

from pathlib import Path

import numpy as np
import pytest

from vireid.data import open_dataset
from vireid.errors import UsageError
from vireid.gallery import Gallery
from vireid.methods import create
from vireid.methods.bundle import Bundle, save_bundle
from vireid.training.loop import train
from vireid.training.measure import measure
from vireid.training.recipe import load_recipe
from vireid.training.run import Run


@pytest.fixture(scope="module")
def run(tiny_sysu: Path, small_run: list[str], tmp_path_factory: pytest.TempPathFactory) -> Run:
    recipe = load_recipe("cal-demo", [f"data.root={tiny_sysu}", *small_run, "tsaa.width=16"])
    run = Run(tmp_path_factory.mktemp("cal") / "run")
    train(recipe, open_dataset("sysu", tiny_sysu), run, device="cpu")
    return run


def with_retrieval(bundle: Bundle, retrieval: str, folder: Path) -> Bundle:
    """The same weights, compared otherwise: as docs/methods/cal.md shows."""
    method = create("cal", data=bundle.data, **{**bundle.header.options, "retrieval": retrieval})
    method.load_state_dict(bundle.method().state_dict())
    return save_bundle(folder, method, preprocessing=bundle.preprocessing, card=bundle.card)


def test_the_same_weights_are_evaluated_in_every_way(run: Run, tiny_sysu: Path, tmp_path: Path) -> None:
    bundle, dataset = Bundle.open(run.path), open_dataset("sysu", tiny_sysu)
    protocol = dataset.protocol("all-single-agw")
    own = measure(bundle, dataset, protocol, folder=tmp_path / "self", device="cpu")
    assert own.mode == "full"
    for retrieval in ("target-aware", "target-aware-mutual"):
        other = with_retrieval(bundle, retrieval, tmp_path / retrieval)
        assert other.matcher().name == retrieval
        found = {
            mode: measure(other, dataset, protocol, folder=tmp_path / f"{retrieval}-table", mode=mode, device="cpu")
            for mode in ("full", "cascade:1000", "cascade:2")
        }
        assert found["cascade:1000"].mode == "full"  # every candidate is scored
        assert found["cascade:2"].mode == "cascade:2"
        figures = {mode: result.to_json()["mAP"] for mode, result in found.items()}
        assert figures["cascade:1000"] == pytest.approx(figures["full"])
        assert all(0 < value <= 100 for value in figures.values())
    with pytest.raises(UsageError, match="re-ranking compares unit vectors"):
        measure(other, dataset, protocol, folder=tmp_path / f"{retrieval}-table", rerank=True, device="cpu")


def test_a_gallery_keeps_what_target_aware_search_needs(run: Run, tiny_sysu: Path, tmp_path: Path) -> None:
    bundle = with_retrieval(Bundle.open(run.path), "target-aware", tmp_path / "bundle")
    images = open_dataset("sysu", tiny_sysu).images
    visible = images[images.modality == "visible"].head(12)
    table = visible[["path", "modality", "identity"]].reset_index(drop=True)
    gallery = Gallery.build(tmp_path / "gallery", bundle, table, device="cpu")
    query = images[images.modality == "infrared"].path.iloc[0]
    found = Gallery.open(tmp_path / "gallery", device="cpu").search(query, modality="infrared", top=3)
    assert found.mode == "cascade:50"
    scores = [hit.score for hit in found.hits]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)
    stored = gallery.store.fetch(sorted(gallery.store.keys())).arrays
    assert stored["tokens"].dtype == np.float16
    assert {"vector", "tokens", "keys", "queries", "gates"} <= set(stored)
