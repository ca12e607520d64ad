"""Async hosts: processes that carry coroutines apart from the runtime."""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import logging
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from tests.outside import process_ended
from tradewind.authoring.xcom import decode
from tradewind.model.loop import CoroutineKind, OffenceKind
from tradewind.model.outcomes import Outcome
from tradewind.model.specs import DagSpec, TaskSpec
from tradewind.model.states import OutcomeKind
from tradewind.testing import executor_dags
from tradewind.testing.executor_host import AttemptMaker, MemoryHost
from tradewind.testing.executor_suite import Stage, suite_dag
from tradewind_executors.inline import InlineExecutor

NewStage = Callable[..., Stage]


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


@pytest.fixture
async def new_stage(tmp_path: Path) -> AsyncIterator[NewStage]:
    """A stage for the suite's DAG."""
    made: list[Stage] = []
    suite = await asyncio.to_thread(lambda: suite_dag().to_spec())

    def make(**settings: object) -> Stage:
        host = MemoryHost(str(tmp_path / "logs"), {"isolation": "host", **settings})
        stage = Stage(InlineExecutor(), host, AttemptMaker(suite, executor_dags.HERE))
        made.append(stage)
        return stage

    yield make
    for stage in made:
        await stage.executor.stop(drain=None)


def inline(stage: Stage) -> InlineExecutor:
    executor = stage.executor
    assert isinstance(executor, InlineExecutor)
    return executor


async def until_offended(executor: InlineExecutor, task_id: str, count: int) -> None:
    """Reports come after the step that they are about. On a busy machine others may be told of too."""
    changed = asyncio.Event()
    executor.on_offence.append(lambda _: changed.set())
    async with asyncio.timeout(60):
        while sum(one.kind.task_id == task_id for one in executor.offences) < count:
            changed.clear()
            await changed.wait()


async def where(stage: Stage, task_id: str = "a_place") -> int:
    """The process in which a task runs."""
    return int(decode((await stage.run(task_id)).xcoms[0].value))


def refreshed(stage: Stage, version: str) -> None:
    """What is made from now on is of this version of the file."""
    run = stage.maker.run
    stage.maker.run = dataclasses.replace(run, source=dataclasses.replace(run.source, bundle_version=version))


def not_success(outcomes: list[Outcome]) -> list[str]:
    return [f"{outcome.kind}: {outcome.reason}" for outcome in outcomes if outcome.kind is not OutcomeKind.SUCCESS]


async def test_one_process_for_a_file_and_version(new_stage: NewStage) -> None:
    stage = new_stage()
    first = await where(stage)
    assert await where(stage) == first
    refreshed(stage, "second")
    second = await where(stage)
    assert second != first
    assert {facts.pid for facts in inline(stage).loop_report().hosts} == {first, second}


async def test_what_is_asked_of_the_system_by_many_at_once(new_stage: NewStage) -> None:
    stage = new_stage()
    stage.host.services.variables["v"] = "text"
    attempts = [stage.maker.attempt("a_ask", map_index=n) for n in range(50)]
    await stage.submit(attempts)
    ends = await stage.host.all_ended(attempts)
    assert not not_success([end.outcome for end in ends])
    assert {decode(end.outcome.xcoms[0].value)["variable"] for end in ends} == {"text"}
    assert len(stage.host.services.xcoms) >= 50


@pytest.mark.parametrize("by_whom", ["somebody", "itself"])
async def test_death_of_a_host_is_a_loss_and_leaves_others_alone(new_stage: NewStage, by_whom: str) -> None:
    stage = new_stage()
    hanging = [stage.maker.attempt("a_hang") for _ in range(3)]
    await stage.submit(hanging)
    for attempt in hanging:
        await stage.until_said(attempt, "hanging")
    first = await where(stage)
    refreshed(stage, "second")
    other = stage.maker.attempt("a_hang", try_number=2, max_tries=2)  # with a log of its own
    await stage.submit([other])
    await stage.until_said(other, "hanging")
    refreshed(stage, "")
    if by_whom == "somebody":
        os.kill(first, signal.SIGKILL)
    else:
        outcome = await stage.run("h_leave")
        assert outcome.kind is OutcomeKind.FAILED
        assert (outcome.reason or "").startswith("exit code 3")
    ends = await stage.host.all_ended(hanging)
    assert {end.outcome.kind for end in ends} == {OutcomeKind.LOST}
    reason = ends[0].outcome.reason or ""
    assert ("signal 9" if by_whom == "somebody" else "task h_leave of DAG suite held its loop") in reason
    for attempt in hanging:
        assert (await stage.log(attempt))[-1].end == "lost"
    assert other.key not in stage.host.ends
    assert await where(stage) != first, "the next one has a host again"
    await stage.executor.cancel(other.key, grace=timedelta(seconds=5))
    assert (await stage.host.end_of(other)).outcome.kind is OutcomeKind.CANCELLED


async def test_who_ends_its_host_gets_one_of_its_own(new_stage: NewStage, caplog: pytest.LogCaptureFixture) -> None:
    stage = new_stage()
    outcome = await stage.run("h_crash")
    assert outcome.kind is OutcomeKind.FAILED
    assert "SIGSEGV" in (outcome.reason or "")
    report = inline(stage).loop_report()
    assert report.isolated == (CoroutineKind("suite", "h_crash"),)
    assert report.offences[0].offence is OffenceKind.ENDED_ITS_HOST
    assert any("from now on it starts in an async host of its own" in r.getMessage() for r in caplog.records)
    hanging = stage.maker.attempt("a_hang")
    await stage.submit([hanging])
    await stage.until_said(hanging, "hanging")
    assert (await stage.run("h_crash")).kind is OutcomeKind.FAILED
    assert hanging.key not in stage.host.ends
    await stage.executor.cancel(hanging.key, grace=timedelta(seconds=5))
    await stage.host.end_of(hanging)


async def test_what_cannot_be_interrupted_is_killed_with_its_stack(new_stage: NewStage) -> None:
    """C code that keeps the interpreter: its host goes, the others in it are lost, it has failed and says where."""
    stage = new_stage(block_kill=2.0)  # not less: who gets no processor for so long is killed as well
    hanging = stage.maker.attempt("a_hang")
    await stage.submit([hanging])
    await stage.until_said(hanging, "hanging")
    attempt = stage.maker.attempt("h_hold")
    outcome = (await stage.carry(attempt)).outcome
    assert outcome.kind is OutcomeKind.FAILED
    assert outcome.error is not None
    assert outcome.error.type.endswith("LoopBlocked")
    assert "_hold_for_ever" in outcome.error.traceback
    assert any("_hold_for_ever" in record.message for record in await stage.log(attempt))
    lost = (await stage.host.end_of(hanging)).outcome
    assert lost.kind is OutcomeKind.LOST
    assert "because task h_hold of DAG suite held its loop" in (lost.reason or "")
    [report] = [one for one in inline(stage).offences if one.offence is OffenceKind.ENDED_ITS_HOST]
    assert (report.function, report.interrupted) == ("_hold_for_ever", True)


@pytest.mark.blocks_the_loop
@pytest.mark.parametrize("isolation", ["loop", "host"])
async def test_the_third_offence_sends_new_starts_away(
    new_stage: NewStage, isolation: str, caplog: pytest.LogCaptureFixture
) -> None:
    stage = new_stage(isolation=isolation, block_warn=0.05)
    running = stage.maker.attempt("a_hang")
    await stage.submit([running])
    await stage.until_said(running, "hanging")
    places: list[int | None] = []
    for count in range(1, 5):
        end = await stage.carry(stage.maker.attempt("a_block_briefly"))
        places.append(end.pid)
        await until_offended(inline(stage), "a_block_briefly", count)
    assert places[0] == places[1] == places[2] != places[3]
    said = [r for r in caplog.records if "starts in an async host of its own" in r.getMessage()]
    assert [record.levelno for record in said] == [logging.WARNING]
    report = inline(stage).loop_report()
    kind = CoroutineKind("suite", "a_block_briefly")
    assert report.isolated == (kind,)
    assert [facts.own_kind for facts in report.hosts if facts.pid == places[3]] == [kind]
    assert (await stage.carry(stage.maker.attempt("a_place"))).pid == places[0]
    assert running.key not in stage.host.ends, "what runs stays where it is"
    refreshed(stage, "mended")
    assert (await stage.carry(stage.maker.attempt("a_block_briefly"))).pid != places[3]
    await stage.executor.cancel(running.key, grace=timedelta(seconds=5))
    await stage.host.end_of(running)


async def test_cancelled_before_there_is_a_host(new_stage: NewStage) -> None:
    stage = new_stage()
    attempt = stage.maker.attempt("a_none")
    await stage.submit([attempt])
    await stage.executor.cancel(attempt.key, grace=timedelta(seconds=5))
    assert (await stage.host.end_of(attempt)).outcome.kind is OutcomeKind.CANCELLED


async def test_what_swallows_its_cancellation_ends_with_its_host(new_stage: NewStage) -> None:
    """The host takes nothing more, and is killed when its other attempts have ended."""
    stage = new_stage()
    stubborn, other = stage.maker.attempt("a_stubborn"), stage.maker.attempt("a_hang")
    await stage.submit([stubborn, other])
    for attempt in (stubborn, other):
        await stage.until_said(attempt, "hanging")
    first = await where(stage)
    await stage.executor.cancel(stubborn.key, grace=timedelta(seconds=0.1))
    outcome = (await stage.host.end_of(stubborn)).outcome
    assert outcome.kind is OutcomeKind.CANCELLED
    assert "left behind" in (outcome.reason or "")
    assert await where(stage) != first
    assert other.key not in stage.host.ends
    await stage.executor.cancel(other.key, grace=timedelta(seconds=5))
    assert (await stage.host.end_of(other)).outcome.kind is OutcomeKind.CANCELLED
    await process_ended(first)


async def test_hosts_go_when_idle(new_stage: NewStage) -> None:
    stage = new_stage(host_idle=0.05)
    first = await where(stage)
    await process_ended(first)
    assert await where(stage) != first


async def test_idle_hosts_are_bounded(new_stage: NewStage) -> None:
    stage = new_stage(hosts_max=2)
    pids: list[int] = []
    for version in "abcd":
        refreshed(stage, version)
        pids.append(await where(stage))
    await process_ended(pids[0])
    await process_ended(pids[1])
    os.kill(pids[3], 0)


async def test_what_a_host_has_started_ends_with_it(new_stage: NewStage) -> None:
    stage = new_stage()
    attempt = stage.maker.attempt("h_background")
    await stage.submit([attempt])
    words = (await stage.until_said(attempt, "background")).split()
    os.kill(int(words[3]), signal.SIGKILL)
    await process_ended(int(words[1]))
    assert (await stage.host.end_of(attempt)).outcome.kind is OutcomeKind.LOST


async def test_death_of_the_nursery_is_a_loss(new_stage: NewStage) -> None:
    stage = new_stage()
    attempt = stage.maker.attempt("a_hang")
    await stage.submit([attempt])
    await stage.until_said(attempt, "hanging")
    pid = await where(stage)
    os.kill(parent_of(pid), signal.SIGKILL)
    assert (await stage.host.end_of(attempt)).outcome.kind is OutcomeKind.LOST
    await process_ended(pid)
    assert (await stage.run("a_none")).kind is OutcomeKind.SUCCESS


async def test_no_descriptors_for_a_host(new_stage: NewStage, monkeypatch: pytest.MonkeyPatch) -> None:
    """What should have run there is lost, and says why; the next one has a host."""
    stage = new_stage()
    with monkeypatch.context() as patch:

        def fails() -> int:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        patch.setattr("tradewind_executors.inline.host_process.new_scratch", fails)
        outcome = await stage.run("a_none")
    assert outcome.kind is OutcomeKind.LOST
    assert os.strerror(errno.EMFILE) in (outcome.reason or "")
    assert (await stage.run("a_none")).kind is OutcomeKind.SUCCESS


UNSPEAKABLE = """
from datetime import datetime
from tradewind import DAG, task

with DAG("d", schedule=None, start_date=datetime(2026, 1, 1)):
    @task(multiple_outputs=True)
    async def t():
        return {"\\ud800": 1}
    t()
"""


async def test_an_outcome_that_cannot_be_told_is_a_failure(new_stage: NewStage, tmp_path: Path) -> None:
    """The name of a result that no text can have, say."""
    stage, file = new_stage(), tmp_path / "file.py"
    await asyncio.to_thread(file.write_text, UNSPEAKABLE)
    stage.maker = AttemptMaker(DagSpec("d", (TaskSpec("t", is_async=True),)), str(file), executor="inline")
    outcome = await stage.run("t")
    assert outcome.kind is OutcomeKind.FAILED
    assert "cannot be told" in (outcome.reason or "")


async def test_an_import_that_hangs_is_an_error(
    new_stage: NewStage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tradewind_executors.inline.hosts.START_MAY_TAKE", 0.5)
    stage, file = new_stage(import_timeout=0.5), tmp_path / "file.py"
    await asyncio.to_thread(file.write_text, "import signal; signal.pause()\n")
    stage.maker = AttemptMaker(DagSpec("d", (TaskSpec("t", is_async=True),)), str(file), executor="inline")
    outcome = await stage.run("t")
    assert outcome.kind is OutcomeKind.FAILED
    assert "could not be imported" in (outcome.reason or "")
    assert outcome.error is not None
    assert "has not been imported within 1 s" in outcome.error.message


RUNTIME = f"""
import asyncio, sys
from tradewind.testing.executor_host import AttemptMaker, MemoryHost
from tradewind.testing.executor_suite import Stage, suite_dag
from tradewind_executors.inline import InlineExecutor

async def main():
    maker = AttemptMaker(suite_dag().to_spec(), {executor_dags.HERE!r})
    stage = Stage(InlineExecutor(), MemoryHost(sys.argv[1], {{"isolation": "host"}}), maker)
    attempt = maker.attempt("h_background")
    await stage.submit([attempt])
    print(await stage.until_said(attempt, "background"), flush=True)
    if sys.argv[2] == "blocked":
        holding = maker.attempt("h_hold")
        await stage.submit([holding])
        print(await stage.until_said(holding, "holding"), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.parametrize("state", ["waiting", "blocked"])
async def test_nothing_outlives_a_killed_runtime(tmp_path: Path, state: str) -> None:
    """kill -9 of the runtime ends hosts, also one that holds its interpreter, and what they have started."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    runtime = await asyncio.create_subprocess_exec(
        sys.executable, "-c", RUNTIME, str(tmp_path), state, stdout=subprocess.PIPE, env=environment
    )
    assert runtime.stdout is not None
    async with asyncio.timeout(60):
        words = (await runtime.stdout.readline()).split()
        if state == "blocked":
            await runtime.stdout.readline()
    background, host = int(words[1]), int(words[3])
    runtime.kill()
    await runtime.wait()
    await process_ended(host)
    await process_ended(background)
