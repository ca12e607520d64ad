"""What happens to one attempt of the inline executor does not happen to its neighbours, nor after its end."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tradewind.authoring.dag import DAG
from tradewind.authoring.operator import BaseOperator
from tradewind.authoring.serialize import dag_to_spec
from tradewind.model.specs import DagSpec, TaskSpec
from tradewind.model.states import OutcomeKind
from tradewind.model.waits import Resume, WaitAnswer
from tradewind.standard.sensors import PythonSensor
from tradewind.testing.executor_host import AttemptMaker, MemoryHost
from tradewind.testing.executor_suite import Stage
from tradewind_executors.inline import InlineExecutor


class Does(BaseOperator):
    """Calls a function in a thread."""

    def __init__(self, *, does: Callable[[], Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.does = does

    def execute(self, context: Any) -> Any:
        return self.does()


class Awaits(Does):
    """Awaits what a function gives."""

    async def execute(self, context: Any) -> Any:
        return await self.does()


class Made:
    """Makes stages with an inline executor, and stops them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.stages: list[Stage] = []

    def stage(self, spec: DagSpec, path: str, **settings: object) -> Stage:
        host = MemoryHost(str(self._folder / "logs"), {"block_warn": 30.0, "block_kill": 60.0, **settings})
        stage = Stage(InlineExecutor(), host, AttemptMaker(spec, path, executor="inline"))
        self.stages.append(stage)
        return stage

    async def stage_of(self, dag: DAG, **settings: object) -> Stage:
        """For a DAG that is handed over as an object."""
        stage = self.stage(await asyncio.to_thread(dag_to_spec, dag), "/nowhere.py", **settings)
        executor = stage.executor
        assert isinstance(executor, InlineExecutor)
        executor.register_dag(dag)
        return stage


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[Made]:
    made = Made(tmp_path)
    yield made
    for stage in made.stages:
        await stage.executor.stop(drain=None)


def new_dag() -> DAG:
    return DAG("d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC))


def holder(began: threading.Event, go_on: threading.Event) -> Callable[[], None]:
    """Holds its thread until it may go on."""

    def holds() -> None:
        began.set()
        go_on.wait()

    return holds


SLOW_FILE = """
from datetime import datetime
from tradewind.authoring.dag import DAG
from tradewind.authoring.operator import BaseOperator

with open({gate!r}) as file:
    file.read()

class Does(BaseOperator):
    async def execute(self, context):
        pass

with DAG("d", schedule=None, start_date=datetime(2026, 1, 1)):
    Does(task_id="t")
"""


async def test_an_import_that_others_wait_for_outlives_who_asked_first(made: Made, tmp_path: Path) -> None:
    gate, file = tmp_path / "gate", tmp_path / "file.py"
    os.mkfifo(gate)
    await asyncio.to_thread(file.write_text, SLOW_FILE.format(gate=str(gate)))
    stage = made.stage(DagSpec("d", (TaskSpec("t", is_async=True),)), str(file))
    first, second = stage.maker.attempt("t"), stage.maker.attempt("t", try_number=2, max_tries=2)
    await stage.submit([first, second])
    writer = await asyncio.to_thread(os.open, gate, os.O_WRONLY)  # returns when the file is being imported
    await stage.executor.cancel(first.key, grace=timedelta(seconds=30))
    assert (await stage.host.end_of(first)).outcome.kind is OutcomeKind.CANCELLED
    os.close(writer)
    assert (await stage.host.end_of(second)).outcome.kind is OutcomeKind.SUCCESS
    executor = stage.executor
    assert isinstance(executor, InlineExecutor)
    assert not executor.offences, "an import is nobody's leftover"


async def test_an_import_that_hangs_is_an_error(made: Made, tmp_path: Path) -> None:
    gate, file = tmp_path / "gate", tmp_path / "file.py"
    os.mkfifo(gate)
    await asyncio.to_thread(file.write_text, SLOW_FILE.format(gate=str(gate)))
    stage = made.stage(DagSpec("d", (TaskSpec("t", is_async=True),)), str(file), import_timeout=0.2)
    outcome = await stage.run("t")
    (await asyncio.to_thread(gate.open, "w")).close()  # the thread goes on
    assert outcome.kind is OutcomeKind.FAILED
    assert "has not been imported within 0.2 s (dags.import_timeout)" in (outcome.reason or "")


async def test_a_sync_task_that_was_ended_before_its_thread_began_never_begins(made: Made) -> None:
    began, go_on, ran = threading.Event(), threading.Event(), threading.Event()
    with new_dag() as dag:
        Does(task_id="holds", does=holder(began, go_on))
        Does(task_id="waits", does=ran.set)
        Does(task_id="last", does=lambda: 1)
    stage = await made.stage_of(dag, threads=1)
    holds, waits, last = (stage.maker.attempt(name) for name in ("holds", "waits", "last"))
    try:
        await stage.submit([holds])
        assert await asyncio.to_thread(began.wait, 60)
        await stage.submit([waits])
        await stage.executor.cancel(waits.key, grace=timedelta(seconds=0.1))
        assert (await stage.host.end_of(waits)).outcome.kind is OutcomeKind.CANCELLED
    finally:
        go_on.set()
    await stage.submit([last])
    assert (await stage.host.end_of(last)).outcome.kind is OutcomeKind.SUCCESS
    assert not ran.is_set()


async def test_the_time_of_a_sync_task_begins_with_its_thread(made: Made) -> None:
    began, go_on, ran = threading.Event(), threading.Event(), threading.Event()
    with new_dag() as dag:
        Does(task_id="holds", does=holder(began, go_on))
        Does(task_id="waits", does=ran.set, execution_timeout=timedelta(seconds=0.05))
    stage = await made.stage_of(dag, threads=1)
    holds, waits = stage.maker.attempt("holds"), stage.maker.attempt("waits")
    try:
        await stage.submit([holds])
        assert await asyncio.to_thread(began.wait, 60)
        await stage.submit([waits])
        await asyncio.sleep(0.1)  # a timer of the loop, which comes after that of the attempt, if there were one
        assert waits.key not in stage.host.ends
    finally:
        go_on.set()
    await stage.host.end_of(waits)  # however busy the machine is: in time or not
    assert ran.is_set()


async def test_the_time_of_a_sync_task_includes_its_wait(made: Made) -> None:
    with new_dag() as dag:
        Does(task_id="t", does=lambda: 1, execution_timeout=timedelta(seconds=60))
    stage = await made.stage_of(dag)
    long_ago = datetime.now(UTC) - timedelta(seconds=61)
    attempt = stage.maker.attempt("t", first_started_at=long_ago)
    resumed = stage.maker.again(attempt, Resume("", None, WaitAnswer()))
    await stage.submit([resumed])
    outcome = (await stage.host.end_of(resumed)).outcome
    assert outcome.kind is OutcomeKind.TIMED_OUT
    assert "60 s has passed while the task was deferred" in (outcome.reason or "")


@pytest.mark.parametrize(("done", "kind"), [(True, OutcomeKind.SUCCESS), (False, OutcomeKind.FAILED_FOR_GOOD)])
async def test_a_sensor_whose_process_was_long_in_coming_still_looks(made: Made, done: bool, kind: OutcomeKind) -> None:
    with new_dag() as dag:
        PythonSensor(task_id="t", python_callable=lambda: done, poke_interval=0.1, timeout=1)
    stage = await made.stage_of(dag)
    attempt = stage.maker.attempt("t", first_started_at=datetime.now(UTC) - timedelta(seconds=2))
    assert (await stage.carry(attempt)).outcome.kind is kind


async def test_one_that_is_ending_already_is_not_reported_before_it_has_ended(made: Made) -> None:
    """A stop comes while an attempt that was cancelled still cleans up."""
    begun, cleaning, may_end = asyncio.Event(), asyncio.Event(), asyncio.Event()
    said: list[str] = []

    async def cleans_up() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cleaning.set()
            await may_end.wait()
            said.append("clean")

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            said.append("let go")

    with new_dag() as dag:
        Awaits(task_id="cleans_up", does=cleans_up)
        Awaits(task_id="waits", does=waits)
    stage = await made.stage_of(dag)
    first, second = stage.maker.attempt("cleans_up"), stage.maker.attempt("waits")
    await stage.submit([first, second])
    async with asyncio.timeout(60):
        await begun.wait()
        await stage.executor.cancel(first.key, grace=timedelta(seconds=30))
        await cleaning.wait()
    stopping = asyncio.create_task(stage.executor.stop(drain=None))
    await stage.host.end_of(second)
    for _ in range(5):
        await asyncio.sleep(0)
    assert first.key not in stage.host.ends
    may_end.set()
    await stopping
    assert said == ["let go", "clean"]
    assert stage.host.ends[first.key].outcome.kind is OutcomeKind.CANCELLED


async def test_the_log_of_one_that_was_cancelled_before_its_first_step_has_an_end(made: Made) -> None:
    with new_dag() as dag:
        Awaits(task_id="t", does=lambda: asyncio.sleep(0))
    stage = await made.stage_of(dag)
    attempt = stage.maker.attempt("t")
    await stage.submit([attempt])
    await stage.executor.stop(drain=None)
    assert stage.host.ends[attempt.key].outcome.kind is OutcomeKind.LOST
    assert [record.end for record in await stage.log(attempt)] == ["lost"]


async def test_a_callback_whose_own_work_was_cancelled_changes_nothing(made: Made) -> None:
    async def asks(context: Any) -> None:
        question = asyncio.get_running_loop().create_future()
        question.cancel()
        await question

    with new_dag() as dag:
        Awaits(task_id="t", does=lambda: asyncio.sleep(0), on_success_callback=asks)
    stage = await made.stage_of(dag)
    attempt = stage.maker.attempt("t")
    assert (await stage.carry(attempt)).outcome.kind is OutcomeKind.SUCCESS
    assert any("asks failed" in record.message for record in await stage.log(attempt))
