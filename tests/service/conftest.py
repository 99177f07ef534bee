"""A service on loopback with the torch-free model of the gallery's tests, on SQLite and on a real PostgreSQL."""

import importlib.util
import os
import pwd
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
import structlog
import uvicorn

from vireid.service.app import create_app
from vireid.service.core import Core
from vireid.service.keys import issue
from vireid.service.settings import Settings
from vireid.service.state import Database

FUTURE = (datetime.now(UTC) + timedelta(days=30)).isoformat()
DECLARED = {"purpose": "missing-person", "case": "2026-17", "authorisation": "order 4", "authorised_until": FUTURE}


def _gallery_fixtures() -> ModuleType:
    path = Path(__file__).parents[1] / "gallery" / "conftest.py"
    spec = importlib.util.spec_from_file_location("gallery_fixtures", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GALLERY = _gallery_fixtures()


class Browser:
    """What a browser without script does: cookies, forms with their tokens, no redirects unless told."""

    def __init__(self, address: str) -> None:
        self.client = httpx.Client(base_url=address, timeout=120)
        self.token = ""

    def sign_in(self, key: str, goal: str = "") -> httpx.Response:
        found = re.search(r'name="entrance" value="([^"]+)"', self.client.get("/console/sign-in").text)
        assert found
        answer = self.client.post("/console/sign-in", data={"key": key, "entrance": found[1], "goal": goal})
        page = self.client.get("/console", follow_redirects=True).text
        self.token = (re.findall(r'name="token" value="([^"]+)"', page) or [""])[0]
        return answer

    def get(self, path: str, **how: Any) -> httpx.Response:
        return self.client.get(path, **how)

    def post(self, path: str, data: dict[str, Any] | None = None, **how: Any) -> httpx.Response:
        return self.client.post(path, data={"token": self.token, **(data or {})}, **how)

    def close(self) -> None:
        self.client.close()


@dataclass
class Service:
    """A service at `address`; `client(role)` speaks to it with a key of that role, `browser(role)` uses the console."""

    core: Core
    address: str
    stop: Callable[[], None]
    _clients: list[Any] = field(default_factory=list)

    def key(self, role: str, **how: Any) -> str:
        with self.core.database.write() as session:
            return issue(session, **{"holder": f"holder of {role}", "role": role, **how})[1]

    def client(self, role: str | None = None, *, key: str | None = None, **how: Any) -> httpx.Client:
        text = key or (self.key(role, **how) if role else None)
        headers = {"Authorization": f"Bearer {text}"} if text else {}
        self._clients.append(client := httpx.Client(base_url=self.address, headers=headers, timeout=120))
        return client

    def browser(self, role: str, **how: Any) -> Browser:
        """Somebody with a key of that role, signed in to the console."""
        self._clients.append(browser := Browser(self.address))
        assert browser.sign_in(self.key(role, **how)).status_code == 303
        return browser

    def close(self) -> None:
        for client in self._clients:
            client.close()
        self.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run_service(core: Core) -> Service:
    config = uvicorn.Config(create_app(core), host="127.0.0.1", port=free_port(), log_config=None, server_header=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    until = time.monotonic() + 30
    while not server.started and thread.is_alive() and time.monotonic() < until:
        time.sleep(0.01)
    assert server.started

    def stop() -> None:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()

    return Service(core, f"http://127.0.0.1:{server.config.port}", stop)


@pytest.fixture(autouse=True)
def _quiet() -> None:
    """The log's lines would stand between the tests'; and structlog's own rendering of an exception takes seconds."""
    processors = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
    factory = structlog.ReturnLoggerFactory()
    structlog.configure(processors=processors, logger_factory=factory, cache_logger_on_first_use=False)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return Path(GALLERY.write_bundle(tmp_path / "model", seed=0).path)


@pytest.fixture
def pictures(tmp_path: Path) -> Callable[..., list[Path]]:
    """Writes noise pictures below a name: `pictures("crops", 5, seed=1)`."""

    def write(name: str, count: int, **how: Any) -> list[Path]:
        return list(GALLERY.write_pictures(tmp_path / name, count, **how))

    return write


@pytest.fixture
def make_settings(tmp_path: Path, model: Path) -> Callable[..., Settings]:
    def make(**changes: Any) -> Settings:
        values = {"folder": tmp_path / "service", "bundles": {"demo": model}, **changes}
        return Settings.model_validate(values)

    return make


@pytest.fixture
def make_core(make_settings: Callable[..., Settings]) -> Callable[..., Core]:
    def make(**changes: Any) -> Core:
        return Core(make_settings(**changes), opener=lambda bundle: GALLERY.StripeEncoder(digest=bundle.digest))

    return make


@pytest.fixture
def make_service(make_core: Callable[..., Core]) -> Iterator[Callable[..., Service]]:
    running: list[Service] = []

    def make(**changes: Any) -> Service:
        running.append(run_service(make_core(**changes)))
        return running[-1]

    yield make
    for service in running:
        service.close()


@pytest.fixture
def service(make_service: Callable[..., Service]) -> Service:
    return make_service()


@pytest.fixture
def filled(service: Service, pictures: Callable[..., list[Path]]) -> Service:
    """A service with gallery `entrance`: eight visible pictures of cameras 1 and 2, one purpose."""
    fill(service, pictures)
    return service


def fill(service: Service, pictures: Callable[..., list[Path]], gallery: str = "entrance") -> list[Path]:
    admin = service.client("admin")
    told(admin.post("/v1/galleries", json={"id": gallery, "bundle": "demo"}), 201)
    register = f"/v1/galleries/{gallery}/purposes"
    told(admin.post(register, json={"name": "missing-person", "basis": "Act 1"}), 201)
    paths = pictures(f"{gallery} crops", 8, seed=1)
    for camera, part in (("1", paths[:4]), ("2", paths[4:])):
        files = [("picture", (path.name, path.read_bytes())) for path in part]
        told(
            admin.post(f"/v1/galleries/{gallery}/images", files=files, data={"modality": "visible", "camera": camera}),
            201,
        )
    return paths


def told(answer: httpx.Response, status: int = 200) -> Any:
    """The answer's JSON, if it has the status."""
    assert answer.status_code == status, answer.text
    return answer.json()


def search(client: httpx.Client, path: Path, gallery: str = "entrance", **said: Any) -> httpx.Response:
    data: Mapping[str, Any] = {"modality": "infrared", **DECLARED, **said}
    return client.post(f"/v1/galleries/{gallery}/searches", files={"picture": path.read_bytes()}, data=dict(data))


class PostgreSQL:
    """An empty server of our own, on a port of loopback. It refuses to run as root, who lends it a user."""

    def __init__(self) -> None:
        self._tools = _postgresql_tools()
        self._user = "postgres" if os.geteuid() == 0 else None
        # pytest's own folders are closed to other users
        self._folder = Path(tempfile.mkdtemp(prefix="vireid-postgresql-"))
        if self._user:
            shutil.chown(self._folder, self._user)
        self._port = free_port()
        self._run("initdb", "-U", "vireid", "-A", "trust", "-E", "UTF8", "--no-sync")
        self.url = f"postgresql://vireid@127.0.0.1:{self._port}/postgres"
        self.start()

    def start(self) -> None:
        options = f"-p {self._port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
        self._run("pg_ctl", "-o", options, "-l", str(self._folder / "log"), "-w", "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-m", "immediate", "-w", "stop")

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._folder)

    def _run(self, tool: str, *words: str) -> None:
        command = [str(self._tools / tool), "-D", str(self._folder), *words]
        environment = _environment(self._user)
        subprocess.run(command, check=True, user=self._user, cwd="/", stdout=subprocess.DEVNULL, env=environment)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    server = PostgreSQL()
    yield server.url
    server.remove()


def _postgresql_tools() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    places = [*reversed(found), *(Path(tool).parent for tool in [shutil.which("initdb")] if tool)]
    if not places:
        pytest.fail("needs a PostgreSQL server: no initdb below /usr/lib/postgresql or on the PATH")
    return places[0]


def _environment(user: str | None) -> dict[str, str]:
    home = pwd.getpwnam(user).pw_dir if user else str(Path.home())
    return {"PATH": os.environ["PATH"], "HOME": home, "LC_ALL": "C.UTF-8"}


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database, of either kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'state.sqlite3'}"
        return
    server = request.getfixturevalue("postgresql")
    name = f"t{abs(hash(request.node.name)) % 10**9}_{os.getpid()}"
    import psycopg

    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield server.rsplit("/", 1)[0] + f"/{name}"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database(database_url)
    opened.migrate()
    yield opened
    opened.close()


sys.modules.setdefault("service_fixtures", sys.modules[__name__])
