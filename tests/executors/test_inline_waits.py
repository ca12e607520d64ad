"""Waits that the inline executor carries, on its loop and in async hosts: told to go, begun again, let go of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from tradewind.authoring.serialize import dag_to_spec
from tradewind.authoring.stored_values import packed
from tradewind.model.attempts import WaitStart
from tradewind.model.keys import RunId
from tradewind.model.outcomes import Wait
from tradewind.testing import executor_dags
from tradewind.testing.executor_host import AttemptMaker, MemoryHost
from tradewind.testing.executor_suite import suite_dag
from tradewind_executors.inline import InlineExecutor


class Carried:
    """An inline executor, its host, and a wait for a file."""

    def __init__(self, executor: InlineExecutor, host: MemoryHost, file: Path) -> None:
        self.executor = executor
        self.host = host
        self.file = file
        maker = AttemptMaker(dag_to_spec(suite_dag()), executor_dags.HERE, executor=executor.kind)
        args = packed({"filepath": str(file), "poke_interval": 0.2}, "a test")
        self.start = WaitStart(maker.attempt("a_none"), Wait("tradewind.file", args, "go_on"))

    @property
    def under_way(self) -> list[WaitStart]:
        return list(self.executor.waits_of({self.start.key.run_id}))


@pytest.fixture(params=["loop", "host"])
async def carried(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Carried]:
    executor, host = InlineExecutor(), MemoryHost(str(tmp_path / "logs"), {"isolation": request.param})
    await executor.start(host)
    yield await asyncio.to_thread(Carried, executor, host, tmp_path / "file")
    await executor.stop(drain=timedelta(0))


async def test_one_that_is_going_is_begun_again_once_it_is_gone(carried: Carried) -> None:
    executor, start = carried.executor, carried.start
    executor.begin_waits([start])
    executor.end_waits([start])
    executor.begin_waits([start])
    await carried.host.until(lambda: carried.host.gone == [start.key])
    assert carried.under_way == [start]
    await asyncio.to_thread(carried.file.touch)
    answered = await carried.host.answer_of(start)
    assert answered.answer.error is None
    assert carried.host.gone == [start.key]


async def test_one_that_is_going_is_told_so_once_more_and_stays_gone(carried: Carried) -> None:
    executor, start = carried.executor, carried.start
    executor.begin_waits([start])
    executor.end_waits([start])
    executor.begin_waits([start])
    executor.end_waits([start])
    assert carried.under_way == [start]
    await carried.host.until(lambda: carried.host.gone == [start.key])
    assert carried.under_way == []


async def test_those_of_other_runs_and_those_that_were_let_go_are_not_under_way(carried: Carried) -> None:
    executor, start = carried.executor, carried.start
    executor.begin_waits([start])
    assert executor.waits_of({RunId(start.key.run_id + 1)}) == []
    executor.drop_waits()
    assert carried.under_way == []
    assert carried.host.gone == []


async def test_who_stops_ends_nothing_any_more(carried: Carried) -> None:
    executor, start = carried.executor, carried.start
    executor.begin_waits([start])
    await executor.stop(drain=timedelta(0))
    executor.end_waits([start])
    executor.begin_waits([start])
    assert carried.under_way == []
    assert carried.host.gone == []
