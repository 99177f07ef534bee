"""A thousand requests made from the interface's own description: whatever comes, no answer says that we failed."""

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from service_fixtures import DECLARED, Service, fill, search, told

from vireid.service.rights import Role
from vireid.service.settings import Limits

REQUESTS = 1000
_REFUSED_BEFORE = ("no-key", "key-not-accepted", "not-allowed", "method-not-allowed", "too-large", "invalid")
"""Codes of the guard and of the check against the schema; handlers give the last two too, so this counts too many."""


@pytest.mark.slow
def test_requests_from_the_schema_are_answered(
    make_service: Callable[..., Service], pictures: Callable[..., list[Path]]
) -> None:
    limits = Limits(requests_per_minute=1_000_000, searches_per_day=1_000_000, failures_per_minute=1_000_000)
    service = make_service(limits=limits)
    paths = fill(service, pictures)
    admin = service.client("admin", exports=True)
    made = told(search(admin, paths[0]), 201)
    image = made["hits"][0]["image"]
    there = {"gallery": "entrance", "image": image, "search": made["id"], "purpose": "missing-person"}
    schema = schemathesis.openapi.from_dict(told(admin.get("/v1/openapi.json")))
    keys = {role: service.key(str(role), exports=role is not Role.AUDITOR) for role in Role}
    chance = random.Random(0)
    answers: Counter[str] = Counter()
    routes: Counter[str] = Counter()
    failed: list[str] = []

    def ask(case: Any) -> None:
        if (case.method.upper(), case.path) != ("DELETE", "/v1/galleries/{gallery}") and chance.random() < 0.8:
            given_names = {name: there[name] for name in case.path_parameters or {} if name in there}
            case.path_parameters = {**(case.path_parameters or {}), **given_names}
        if isinstance(case.body, dict) and "purpose" in case.body and chance.random() < 0.8:
            case.body.update(DECLARED)
        auditing = case.path.startswith("/v1/audit")
        key = keys[Role.AUDITOR if auditing else Role.ADMIN]
        answer = case.call(base_url=service.address, headers={"Authorization": f"Bearer {key}"}, timeout=120)
        problem = answer.headers.get("content-type") == ["application/problem+json"]
        code = answer.json()["code"] if problem else "answered"
        answers[code] += 1
        routes[f"{case.method} {case.path}"] += 1
        if answer.status_code >= 500:
            failed.append(f"{case.method} {case.path}: {answer.status_code} {answer.text}")

    operations = [found.ok() for found in schema.get_all_operations()]
    each = -(-REQUESTS // len(operations))
    for operation in operations:
        quietly = settings(max_examples=each, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        seed(0)(quietly(given(case=operation.as_strategy())(ask)))()
    while sum(answers.values()) < REQUESTS:  # routes without parameters have only one request
        before = sum(answers.values())
        for operation in operations:
            seed(before)(quietly(given(case=operation.as_strategy())(ask)))()
    assert not failed, failed[:5]
    total = sum(answers.values())
    reached = total - sum(answers[code] for code in _REFUSED_BEFORE)
    assert total >= REQUESTS
    assert reached >= total / 2, answers
    assert len(routes) == len(operations)
    assert told(admin.get("/health/ready"))["ready"]
