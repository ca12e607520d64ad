"""Listeners of plug-ins: told about tasks in their attempts, about runs and assets by the runtime."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.served_airflow import served_airflow
from tests.services.conftest import StartRuntime
from tradewind import DAG, task
from tradewind.authoring.assets import Asset
from tradewind.authoring.listeners import forget_listeners, hookimpl, register_listener, tell
from tradewind.control_ports import TriggerRequest
from tradewind.model.assets import AssetEventPut, AssetEventRow
from tradewind.model.batch import Batch, Segment
from tradewind.model.errors import AuthoringError
from tradewind.model.keys import RunId
from tradewind.services import run_listeners
from tradewind.services.run_book import RunBook
from tradewind.store.memory import MemoryStore, new_database

pytestmark = pytest.mark.blocks_the_loop


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    forget_listeners()
    yield
    forget_listeners()


class Hears:
    """Notes all that it is told; its first function always fails."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.run_told = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    @hookimpl
    def on_task_instance_running(self, previous_state: Any, task_instance: Any, session: Any) -> None:
        self.heard.append(("running", task_instance.task_id, previous_state))
        raise RuntimeError("a listener's own mistake")

    @hookimpl
    def on_task_instance_success(self, task_instance: Any) -> None:
        self.heard.append(("success", task_instance.task_id, task_instance.state))

    @hookimpl(tryfirst=True)
    def on_task_instance_failed(self, task_instance: Any, error: Any) -> None:
        self.heard.append(("failed", task_instance.task_id, str(error)))

    @hookimpl
    def on_asset_changed(self, asset: Any) -> None:
        self.heard.append(("asset", asset.uri))

    @hookimpl
    def on_dag_run_running(self, dag_run: Any, msg: str) -> None:
        self.heard.append(("run", dag_run.dag_id, dag_run.state.value))

    @hookimpl
    def on_dag_run_failed(self, dag_run: Any) -> None:
        self.heard.append(("run", dag_run.dag_id, dag_run.state.value, dag_run.end_date is not None))
        self._loop.call_soon_threadsafe(self.run_told.set)

    @hookimpl
    def on_starting(self, component: Any) -> None:
        self.heard.append(("starting", type(component).__name__))

    def on_dag_run_success(self) -> None:
        raise AssertionError("not marked, so not called")


async def test_what_listeners_are_told(start: StartRuntime) -> None:
    hears = Hears()
    register_listener(hears)
    register_listener(hears)
    with DAG("heard", schedule=None) as dag:

        @task(outlets=[Asset(uri="s3://b/k")])
        async def works() -> None: ...

        @task
        def breaks() -> None:
            raise ValueError("no")

        works().set_downstream(breaks())
    runtime = await start(dag)
    run = await runtime.control.run_trigger(TriggerRequest("heard", unpause=True))
    await runtime.control.run_wait(run.run_id, 60)
    async with asyncio.timeout(60):
        await hears.run_told.wait()
    by_tasks = [one for one in hears.heard if one[0] in ("running", "success", "failed")]
    assert by_tasks == [
        ("running", "works", "queued"),
        ("success", "works", "success"),
        ("running", "breaks", "queued"),
        ("failed", "breaks", "no"),
    ]
    assert [one for one in hears.heard if one not in by_tasks] == [
        ("starting", "Runtime"),
        ("run", "heard", "running"),
        ("asset", "s3://b/k"),
        ("run", "heard", "failed", True),
    ]


def test_marks_of_pluggy_count_and_mistakes_are_named(caplog: pytest.LogCaptureFixture) -> None:
    class Wrong:
        @hookimpl
        def on_dag_run_sucess(self) -> None: ...

    with pytest.raises(AuthoringError, match=r"'on_dag_run_sucess'; the names are .*on_dag_run_success"):
        register_listener(Wrong())

    heard: list[str] = []

    def before_stopping() -> None:
        heard.append("stopping")

    before_stopping.airflow_impl = {}  # type: ignore[attr-defined]  # what pluggy's marker does
    holder = type("Module", (), {"before_stopping": staticmethod(before_stopping)})()
    register_listener(holder)
    tell("before_stopping", component=None)
    assert heard == ["stopping"]

    class Fails:
        @staticmethod
        @hookimpl
        def before_stopping() -> None:
            raise RuntimeError("a listener's own mistake")

    register_listener(Fails())
    tell("before_stopping", component=None)
    assert "Fails.before_stopping failed" in caplog.text


PLUGIN = """
from pathlib import Path

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin


class Hears:
    def note(self, text):
        with Path(__file__).with_suffix(".txt").open("a") as file:
            print(text, file=file)

    @hookimpl
    def on_starting(self):
        self.note("starting")

    @hookimpl
    def on_dag_run_running(self, dag_run):
        self.note(f"{dag_run.dag_id} runs")

    @hookimpl
    def on_dataset_changed(self, dataset):
        self.note(dataset.uri)


class Mine(AirflowPlugin):
    name = "mine"
    listeners = [Hears()]
"""


async def test_listeners_of_the_plugins_folder_hear_of_runs_and_assets(start: StartRuntime, tmp_path: Path) -> None:
    """Where no DAG file has been loaded in the runtime's own process."""
    file = tmp_path / "plugins" / "mine_that_hears.py"
    await asyncio.to_thread(file.parent.mkdir)
    await asyncio.to_thread(file.write_text, PLUGIN)
    with DAG("makes", schedule=None) as dag:

        @task(outlets=[Asset("s3://made")])
        async def make() -> None: ...

        make()
    told = asyncio.Event()
    loop = asyncio.get_running_loop()

    class Last:
        @hookimpl
        def on_dataset_changed(self) -> None:
            loop.call_soon_threadsafe(told.set)

    with served_airflow():
        runtime = await start(dag)
        register_listener(Last())  # after the one of the folder
        run = await runtime.control.run_trigger(TriggerRequest("makes", unpause=True))
        await runtime.control.run_wait(run.run_id, 60)
        async with asyncio.timeout(60):
            await told.wait()
    heard = await asyncio.to_thread(file.with_suffix(".txt").read_text)
    assert heard.splitlines() == ["starting", "makes runs", "s3://made/"]


async def test_what_comes_while_listeners_are_too_far_behind_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    said: asyncio.Future[tuple[object, ...]] = asyncio.get_running_loop().create_future()

    def note(*line: object) -> None:
        said.set_result(line)

    monkeypatch.setattr(run_listeners, "BACKLOG", 2)
    monkeypatch.setattr(run_listeners.log, "warning", note)
    told: list[str] = []

    class Slow:
        @hookimpl
        def on_asset_changed(self, asset: Asset) -> None:
            told.append(asset.uri)

    register_listener(Slow())
    listeners = run_listeners.RunListeners(RunBook(MemoryStore(new_database())))
    segment = Segment(RunId(1), "d")
    at = datetime(2026, 1, 1, tzinfo=UTC)
    segment.asset_events += [AssetEventRow("t", -1, at, AssetEventPut(f"s3://b/{n}", f"n{n}")) for n in range(4)]
    listeners.learn(Batch([segment]))
    telling = asyncio.ensure_future(listeners.run())
    text, count = await asyncio.wait_for(said, 60)
    telling.cancel()
    await asyncio.wait([telling])
    assert (told, count) == (["s3://b/0"], 6)
    assert "not told" in str(text)
