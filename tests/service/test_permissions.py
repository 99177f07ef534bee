"""Every route and every role, generated from the routes: a route that nobody gave a rule fails here."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute
from service_fixtures import Browser, Service, told

from vireid.service import console
from vireid.service.app import create_app
from vireid.service.core import Core
from vireid.service.rights import OPEN, OPEN_PAGES, PAGES, RIGHTS, RULES, Body, Right, Role
from vireid.service.settings import Limits

NAMES = {"gallery": "entrance", "image": "0" * 64, "search": "0" * 32, "job": "0" * 32, "key": "0" * 16, "purpose": "p"}
ROUTES = sorted(RULES)


def offered(core: Core) -> set[tuple[str, str]]:
    paths = create_app(core).openapi()["paths"]
    return {(method.upper(), path) for path, methods in paths.items() for method in methods}


def test_every_route_has_a_rule_and_every_rule_a_route(make_core: Callable[..., Core]) -> None:
    routes = offered(make_core())
    assert routes - set(RULES) - OPEN == set(), "give the new route a rule in vireid.service.rights"
    assert (set(RULES) | OPEN) - routes == set()


def test_every_page_has_a_rule_and_every_rule_a_page() -> None:
    routes = [route for router in console.PAGES for route in router.routes]
    assert all(isinstance(route, APIRoute) and not route.include_in_schema for route in routes)
    pages = {(method, route.path) for route in routes if isinstance(route, APIRoute) for method in route.methods}
    assert pages - set(PAGES) - set(OPEN_PAGES) == set(), "give the new page a rule in vireid.service.rights"
    assert (set(PAGES) | set(OPEN_PAGES)) - pages == set()


def test_what_changes_something_is_a_write_and_reads_bring_nothing() -> None:
    for (method, path), rule in RULES.items():
        assert (rule.body is Body.NOTHING) == (method in ("GET", "DELETE")), path
        assert rule.right is not None or (method, path) in {("GET", "/v1/openapi.json"), ("GET", "/v1/me")}


@pytest.fixture
def service(make_service: Callable[..., Service]) -> Service:
    return make_service(limits=Limits(failures_per_minute=1000, requests_per_minute=10_000))


@pytest.fixture
def clients(service: Service) -> dict[str, httpx.Client]:
    told(service.client("admin").post("/v1/galleries", json={"id": "entrance", "bundle": "demo"}), 201)
    keys: dict[str, Any] = {str(role): {"role": str(role)} for role in Role}
    keys |= {f"{role} elsewhere": {"role": str(role), "galleries": ["yard"]} for role in Role}
    keys |= {"exporter": {"role": "reader", "exports": True}}
    return {name: service.client(**how) for name, how in keys.items()} | {"nobody": service.client()}


def test_the_matrix(clients: dict[str, httpx.Client]) -> None:
    """401 without a key, 403 without the right, 404 in a gallery the key was not given; else the route decides."""
    wrong = []
    for method, template in ROUTES:
        path = template.format(**NAMES)
        right = RULES[method, template].right
        for name, client in clients.items():
            if method == "DELETE" and path == "/v1/galleries/entrance" and name == "admin":
                continue  # it would succeed, and take the gallery from those that follow
            answer = client.request(method, path)
            code = answer.json().get("code") if answer.headers["content-type"] == "application/problem+json" else None
            role = Role(name.split()[0]) if name.split()[0] in set(Role) else Role.READER
            may = right is None or right in RIGHTS[role] or (right is Right.EXPORT_MARKS and name == "exporter")
            if name == "nobody":
                good = (answer.status_code, code) == (401, "no-key")
            elif not may:
                good = (answer.status_code, code) == (403, "not-allowed")
            elif "elsewhere" in name and "{gallery}" in template:
                good = (answer.status_code, code) == (404, "not-found")
            else:
                good = answer.status_code not in (401, 403, 405) and answer.status_code < 500
            if not good:
                wrong.append((method, path, name, answer.status_code, code))
    assert not wrong


def test_the_matrix_of_pages(clients: dict[str, httpx.Client], service: Service) -> None:
    """As of the interface; where nobody is signed in there is the form for that, and 401."""
    wrong = []
    for name, client in clients.items():
        browser = Browser(service.address)
        if name != "nobody":
            assert browser.sign_in(client.headers["authorization"].removeprefix("Bearer ")).status_code == 303
        role = Role(name.split()[0]) if name.split()[0] in set(Role) else Role.READER
        for method, template in sorted(PAGES, key=lambda page: "sign-out" in page[1]):
            path, right = template.format(**NAMES), PAGES[method, template].right
            answer = browser.post(path) if method == "POST" else browser.get(path)
            may = right is None or right in RIGHTS[role]
            if name == "nobody":
                good = answer.status_code == 401 and 'name="key"' in answer.text
            elif not may:
                good = answer.status_code == 403 and "<code>not-allowed</code>" in answer.text
            elif "elsewhere" in name and "{gallery}" in template:
                good = answer.status_code == 404
            else:
                good = answer.status_code not in (401, 403, 405) and answer.status_code < 500
            if not good or not (answer.is_redirect or answer.headers["content-type"].startswith("text/html")):
                wrong.append((method, path, name, answer.status_code, answer.headers["content-type"]))
        browser.close()
    assert not wrong


def test_without_a_key_only_health_answers(clients: dict[str, httpx.Client]) -> None:
    nobody = clients["nobody"]
    assert told(nobody.get("/health/live")) == {"status": "alive"}
    assert told(nobody.get("/health/ready"))["ready"]
    for path in (
        "/docs",
        "/redoc",
        "/openapi.json",
        "/v1",
        "/metrics",
        "/v1/galleries/",
        "/health/live/",
        "//v1/me",
    ):
        assert nobody.get(path).status_code == 401, path
    assert clients["admin"].get("/docs").status_code == 404
    assert clients["admin"].put("/v1/galleries").status_code == 405


def test_a_scoped_admin_stays_within_its_galleries(service: Service, clients: dict[str, httpx.Client]) -> None:
    scoped = clients["admin elsewhere"]
    told(scoped.post("/v1/galleries", json={"id": "other", "bundle": "demo"}), 403)
    told(scoped.post("/v1/galleries", json={"id": "yard", "bundle": "demo"}), 201)
    assert [row["id"] for row in told(scoped.get("/v1/galleries"))["items"]] == ["yard"]
    told(scoped.post("/v1/keys", json={"holder": "me", "role": "admin"}), 422)
    made = told(scoped.post("/v1/keys", json={"holder": "me", "role": "reader", "galleries": ["yard"]}), 201)
    assert told(service.client(key=made["secret"]).get("/v1/me"))["galleries"] == ["yard"]
    seen = {key["id"] for key in told(scoped.get("/v1/keys"))["items"]}
    assert made["id"] in seen
    assert len(seen) == 5
    told(scoped.delete(f"/v1/keys/{told(clients['admin'].get('/v1/me'))['key']}"), 404)
    told(scoped.delete(f"/v1/keys/{made['id']}"))
    assert told(service.client(key=made["secret"]).get("/v1/me"), 401)["code"] == "key-not-accepted"
    assert told(scoped.delete(f"/v1/keys/{told(scoped.get('/v1/me'))['key']}"), 409)["code"] == "own-key"
