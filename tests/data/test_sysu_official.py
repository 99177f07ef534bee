"""The published figures of SYSU-MM01, from its published counts alone."""

import hashlib
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vireid.data.counts import count_pictures, official_counts, official_pictures
from vireid.data.permutation import read_permutation
from vireid.data.protocol import Protocol, Rule
from vireid.data.sampling import sightings, take
from vireid.data.sysu import Sysu
from vireid.evaluation import evaluate
from vireid.matching import Matcher
from vireid.types import CmcKind, Embeddings, Modality, Side

PERMUTATION = os.environ.get("VIREID_SYSU_PERMUTATION")
needs_permutation = pytest.mark.skipif(
    PERMUTATION is None, reason="needs the official rand_perm_cam.mat (VIREID_SYSU_PERMUTATION)"
)

AGW = {
    "all": "2a712e81441eb72b 4b422a6b3e7d094e 3b5142b90ce47bbc 91999c86c57cb130 5fd92bd787cf30bd "
    "582f995b6f7220a3 68f2eae230f73470 c614d565292f07a3 e82d376b7470bec4 b23bb24f4cd6c5d4",
    "indoor": "e25c3fb37bfae3b0 7ae534b91f4bb8a3 5fbd73861fcb6511 67e83d51b13be50c aeac3929da497bbd "
    "27682dae627d52dd a0717ceaca388c86 275542c27330875d 625af0f6079b84c9 93b39a04e826b229",
}
OFFICIAL = {
    ("all", 1): "cf444e6cf9214a33 d7a0277f339b5ee5 3a9c21ba04df4c3c b568d9b154b16209 b27be9e8659fc22c "
    "f5e4dc2641212b63 a4b5239e97ec6f61 4511752c3cf68b78 8bfad29725b338b7 cc905596611ee86a",
    ("indoor", 1): "d4ed2b3c12372876 68ff3f76ae744551 ad3c578f317e5760 3af2e98d1011c732 7f73436ba1fc9ff4 "
    "98ecab620001d817 c5cdd36703b13ecf 509728a4193ccb48 71e06f71778310d6 be80fd5c4a55f89a",
    ("all", 10): "0a80ae3973594012 6397396759bfc858 ef9a452638d1269f 0374e52f145d35fd 7d1e911e55aaf756 "
    "29bf000da3a6097f e6d04adba0c9621d aa632c7c2a63b507 5575a9183e55ed85 36fc097db681c78a",
}


def gallery_hash(dataset: Sysu, gallery: np.ndarray) -> str:
    rows = dataset.images.loc[gallery].sort_values(["identity", "camera", "path"])
    words = [f"{i:04d}_c{c}_{Path(p).stem}" for i, c, p in zip(rows.identity, rows.camera, rows.path, strict=True)]
    return hashlib.sha256(";".join(words).encode()).hexdigest()[:16]


def relevant(protocol: Protocol, camera: int, trial: int = 0) -> dict[int, int]:
    """How many queries of `camera` have how many correct gallery pictures that count."""
    drawn = protocol.trials()[trial]
    identity = protocol.images.identity.to_numpy()
    correct = (identity[drawn.query][:, None] == identity[drawn.gallery]) & ~drawn.invalid
    of_camera = protocol.images.camera.to_numpy()[drawn.query] == camera
    return dict(Counter(correct.sum(axis=1)[of_camera].tolist()))


def test_stored_counts_are_the_published_ones():
    pictures = official_pictures("sysu")
    by_camera = pictures.groupby("camera").images.sum().to_dict()
    assert by_camera == {1: 6289, 2: 7528, 3: 9812, 4: 8030, 5: 8224, 6: 5980}
    assert pictures.groupby("modality").images.sum().to_dict() == {"infrared": 15_792, "visible": 30_071}
    assert pictures.identity.nunique() == 513
    sightings_of = pictures.groupby("identity").modality.nunique()
    assert (sightings_of == 2).sum() == 491
    expected = {
        "train": (296, [4721, 5753, 5929, 4821, 4989, 4000]),
        "val": (99, [0, 0, 1980, 990, 984, 0]),
        "test": (96, [1374, 1565, 1883, 1918, 1918, 1920]),
    }
    for split, (identities, cameras) in expected.items():
        part = pictures[pictures.split == split]
        assert part.identity.nunique() == identities
        assert part.groupby("camera").images.sum().reindex(range(1, 7), fill_value=0).tolist() == cameras


@pytest.mark.parametrize(
    ("split", "prefix"), [("train", "1152145f1e15aac4"), ("val", "5e5b42b99fd94d5e"), ("test", "d11bc1de3c591e3e")]
)
def test_identity_lists(split: str, prefix: str):
    pictures = official_pictures("sysu")
    identities = sorted(pictures.identity[pictures.split == split].unique())
    assert hashlib.sha256(",".join(map(str, identities)).encode()).hexdigest().startswith(prefix)


def test_table_holds_what_is_published(official_sysu: Sysu):
    assert count_pictures(official_sysu.images) == official_counts("sysu")
    training = official_sysu.images.loc[official_sysu.training_rows()]
    assert training.identity.nunique() == 395
    assert (training.modality == "visible").sum() == 22_258
    assert (training.modality == "infrared").sum() == 11_909
    per_identity = training.groupby(["modality", "identity"]).size()
    assert (per_identity["visible"].min(), per_identity["visible"].max()) == (10, 144)
    assert (per_identity["infrared"].min(), per_identity["infrared"].max()) == (20, 46)
    test = official_sysu.images[official_sysu.images.split == "test"]
    assert test.groupby("camera").identity.nunique().tolist() == [56, 56, 93, 94, 95, 96]
    assert test.groupby(["identity", "camera"]).size().min() == 13


def test_default_protocol(official_sysu: Sysu):
    protocol = official_sysu.protocol(official_sysu.default_protocol)
    assert protocol.name == "all-single-agw"
    assert (protocol.query_modality, protocol.gallery_modality) == (Modality.INFRARED, Modality.VISIBLE)
    assert protocol.cmc is CmcKind.IDENTITY
    assert protocol.rule is Rule.SYSU_LOCATION
    assert not official_sysu.synthetic
    assert official_sysu.restricted


@pytest.mark.parametrize("mode", ["all", "indoor"])
def test_seeded_galleries(official_sysu: Sysu, mode: str):
    trials = official_sysu.protocol(f"{mode}-single-agw").trials()
    assert [gallery_hash(official_sysu, trial.gallery) for trial in trials] == AGW[mode].split()
    assert len(np.unique(np.concatenate([trial.gallery for trial in trials]))) == {"all": 2489, "indoor": 951}[mode]


def test_first_seeded_gallery_starts_as_published(official_sysu: Sysu):
    first = official_sysu.protocol("all-single-agw").trials()[0].gallery[:4]
    names = [Path(path).parts[-3:] for path in official_sysu.images.path[first]]
    assert ["/".join(name) for name in names] == [
        "cam1/0006/0025.jpg", "cam2/0006/0025.jpg", "cam4/0006/0014.jpg", "cam5/0006/0002.jpg",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "gallery", "kept_by_cam3", "valid"),
    [
        ("all-single-agw", 301, 245, 3803),
        ("all-multi-agw", 3010, 2450, 3803),
        ("indoor-single-agw", 112, 56, 2208),
        ("indoor-multi-agw", 1120, 560, 2208),
    ],
)
def test_sizes(official_sysu: Sysu, name: str, gallery: int, kept_by_cam3: int, valid: int):
    protocol = official_sysu.protocol(name)
    camera, identity = (protocol.images[column].to_numpy() for column in ("camera", "identity"))
    trials = protocol.trials()
    assert [trial.index for trial in trials] == list(range(10))
    for trial in trials:
        assert len(trial.query) == 3803
        assert len(trial.gallery) == len(np.unique(trial.gallery)) == gallery
    kept = (~trials[0].invalid).sum(axis=1)
    queried = camera[trials[0].query]
    assert set(kept[queried == 3]) == {kept_by_cam3}
    assert set(kept[queried == 6]) == {gallery}
    correct = (identity[trials[0].query][:, None] == identity[trials[0].gallery]) & ~trials[0].invalid
    assert correct.any(axis=1).sum() == valid


def test_correct_pictures_per_query(official_sysu: Sysu):
    everywhere = official_sysu.protocol("all-single-agw")
    assert relevant(everywhere, 3) == {3: 1068, 2: 775, 1: 40}
    assert relevant(everywhere, 6) == {4: 1100, 3: 20, 2: 760, 1: 40}
    indoor = official_sysu.protocol("indoor-single-agw")
    assert relevant(indoor, 3) == {1: 1088, 0: 795}
    assert relevant(indoor, 6) == {2: 1120, 0: 800}


def test_validation_protocol(official_sysu: Sysu):
    protocol = official_sysu.protocol("val")
    assert protocol.fingerprint["query_cameras"] == [3]
    assert protocol.fingerprint["gallery_cameras"] == [4, 5]
    tested = set(protocol.images.identity[protocol.trials()[0].query])
    trained = set(protocol.images.identity[protocol.training_rows])
    assert (len(tested), len(trained)) == (99, 296)
    assert not tested & trained
    assert np.array_equal(official_sysu.training_rows("val"), protocol.training_rows)


def test_protocols_without_the_permutation_file(official_sysu: Sysu):
    assert official_sysu.protocols() == [
        "all-single-agw", "all-multi-agw", "indoor-single-agw", "indoor-multi-agw", "val",
    ]  # fmt: skip


@needs_permutation
@pytest.mark.parametrize(("mode", "shots"), OFFICIAL)
def test_official_galleries(official_sysu: Sysu, mode: str, shots: int):
    permutation = read_permutation(Path(str(PERMUTATION)))
    images = official_sysu.images
    cameras = {"all": (1, 2, 4, 5), "indoor": (1, 2)}[mode]
    rows = official_sysu.rows(split="test", modality=Modality.VISIBLE)
    groups = sightings(images, rows[np.isin(images.camera.to_numpy()[rows], cameras)])
    sizes = {key: len(group) for key, group in groups.items()}
    galleries = [take(list(groups.values()), permutation.draw(t, sizes, shots=shots)) for t in range(10)]
    assert [gallery_hash(official_sysu, gallery) for gallery in galleries] == OFFICIAL[mode, shots].split()


@needs_permutation
def test_official_galleries_differ_between_trials_as_published(official_sysu: Sysu):
    permutation = read_permutation(Path(str(PERMUTATION)))
    counts = {}
    for name, cameras, shots in [("all", (1, 2, 4, 5), 1), ("indoor", (1, 2), 1), ("all", (1, 2, 4, 5), 10),
                                 ("indoor", (1, 2), 10)]:  # fmt: skip
        rows = official_sysu.rows(split="test", modality=Modality.VISIBLE)
        groups = sightings(official_sysu.images, rows[np.isin(official_sysu.images.camera.to_numpy()[rows], cameras)])
        sizes = {key: len(group) for key, group in groups.items()}
        drawn = [take(list(groups.values()), permutation.draw(t, sizes, shots=shots)) for t in range(10)]
        counts[name, shots] = len(np.unique(np.concatenate(drawn)))
    assert counts == {("all", 1): 2456, ("indoor", 1): 935, ("all", 10): 6723, ("indoor", 10): 2894}


class Counting(Matcher):
    """Counts how often each pair of pictures is looked at."""

    name, exact, fields = "counting", False, ("number",)

    def __init__(self, pictures: int) -> None:
        self.looked = np.zeros((pictures, pictures), np.uint8)

    def lift(self, embeddings: Embeddings[Any], side: Side) -> Any:
        return embeddings.vector

    def score(self, query: Embeddings[Any], gallery: Embeddings[Any]) -> Any:
        self.looked[query.fields["number"][:, None], gallery.fields["number"]] += 1
        return query.vector @ gallery.vector.T

    def rescore(self, query: Embeddings[Any], gallery: Embeddings[Any], candidates: Any) -> Any:
        self.looked[query.fields["number"][:, None], gallery.fields["number"][candidates]] += 1
        return np.einsum("qd,qkd->qk", query.vector, gallery.vector[candidates])


@pytest.mark.parametrize("mode", ["full", "cascade:50"])
def test_ten_trials_look_at_each_distinct_pair_once(official_sysu: Sysu, mode: str):
    protocol = official_sysu.protocol("all-single-agw")
    trials = protocol.trials()
    rows = np.unique(np.concatenate([np.concatenate([trial.query, trial.gallery]) for trial in trials]))
    vectors = np.random.default_rng(0).standard_normal((len(rows), 4))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    matcher = Counting(len(rows))
    evaluate(protocol, Embeddings(vectors, {"number": np.arange(len(rows))}), rows, matcher, mode=mode)
    assert matcher.looked.max() == 1
    seen, draws = int(matcher.looked.sum()), 10 * 3803 * (301 if mode == "full" else 50)
    assert seen == 3803 * 2489 if mode == "full" else 0 < seen < draws
    if mode == "full":
        return
    possible = np.zeros_like(matcher.looked, np.bool_)
    for trial in trials:
        possible[np.searchsorted(rows, trial.query)[:, None], np.searchsorted(rows, trial.gallery)] |= ~trial.invalid
    assert not (matcher.looked.astype(np.bool_) & ~possible).any()
