import json

import numpy as np
import pytest

from vireid.data.protocol import Rule, forbidden
from vireid.data.sysu import Sysu
from vireid.files import digest_of

GALLERY = [(1, 2), (2, 1), (2, 4), (1, 1), (3, 5), (1, 4)]  # (identity, camera)


def dropped(rule: Rule, camera: int) -> list[tuple[int, int]]:
    identities, cameras = np.array(GALLERY).T
    invalid = forbidden(rule, (np.array([1]), np.array([camera])), (identities, cameras))
    assert invalid.shape == (1, len(GALLERY))
    return [pair for pair, drop in zip(GALLERY, invalid[0], strict=True) if drop]


@pytest.mark.parametrize(
    ("rule", "camera", "expected"),
    [
        (Rule.SYSU_LOCATION, 3, [(1, 2)]),
        (Rule.SYSU_LOCATION, 6, []),
        (Rule.SYSU_LOCATION, 4, [(2, 4), (1, 4)]),
        (Rule.NONE, 1, []),
        (Rule.SAME_IDENTITY_AND_CAMERA, 1, [(1, 1)]),
        (Rule.SAME_IDENTITY_AND_CAMERA, 2, [(1, 2)]),
        (Rule.SAME_IDENTITY_AND_CAMERA, 4, [(1, 4)]),
        (Rule.SAME_IDENTITY_AND_CAMERA, 9, []),
        (Rule.SAME_CAMERA, 1, [(2, 1), (1, 1)]),
        (Rule.SAME_CAMERA, 3, []),
    ],
)
def test_rules(rule: Rule, camera: int, expected: list[tuple[int, int]]):
    assert dropped(rule, camera) == expected


def test_location_rule_drops_strangers_too():
    invalid = forbidden(Rule.SYSU_LOCATION, (np.array([1]), np.array([3])), (np.array([8, 9]), np.array([2, 1])))
    assert invalid.tolist() == [[True, False]]


def test_location_rule_equals_the_rule_of_the_agw_family():
    rng = np.random.default_rng(0)
    query_camera, gallery_camera = rng.choice([3, 6], 500), rng.choice([1, 2, 4, 5], 300)
    query_identity, gallery_identity = rng.integers(0, 96, 500), rng.integers(0, 96, 300)
    ours = forbidden(Rule.SYSU_LOCATION, (query_identity, query_camera), (gallery_identity, gallery_camera))
    location = np.array([0, 1, 2, 2, 4, 5, 6])
    assert np.array_equal(ours, location[query_camera][:, None] == location[gallery_camera])
    assert np.array_equal(ours, (query_camera[:, None] == 3) & (gallery_camera == 2))


def test_unknown_cameras_equal_none():
    side = (np.array([1, 1]), np.array([-1, 2]))
    assert forbidden(Rule.SAME_IDENTITY_AND_CAMERA, side, side).tolist() == [[False, False], [False, True]]


def test_fingerprint_is_json_and_names_every_decision(official_sysu: Sysu):
    protocol = official_sysu.protocol("indoor-single-agw")
    fingerprint = protocol.fingerprint
    assert json.loads(json.dumps(fingerprint)) == fingerprint
    assert fingerprint["data"] == official_sysu.fingerprint
    assert {key: value for key, value in fingerprint.items() if key not in ("data", "trials")} == {
        "dataset": "SYSU-MM01",
        "kind": "sysu",
        "version": "official",
        "protocol": "indoor-single-agw",
        "query_modality": "infrared",
        "gallery_modality": "visible",
        "query_cameras": [3, 6],
        "gallery_cameras": [1, 2],
        "rule": "sysu-location",
        "shots": 1,
        "cmc": "identity",
    }
    assert fingerprint["trials"].startswith("10: ")
    assert protocol.digest == digest_of(fingerprint)
    digests = {official_sysu.protocol(name).digest for name in official_sysu.protocols()}
    assert len(digests) == len(official_sysu.protocols())
