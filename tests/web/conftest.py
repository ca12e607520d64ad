"""The real application over a memory store, in a real server on a free port."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import ClientResponse, CookieJar
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application, Request
from argon2 import PasswordHasher

from tests.web.control import LocalControl
from tradewind.model.rows import Lease, ParsedFile, PoolRow, UserRow
from tradewind.model.specs import DagSource, DagSpec, TaskSpec, TimetableSpec
from tradewind.ports import Store
from tradewind.store.memory import MemoryStore
from tradewind.web.app import make_app
from tradewind.web.settings import WebConfig

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
SECRET = b"a secret that only tests have, 32+"
LOGINS = {
    "admin": ("admin-password", "Admin"),
    "olga": ("olga-password", "Op"),
    "uma": ("uma-password", "User"),
    "vic": ("vic-password", "Viewer"),
    "paul": ("paul-password", "Public"),
}


def basic(username: str, password: str) -> dict[str, str]:
    """The header of HTTP Basic."""
    return {"Authorization": "Basic " + b64encode(f"{username}:{password}".encode()).decode()}


ADMIN = basic("admin", "admin-password")
HASHES = {name: CHEAP.hash(password) for name, (password, _) in LOGINS.items()}

WebClient = TestClient[Request, Application]

FETCH = DagSpec(
    "fetch_pictures",
    tasks=(
        TaskSpec("list", "PythonOperator", owner="ana", retries=2, extra={"module_path": "tradewind.standard.python"}),
        TaskSpec("group.fetch", "PythonOperator", upstream=("list",), group="group", execution_timeout=90.5),
        TaskSpec("report", "BashOperator", upstream=("group.fetch",), template_fields=("bash_command",)),
    ),
    timetable=TimetableSpec("cron_data_interval", {"cron": "0 3 * * *"}, "0 3 * * *", "At 03:00"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    tags=("example", "http"),
    description="Fetches pictures",
    doc_md="# Pictures",
    params={"limit": {"value": 3, "schema": {"type": "integer"}, "description": "how many"}},
    is_paused_upon_creation=False,
)
HOURLY = DagSpec(
    "hourly",
    tasks=(TaskSpec("tick", "EmptyOperator"),),
    timetable=TimetableSpec("delta_data_interval", {"delta": {"timedelta": 5400.0}}, "1:30:00", ""),
    is_paused_upon_creation=True,
)
BY_HAND = DagSpec("by_hand", tasks=(TaskSpec("only"),), tags=("example",), is_paused_upon_creation=False)


@dataclass(slots=True)
class Site:
    """A running server with what stands behind it."""

    client: WebClient
    control: LocalControl
    store: Store
    lease: Lease

    async def get(self, path: str, status: int = 200, /, **query: str) -> ClientResponse:
        """GET as admin; fails if the status is another."""
        return await self.ask("GET", path, status, params=query)

    async def ask(
        self,
        method: str,
        path: str,
        status: int = 200,
        *,
        auth: dict[str, str] = ADMIN,
        headers: Mapping[str, str] | None = None,
        json: object = None,
        data: bytes | None = None,
        params: Mapping[str, str] | None = None,
    ) -> ClientResponse:
        """Any request below /api/v1, as admin unless `auth` is another header; fails on another status."""
        answer = await self.client.request(
            method, f"/api/v1{path}", headers={**auth, **(headers or {})}, json=json, data=data, params=params
        )
        assert answer.status == status, f"{answer.status}: {await answer.text()}"
        return answer


def parsed(spec: DagSpec) -> ParsedFile:
    """A file that defines one DAG."""
    name = f"{spec.dag_id}.py"
    return ParsedFile(DagSource("dags", "1", f"/dags/{name}", name), (spec,), code=f"# {spec.dag_id}\n")


async def filled_store() -> tuple[MemoryStore, Lease]:
    """A memory store with three DAGs, a broken file, logins and a pool."""
    store = MemoryStore()
    await store.open()
    lease = await store.runtime_join("test")
    broken = ParsedFile(DagSource("dags", "1", "/dags/broken.py", "broken.py"), error="SyntaxError: line 3")
    await store.dag_publish(lease, "dags", [parsed(FETCH), parsed(HOURLY), parsed(BY_HAND), broken])
    for name, (_, role) in LOGINS.items():
        await store.user_set(UserRow(name, HASHES[name], role))
    await store.user_set(UserRow("gone", CHEAP.hash("gone-password"), "Admin", is_active=False))
    await store.pool_set(PoolRow("small", 2, "for few"))
    await store.variable_set("a", "1", "what for")
    await store.connection_set("db", '{"conn_type": "postgres", "host": "h", "password": "hidden", "extra": "{}"}')
    return store, lease


@pytest.fixture
def web_config(tmp_path: Path) -> WebConfig:
    """Settings of the site; a test module may override this fixture."""
    return WebConfig(secret_key=SECRET, port=0, ui_folder=tmp_path / "dist", heartbeat=0.05, max_body_bytes=100_000)


@asynccontextmanager
async def serving(config: WebConfig, folder: Path) -> AsyncGenerator[Site]:
    """The whole application behind a real socket."""
    store, lease = await filled_store()
    control = LocalControl(store, lease, folder / "logs")
    async with TestClient(TestServer(make_app(control, config)), cookie_jar=CookieJar(unsafe=True)) as client:
        yield Site(client, control, store, lease)
    await store.close()


@pytest.fixture
async def site(web_config: WebConfig, tmp_path: Path) -> AsyncIterator[Site]:
    """A site with the usual settings."""
    async with serving(web_config, tmp_path) as started:
        yield started
