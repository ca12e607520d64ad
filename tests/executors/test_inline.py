"""The inline executor: the suite with coroutines on its loop and in async hosts, and what both must do."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tradewind.authoring.defaults import AuthoringDefaults
from tradewind.authoring.xcom import decode
from tradewind.bundles.parse_protocol import defaults_to_json
from tradewind.executor_ports import Executor
from tradewind.model.errors import ConfigError
from tradewind.model.loop import OffenceKind
from tradewind.model.specs import DagSource
from tradewind.model.states import OutcomeKind
from tradewind.testing import executor_dags
from tradewind.testing.executor_host import AttemptMaker, MemoryHost
from tradewind.testing.executor_suite import ExecutorSuite, ProcessExecutorSuite, Stage, suite_dag
from tradewind.worker.guard import RunDelay
from tradewind_executors.inline import InlineExecutor

LIMITS = {"block_warn": 30.0, "block_kill": 60.0}
"""Far from what a task takes that a busy machine keeps waiting: for all tests but those of the limits."""


class InlineTests(ExecutorSuite):
    """What holds wherever the coroutines run."""

    kills_after: ClassVar[float] = 0.3

    def make(self) -> Executor:
        return InlineExecutor()

    def limit(self, stage: Stage, block_warn: float, block_kill: float) -> None:
        """Other limits for the steps of coroutines, before anything has started."""
        limits = {"block_warn": block_warn, "block_kill": block_kill}
        stage.host = MemoryHost(stage.host.log_root, {**self.settings, **limits})

    async def test_services_of_async_tasks(self, stage: Stage) -> None:
        stage.host.services.variables["v"] = "text"
        outcome = await stage.run("a_ask")
        answer = decode(outcome.xcoms[0].value)
        assert answer["variable"] == "text"
        assert "await" in answer["refused"]
        key = (stage.maker.run.run_id, "a_ask", "pushed", -1)
        assert decode(stage.host.services.xcoms[key]) == {"a": [1, "é"]}

    async def test_services_of_threads(self, stage: Stage) -> None:
        stage.host.services.variables["v"] = "text"
        outcome = await stage.run("s_ask")
        assert decode(outcome.xcoms[0].value)["variable"] == "text"

    @pytest.mark.parametrize("task", ["a_self_cancelled", "a_child_exits"])
    async def test_what_would_end_a_loop_is_a_failure(self, stage: Stage, task: str) -> None:
        outcome = await stage.run(task)
        assert outcome.kind is OutcomeKind.FAILED
        assert outcome.error is not None

    @pytest.mark.blocks_the_loop
    async def test_blocker_is_named_and_interrupted(self, stage: Stage) -> None:
        self.limit(stage, block_warn=0.05, block_kill=self.kills_after)
        attempt = stage.maker.attempt("a_block")
        end = await stage.carry(attempt)
        assert end.outcome.kind is OutcomeKind.FAILED
        assert end.outcome.error is not None
        assert end.outcome.error.type.endswith("LoopBlocked")
        assert "_block" in end.outcome.error.traceback
        executor = stage.executor
        assert isinstance(executor, InlineExecutor)
        await until_offended(stage, "a_block")
        [report] = [one for one in executor.offences if one.kind.task_id == "a_block"]
        assert (report.offence, report.interrupted) == (OffenceKind.BLOCKED, True)
        assert report.seconds >= self.kills_after
        assert report.kind == ("suite", "a_block", "task")
        assert (report.dag_run_id, report.try_number) == (stage.maker.run.dag_run_id, 1)
        assert report.file.endswith("executor_dags.py")
        assert report.function == "_block"
        assert "_block" in report.stack
        assert any("held the event loop" in r.message and "_block" in r.message for r in await stage.log(attempt))

    @pytest.mark.blocks_the_loop
    async def test_code_that_holds_the_interpreter_is_named_too(self, stage: Stage) -> None:
        """C code gives the watching thread no turn: the stack is written without one."""
        executor = stage.executor
        assert isinstance(executor, InlineExecutor)
        self.limit(stage, block_warn=0.05, block_kill=30.0)
        attempt = stage.maker.attempt("a_hold")
        assert (await stage.carry(attempt)).outcome.kind is OutcomeKind.SUCCESS
        await until_offended(stage, "a_hold")
        report = next(one for one in executor.offences if one.kind.task_id == "a_hold")
        assert (report.function, report.kind.task_id) == ("_hold", "a_hold")
        assert report.line > 0

    async def test_tasks_left_behind_are_ended_and_named(self, stage: Stage) -> None:
        """Before the attempt's own end is reported."""
        attempt = stage.maker.attempt("a_leak")
        assert (await stage.carry(attempt)).outcome.kind is OutcomeKind.SUCCESS
        messages = [r.message for r in await stage.log(attempt)]
        assert messages.index("forgotten is over") < len(messages) - 1
        assert any("the forgotten one (_leak.<locals>.forgotten)" in message for message in messages)
        await until_offended(stage, "a_leak")
        executor = stage.executor
        assert isinstance(executor, InlineExecutor)
        [report] = executor.offences
        assert (report.offence, report.kind.task_id) == (OffenceKind.LEAKED, "a_leak")
        assert executor.loop_report().counters["leaked"] == 1

    async def test_use_of_the_loop_is_counted(self, stage: Stage) -> None:
        executor = stage.executor
        assert isinstance(executor, InlineExecutor)
        for _ in range(2):
            await stage.run("a_talk")
        uses = {use.kind.task_id: use for use in executor.loop_report().kinds}
        assert (uses["a_talk"].started, uses["a_talk"].running) == (2, 0)
        assert uses["a_talk"].loop_seconds > 0

    async def test_isolation_that_does_not_exist(self, stage: Stage) -> None:
        outcome = await stage.run("a_place_bad")
        assert outcome.kind is OutcomeKind.FAILED_FOR_GOOD
        assert "'loop' or 'host'" in (outcome.reason or "")

    async def test_missing_file_is_an_outcome(self, stage: Stage) -> None:
        source = DagSource("tests", "", "/nowhere/at_all.py", "at_all.py")
        stage.maker.run = dataclasses.replace(stage.maker.run, source=source)
        attempt = stage.maker.attempt("a_none")
        end = await stage.carry(attempt)
        assert end.outcome.kind is OutcomeKind.FAILED
        assert "/nowhere/at_all.py" in (end.outcome.reason or "")

    async def test_a_thread_that_cannot_be_stopped_is_left_behind(self, stage: Stage) -> None:
        """Its attempt ends all the same, once, and on_kill is called once."""
        attempt = stage.maker.attempt("s_long_wait")
        await stage.submit([attempt])
        await stage.until_said(attempt, "poke 1")
        await stage.executor.cancel(attempt.key, grace=timedelta(seconds=60))
        end = await stage.host.end_of(attempt)
        assert end.outcome.kind is OutcomeKind.CANCELLED
        assert [r.end for r in await stage.log(attempt) if r.end] == ["cancelled"]
        assert len(stage.host.reports) == 1


class TestInline(InlineTests):
    settings: ClassVar[Mapping[str, Any]] = LIMITS

    async def test_authoring_defaults_hold_in_attempts(self, tmp_path: Path) -> None:
        small = defaults_to_json(AuthoringDefaults(xcom_max_bytes=100))
        host = MemoryHost(str(tmp_path), {"authoring_defaults": small})
        executor = InlineExecutor()
        await executor.start(host)
        spec = await asyncio.to_thread(lambda: suite_dag().to_spec())
        for task in ("a_big", "s_big"):
            attempt = AttemptMaker(spec, executor_dags.HERE).attempt(task)
            await executor.submit([attempt])
            error = (await host.end_of(attempt)).outcome.error
            assert error is not None
            assert "100 allowed" in error.message
        await executor.stop(drain=None)

    async def test_registered_dag_needs_no_file(self, stage: Stage) -> None:
        executor = stage.executor
        assert isinstance(executor, InlineExecutor)
        executor.register_dag(suite_dag())
        source = DagSource("embedded", "", "/nowhere.py", "nowhere.py")
        stage.maker.run = dataclasses.replace(stage.maker.run, source=source)
        assert (await stage.run("a_none")).kind is OutcomeKind.SUCCESS

    async def test_output_outside_attempts_stays_where_it_was(self, stage: Stage) -> None:
        await stage.run("a_none")
        inside = sys.stdout
        await stage.executor.stop(drain=None)
        assert sys.stdout is not inside

    async def test_a_coroutine_that_swallows_its_timeout_is_left_behind(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The attempt ends all the same, with its callbacks, and gives its slot back."""
        monkeypatch.setattr("tradewind.worker.attempt.LEFT_BEHIND_AFTER", 0.1)
        attempt = stage.maker.attempt("a_stubborn_overdue")
        end = await stage.carry(attempt)
        assert end.outcome.kind is OutcomeKind.TIMED_OUT
        assert "0.2 s" in (end.outcome.reason or "")
        assert "left behind" in (end.outcome.reason or "")
        messages = [r.message for r in await stage.log(attempt)]
        assert "no" in messages
        assert "callback failure" in messages
        assert stage.executor.free_slots == 512

    @pytest.mark.blocks_the_loop
    async def test_what_a_thread_waited_for_before_excuses_nothing(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Only the time without a processor during the step does."""

        def long_ago(_: RunDelay) -> int:
            return 100 * 10**9

        monkeypatch.setattr(RunDelay, "_read", long_ago)
        self.limit(stage, block_warn=0.05, block_kill=30.0)
        assert (await stage.run("a_block_briefly")).kind is OutcomeKind.SUCCESS
        await until_offended(stage, "a_block_briefly")

    async def test_a_task_may_ask_for_a_host(self, stage: Stage) -> None:
        here = os.getpid()
        assert decode((await stage.run("a_place")).xcoms[0].value) == here
        assert decode((await stage.run("a_place_host")).xcoms[0].value) != here


class TestInlineInHosts(InlineTests, ProcessExecutorSuite):
    settings: ClassVar[Mapping[str, Any]] = {**LIMITS, "isolation": "host"}
    kills_after = 2.0  # a host that nobody hears of for a little longer is killed from outside

    async def test_a_task_may_ask_for_the_loop(self, stage: Stage) -> None:
        here = os.getpid()
        elsewhere = decode((await stage.run("a_place")).xcoms[0].value)
        assert elsewhere != here
        assert decode((await stage.run("a_place_host")).xcoms[0].value) == elsewhere
        assert decode((await stage.run("a_place_loop")).xcoms[0].value) == here


async def until_offended(stage: Stage, task_id: str) -> None:
    """Reports come after the step that they are about."""
    executor = stage.executor
    assert isinstance(executor, InlineExecutor)
    changed = asyncio.Event()
    executor.on_offence.append(lambda _: changed.set())
    async with asyncio.timeout(60):
        while all(one.kind.task_id != task_id for one in executor.offences):
            changed.clear()
            await changed.wait()


@pytest.mark.parametrize("name", ["max_in_flight", "threads", "block_warn", "block_kill", "isolation"])
async def test_bad_settings(tmp_path: object, name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        await InlineExecutor().start(MemoryHost(str(tmp_path), {name: "none"}))
