"""The metrics over a real runtime, as Prometheus reads them; and who may read them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import Metric as Family

from tests.services.conftest import until
from tests.services.in_hosts import running
from tests.web.conftest import ADMIN, SECRET, Site, basic, serving
from tradewind.control_ports import TriggerRequest
from tradewind.host import Runtime
from tradewind.model.errors import ConfigError
from tradewind.model.metrics import Metric, MetricKind, MetricSample
from tradewind.model.rows import PoolRow
from tradewind.model.states import RunState
from tradewind.services.counting import OTHER, Counts, Names
from tradewind.web.app import make_app
from tradewind.web.settings import WebConfig

TOKEN = "a-token-of-the-tests"
OUTCOMES = ("success", "failed", "deferred", "lost")
RESULTS = ("failed", "upstream_failed", "success")

FLOW = """
import asyncio, time
from datetime import datetime, timedelta
from pathlib import Path
from tradewind import DAG, EventSchedule, defer, task
from tradewind.standard.moment_triggers import TimeDeltaTrigger

GATE = Path({gate!r})

with DAG("flow", schedule=None, is_paused_upon_creation=False, start_date=datetime(2026, 1, 1)):
    @task
    async def blocks() -> None:
        time.sleep(0.2)

    @task(retries=1, retry_delay=timedelta(0))
    async def fails_once(ti=None) -> None:
        assert ti.try_number == 2

    @task
    async def waits(event=None) -> None:
        if event is None:
            defer(TimeDeltaTrigger(timedelta(seconds=0.01)))

    blocks() >> fails_once() >> waits()

with DAG("fails", schedule=EventSchedule("orders"), is_paused_upon_creation=False):
    @task(retries=0, pool="small", pool_slots=2)
    async def breaks() -> None:
        while not await asyncio.to_thread(GATE.exists):
            await asyncio.sleep(0.01)
        raise ValueError

    @task
    async def after() -> None: ...

    breaks() >> after()
"""


class Scrape:
    """The samples of one scrape."""

    def __init__(self, families: Mapping[str, Family]) -> None:
        self.families = families
        self.samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in families.values()
            for sample in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float | None:
        return self.samples.get((f"tradewind_{name}", frozenset(labels.items())))


async def scrape(client: TestClient[web.Request, web.Application], accept: str = "", **headers: str) -> Scrape:
    answer = await client.get("/metrics", headers={"Accept": accept, **headers})
    text = await answer.text()
    assert answer.status == 200, text
    module = "openmetrics.parser" if "openmetrics" in answer.headers["Content-Type"] else "parser"
    read: Callable[[str], Iterable[Family]] = import_module(
        f"prometheus_client.{module}"
    ).text_string_to_metric_families
    return Scrape({family.name: family for family in read(text)})


@asynccontextmanager
async def at_work(home: Path) -> AsyncGenerator[tuple[Runtime, TestClient[web.Request, web.Application]]]:
    """A runtime with the flow above, and its metrics."""
    config = WebConfig(secret_key=SECRET, metrics_public=True, ui_folder=home / "dist")
    async with (
        running(home, FLOW.format(gate=str(home / "gate")), "loop") as runtime,
        TestClient(TestServer(make_app(runtime.control, config))) as client,
    ):
        yield runtime, client


@pytest.mark.blocks_the_loop  # a task of the flow does
async def test_what_a_runtime_has_done(tmp_path: Path) -> None:
    async with at_work(tmp_path) as (runtime, client):
        assert (await scrape(client))("runs_finished_total", dag_id="flow", state="success") is None
        await runtime.pool_set(PoolRow("small", 3))
        offended = asyncio.Event()
        runtime.services.dispatcher.hear_offences(lambda _: offended.set())
        run = await runtime.control.run_trigger(TriggerRequest("flow"))
        assert (await runtime.control.run_wait(run.run_id)).state is RunState.SUCCESS
        await offended.wait()
        await asyncio.to_thread((tmp_path / "dags" / "broken.py").write_text, "from tradewind import DAG, nonsense")

        async def is_read() -> bool:
            return bool(await runtime.control.reads.import_error_list())

        await until(runtime, is_read)
        found = await scrape(client)

        assert found("runs_finished_total", dag_id="flow", state="success") == 1
        assert found("run_duration_seconds_count", dag_id="flow", state="success") == 1
        assert found("task_instances_finished_total", dag_id="flow", state="success") == 3
        assert found("task_retries_total", dag_id="flow") == 1
        ended = {kind: found("attempts_ended_total", executor="inline", outcome=kind) for kind in OUTCOMES}
        assert ended == {"success": 3, "failed": 1, "deferred": 1, "lost": None}
        assert found("attempts_started_total", executor="inline") == 5
        assert found("attempt_duration_seconds_count", executor="inline") == 5
        assert found("task_queued_duration_seconds_count", executor="inline") == 5
        assert found("task_scheduled_duration_seconds_count", pool="default_pool") == 5
        assert (found("waits_begun_total"), found("waits_answered_total", how="event")) == (1, 1)
        commits = found("commit_duration_seconds_count")
        assert commits is not None
        assert 5 <= commits <= runtime.services.scheduler.turns
        assert found("database_outages_total") == 0

        assert found("loop_offences_total", dag_id="flow", task_id="blocks", what="task", offence="blocked") == 1
        assert found("loop_blocked_seconds_count") == 1
        assert (found("loop_blocked_seconds_bucket", le="0.1"), found("loop_blocked_seconds_bucket", le="0.5")) == (
            0,
            1,
        )
        held = found("coroutine_loop_seconds_total", dag_id="flow", task_id="blocks", what="task", place="loop")
        assert held is not None
        assert held >= 0.2

        assert found("dag_files_parsed_total", outcome="ok") == 1
        assert found("dag_files_parsed_total", outcome="error") == 1
        assert (found("dag_files"), found("dag_import_errors")) == (2, 1)
        assert found("dag_file_parse_duration_seconds_count") == 2
        assert (found("dags"), found("scheduler_up"), found("database_up")) == (2, 1, 1)


async def test_what_stands_now(tmp_path: Path) -> None:
    """While a task runs that an event has caused, and another run waits for the pool."""
    async with at_work(tmp_path) as (runtime, client):
        await runtime.pool_set(PoolRow("small", 3))
        await runtime.event("orders", {"n": 1}, key="one")
        await runtime.event("orders", {"n": 1}, key="one")
        await runtime.event("orders", {"n": 2}, key="two")

        async def one_runs_and_one_waits() -> bool:
            found = await scrape(client)
            return found("task_instances", state="running") == found("task_instances", state="scheduled") == 1

        await until(runtime, one_runs_and_one_waits)
        found = await scrape(client)
        assert (found("runs", state="running"), found("runs", state="queued")) == (2, 0)
        assert found("events_taken_in_total", way="posted") == 3
        pool = {what: found(f"pool_slots{what}", pool="small") for what in ("", "_used", "_open", "_queued")}
        assert pool == {"": 3, "_used": 2, "_open": 1, "_queued": 2}
        assert (found("executor_slots_used", executor="inline"), found("async_attempts", place="loop")) == (1, 1)
        await asyncio.to_thread((tmp_path / "gate").touch)

        async def both_failed() -> bool:
            return (await scrape(client))("runs_finished_total", dag_id="fails", state="failed") == 2

        await until(runtime, both_failed)
        found = await scrape(client)
        states = {state: found("task_instances_finished_total", dag_id="fails", state=state) for state in RESULTS}
        assert states == {"failed": 2, "upstream_failed": 2, "success": 0}
        assert (found("pool_slots_used", pool="small"), found("pool_slots_queued", pool="small")) == (0, 0)
        assert found("task_scheduled_duration_seconds_count", pool="small") == 2


async def test_both_formats(site: Site) -> None:
    """And what is told about the server itself, without a runtime behind it."""
    await site.get("/health")
    login = ADMIN["Authorization"]
    plain = await scrape(site.client, Authorization=login)
    assert plain("http_request_duration_seconds_count", method="GET", route="/api/v1/health", status="2xx") == 1
    assert plain("database_up") == 1
    assert [key for key in plain.samples if key[0] == "process_resident_memory_bytes"]
    site.control.figures = (
        Metric("things", MetricKind.COUNTER, 'Text of a "doc"', ("a",), [MetricSample(('"\n\\',), 2)]),
    )
    for accept in ("application/openmetrics-text; version=1.0.0", "text/plain; version=0.0.4"):
        found = await scrape(site.client, accept, Authorization=login)
        assert found("things_total", a='"\n\\') == 2
        assert all(family.documentation for family in found.families.values())


@pytest.mark.parametrize(
    ("settings", "headers", "status"),
    [
        ({}, {}, 401),
        ({}, basic("vic", "vic-password"), 200),
        ({}, basic("vic", "wrong"), 401),
        ({}, basic("paul", "paul-password"), 403),
        ({}, {"Authorization": f"Bearer {TOKEN}"}, 401),
        ({"metrics_token": TOKEN}, {"Authorization": f"Bearer {TOKEN}"}, 200),
        ({"metrics_token": TOKEN}, {"Authorization": f"Bearer {TOKEN}\u00e9"}, 401),
        ({"metrics_token": TOKEN}, {}, 401),
        ({"metrics_public": True}, {}, 200),
    ],
)
async def test_who_may_read_them(
    web_config: WebConfig, tmp_path: Path, settings: dict[str, Any], headers: dict[str, str], status: int
) -> None:
    async with serving(replace(web_config, **settings), tmp_path) as site:
        answer = await site.client.get("/metrics", headers=headers)
        assert answer.status == status
        if headers.get("Authorization", "").startswith("Bearer") and status == 401:
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_token_that_is_too_short_is_refused(web_config: WebConfig) -> None:
    with pytest.raises(ConfigError, match=r"metrics\.token has 5 characters; it needs 16"):
        replace(web_config, metrics_token="short")


def test_further_names_are_counted_together() -> None:
    """And no counter ever moves from one series to another."""
    counts = Counts(Names(2))
    for name in ("a", "b", "c", "a", "d", "c"):
        counts.add((name,), ("x",))
    found = counts.metric("n", "", "name", "what").samples
    assert found == [(("a", "x"), 2), (("b", "x"), 1), ((OTHER, "x"), 3)]
