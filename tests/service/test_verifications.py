"""Two pictures compared: by the arithmetic of `vireid verify`, with a reason, and never a probability by itself."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from math import exp
from pathlib import Path
from typing import Any

import httpx
import pytest
from service_fixtures import DECLARED, GALLERY, Service, fill, search, told

from vireid.gallery import verify
from vireid.methods.bundle import Bundle
from vireid.service.settings import Limits


@pytest.fixture
def calibrated(model: Path, calibration: Any, pair: Any) -> Bundle:
    bundle = Bundle.open(model)
    bundle.attach(calibration(bundle, infrared_visible=pair(10, -2)))
    return Bundle.open(model)


def compare(client: httpx.Client, paths: list[Path], **said: Any) -> httpx.Response:
    files = {"picture": paths[0].read_bytes(), "other": paths[1].read_bytes()}
    data = {"modality": "infrared", "other_modality": "visible", **DECLARED, **said}
    return client.post("/v1/galleries/entrance/verifications", files=files, data=data)


def test_two_pictures_get_the_ratio_and_a_posterior_only_with_a_prior(
    service: Service, calibrated: Bundle, pictures: Callable[..., list[Path]]
) -> None:
    paths = fill(service, pictures)
    reader, auditor = service.client("reader"), service.client("auditor")
    found = told(compare(reader, paths), 201)
    encoder = GALLERY.StripeEncoder(digest=calibrated.digest)
    expected = verify(calibrated, (paths[0], paths[1]), ("infrared", "visible"), encoder=encoder)
    for name in ("score", "llr", "seen", "false_match_rate", "calibration"):
        assert found[name] == pytest.approx(getattr(expected, name)), name
    assert found["interval"] == pytest.approx(list(expected.interval))
    assert found["llr"] == pytest.approx(10 * found["score"] - 2)
    assert (found["prior"], found["posterior"]) == (None, None)
    with_prior = told(compare(reader, paths, prior=0.2), 201)
    odds = 0.25 * exp(found["llr"])
    assert with_prior["posterior"] == pytest.approx(odds / (1 + odds))
    entries = told(auditor.get("/v1/audit?action=verification"))["items"]
    assert [entry["details"]["prior"] for entry in entries] == [None, 0.2]
    details = entries[0]["details"]
    assert (details["purpose"], details["case"], details["llr"]) == ("missing-person", "2026-17", found["llr"])
    assert len(details["images"]) == 2
    assert told(reader.get("/v1/galleries/entrance/searches"))["items"] == []
    [count] = told(auditor.get(f"/v1/audit/counts?year={datetime.now(UTC).year}"))
    assert (count["what"], count["number"]) == ("verification", 2)


def test_a_comparison_needs_a_reason_and_numbers_that_mean_something(
    service: Service, calibrated: Bundle, pictures: Callable[..., list[Path]]
) -> None:
    paths = fill(service, pictures)
    reader = service.client("reader")
    assert told(compare(reader, paths, purpose="curiosity"), 403)["code"] == "purpose-not-admissible"
    past = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    assert told(compare(reader, paths, authorised_until=past), 403)["code"] == "authorisation-expired"
    refused = told(service.client("auditor").get("/v1/audit?action=verification.refused"))["items"]
    assert [entry["details"]["code"] for entry in refused] == ["purpose-not-admissible", "authorisation-expired"]
    for prior in (0, 1, "nan", "inf"):
        assert told(compare(reader, paths, prior=prior), 422)["code"] == "invalid"
    other_way = told(compare(reader, paths, modality="visible", other_modality="infrared"), 409)
    assert (other_way["code"], "infrared-visible" in other_way["detail"]) == ("not-calibrated", True)
    broken = paths[0].parent / "broken.png"
    broken.write_bytes(b"no picture")
    assert told(compare(reader, [paths[0], broken]), 422)["code"] == "unreadable-picture"


def test_without_a_calibration_nothing_is_said(service: Service, pictures: Callable[..., list[Path]]) -> None:
    paths = fill(service, pictures)
    found = told(compare(service.client("reader"), paths), 409)
    assert found["code"] == "not-calibrated"
    assert str(service.core.settings.folder.parent) not in str(found)


def test_comparisons_count_among_the_searches_of_a_day(
    make_service: Callable[..., Service], calibrated: Bundle, pictures: Callable[..., list[Path]]
) -> None:
    service = make_service(limits=Limits(searches_per_day=2))
    paths = fill(service, pictures)
    reader = service.client("reader")
    told(compare(reader, paths), 201)
    told(search(reader, paths[0]), 201)
    assert told(compare(reader, paths), 429)["code"] == "quota-exhausted"
    assert told(search(reader, paths[0]), 429)["code"] == "quota-exhausted"
    service.core.library.drop("entrance", key="")
    fill(service, pictures)
    assert told(search(reader, paths[0]), 429)["code"] == "quota-exhausted"  # also where what was searched has gone
