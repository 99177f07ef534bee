"""Many at once: whatever mixes, what was added is there, what was deleted is gone, and the audit is whole."""

import hashlib
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from service_fixtures import Service, fill, search, told

from vireid.gallery.store import KEY
from vireid.service.audit import verify
from vireid.service.settings import Limits

CLIENTS, SECONDS = 24, 20


@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_nothing_is_lost_and_nothing_comes_back(
    make_service: Callable[..., Service],
    pictures: Callable[..., list[Path]],
    request: pytest.FixtureRequest,
    database: str,
) -> None:
    limits = Limits(requests_per_minute=1_000_000, searches_per_day=1_000_000)
    url = {} if database == "sqlite" else {"database": request.getfixturevalue("postgresql")}
    service = make_service(limits=limits, **url)
    base = fill(service, pictures)
    own = pictures("own", 40 * CLIENTS, seed=4)
    added: list[set[str]] = [set() for _ in range(CLIENTS)]
    deleted: list[set[str]] = [set() for _ in range(CLIENTS)]
    statuses: Counter[tuple[str, int]] = Counter()
    wrong: list[str] = []
    until = time.monotonic() + SECONDS

    def work(number: int) -> None:
        chance = random.Random(number)
        client = service.client("operator", holder=f"client {number}")
        client.timeout = 120
        mine = own[40 * number : 40 * (number + 1)]
        place = 0
        while time.monotonic() < until:
            act = chance.choice(("add", "search", "delete"))
            if act == "add" and place < len(mine):
                some = mine[place : place + chance.randrange(1, 4)]
                place += len(some)
                files = [("picture", (path.name, path.read_bytes())) for path in some]
                answer = client.post("/v1/galleries/entrance/images", files=files, data={"modality": "visible"})
                if answer.status_code == 201:
                    added[number] |= {row["image"] for row in answer.json()}
            elif act == "delete" and added[number] - deleted[number]:
                image = chance.choice(sorted(added[number] - deleted[number]))
                answer = client.delete(f"/v1/galleries/entrance/images/{image}")
                if answer.status_code == 200:
                    deleted[number].add(image)
            else:
                answer = search(client, chance.choice(base), top=200)
                gone = {hit["image"] for hit in answer.json().get("hits", [])} & deleted[number]
                if gone:
                    wrong.append(f"client {number} found {gone}, which it had deleted")
            statuses[act, answer.status_code] += 1
            if answer.status_code >= 400:
                wrong.append(f"{act}: {answer.status_code} {answer.text}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[:5]
    assert {act for act, _ in statuses} == {"add", "search", "delete"}
    core = service.core
    expected = {hashlib.sha256(path.read_bytes()).hexdigest() for path in base}
    expected |= set().union(*added) - set().union(*deleted)
    admin = service.client("admin")
    seen, after = set(), ""
    while True:
        page = told(admin.get(f"/v1/galleries/entrance/images?limit=500{after}"))
        seen |= {row["id"] for row in page["items"]}
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert seen == expected
    assert set(core.galleries._opened("entrance").table()[KEY]) == expected
    assert {path.stem for path in core.library.pictures.folder.rglob("*.png")} == expected
    found = verify(core.database, core.ledger.anchors)
    assert found.sound
    assert not found.gaps
