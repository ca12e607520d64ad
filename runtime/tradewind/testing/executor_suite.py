"""What every executor must do, as a pytest class: subclass it and say how one is made.

::

    class TestMine(ExecutorSuite):
        def make(self) -> Executor:
            return MyExecutor()

`flavours` are the prefixes of the tasks of `executor_dags.py` that the executor carries: `a_` for
async tasks, `s_` for sync ones.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tradewind.authoring.dag import DAG
from tradewind.authoring.serialize import dag_to_spec
from tradewind.authoring.xcom import decode, encode
from tradewind.bundles.loader import load_file
from tradewind.executor_ports import Executor, WaitExecutor
from tradewind.model.attempts import Attempt, WaitStart
from tradewind.model.keys import AttemptId
from tradewind.model.outcomes import RETURN_KEY, Finished, Outcome
from tradewind.model.specs import DagSpec, TaskSpec
from tradewind.model.states import OutcomeKind
from tradewind.model.waits import Resume
from tradewind.testing import executor_dags
from tradewind.testing.executor_host import AttemptMaker, MemoryHost
from tradewind.worker.log import ref_of
from tradewind.worker.log_reader import LogRecord, follow, read_log

_DAGS: dict[str, DAG] = {}


def suite_dag() -> DAG:
    """The suite's DAG, loaded once."""
    if not _DAGS:
        _DAGS.update(load_file(executor_dags.HERE).dags)
    return _DAGS["suite"]


@dataclass(slots=True)
class Stage:
    """An executor that has been started, its host, and a maker of attempts."""

    executor: Executor
    host: MemoryHost
    maker: AttemptMaker
    started: bool = False

    async def submit(self, attempts: Sequence[Attempt]) -> None:
        """Submits; starts the executor before the first. Not in the fixture: between a test's set-up and
        its call pytest replaces the streams that an executor may have replaced.
        """
        if not self.started:
            self.started = True
            await self.executor.start(self.host)
        await self.executor.submit(attempts)

    async def run(self, task_id: str, **facts: Any) -> Outcome:
        """Carries out one attempt and returns its outcome."""
        return (await self.carry(self.maker.attempt(task_id, **facts))).outcome

    async def carry(self, attempt: Attempt) -> Finished:
        """Carries out this attempt and, where the executor carries waits too, those that it begins."""
        await self.submit([attempt])
        end = await self.host.end_of(attempt)
        while end.outcome.waits and isinstance(self.executor, WaitExecutor):
            (wait,) = end.outcome.waits
            start = WaitStart(attempt, wait)
            self.executor.begin_waits([start])
            answered = await self.host.answer_of(start)
            if answered.outcome is not None:
                return end._replace(outcome=answered.outcome)
            resume = Resume(wait.method, wait.kwargs, answered.answer)
            attempt = self.maker.again(attempt, resume)
            await self.submit([attempt])
            end = await self.host.end_of(attempt)
        return end

    async def log(self, attempt: Attempt) -> list[LogRecord]:
        """The attempt's complete log."""
        records: list[LogRecord] = []
        async with asyncio.timeout(60):
            async for page in follow(self.host.log_root, ref_of(attempt)):
                records += page.records
        return records

    async def until_said(self, attempt: Attempt, text: str) -> str:
        """Waits until the attempt has printed a line with `text`; returns it."""
        async with asyncio.timeout(60):
            async for page in follow(self.host.log_root, ref_of(attempt)):
                for record in page.records:
                    if text in record.message:
                        return record.message
        raise AssertionError(f"{attempt.key.task_id} never said {text!r}")


class ExecutorSuite(ABC):
    """Tests over `stage`."""

    flavours: ClassVar[tuple[str, ...]] = ("a_", "s_")
    settings: ClassVar[Mapping[str, Any]] = {}

    @abstractmethod
    def make(self) -> Executor:
        """A new executor, not started."""

    @pytest.fixture
    async def stage(self, tmp_path: Path) -> AsyncIterator[Stage]:
        """A started executor; stopped after the test."""
        host = MemoryHost(str(tmp_path / "logs"), self.settings)
        executor = self.make()
        spec = await asyncio.to_thread(lambda: dag_to_spec(suite_dag()))
        yield Stage(executor, host, AttemptMaker(spec, executor_dags.HERE, executor=executor.kind))
        await executor.stop(drain=timedelta(seconds=0))

    @asynccontextmanager
    async def stage_of(self, folder: Path, text: str) -> AsyncGenerator[Stage]:
        """A stage for a DAG file with this text, which is to define a DAG `d` with a task `t`."""
        file = folder / "file.py"
        await asyncio.to_thread(file.write_text, text)
        spec = DagSpec("d", (TaskSpec("t", is_async=self.flavours[0] == "a_"),))
        host, executor = MemoryHost(str(folder / "logs"), self.settings), self.make()
        try:
            yield Stage(executor, host, AttemptMaker(spec, str(file), executor=executor.kind))
        finally:
            await executor.stop(drain=timedelta(0))

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """`kind`: each flavour's prefix."""
        if "kind" in metafunc.fixturenames:
            metafunc.parametrize("kind", self.flavours)

    # -- files

    async def test_a_file_that_cannot_be_imported(self, tmp_path: Path) -> None:
        """Its tasks fail, with the traceback in outcome and log."""
        async with self.stage_of(tmp_path, "raise RuntimeError('not today')\n") as stage:
            attempt = stage.maker.attempt("t")
            outcome = (await stage.carry(attempt)).outcome
            assert outcome.kind is OutcomeKind.FAILED
            assert outcome.error is not None
            assert "RuntimeError: not today" in outcome.error.traceback
            assert any("not today" in record.message for record in await stage.log(attempt))

    async def test_a_dag_that_is_gone_from_its_file(self, tmp_path: Path) -> None:
        """Its tasks fail, and say so."""
        async with self.stage_of(tmp_path, "x = 1\n") as stage:
            outcome = await stage.run("t")
            assert outcome.kind is OutcomeKind.FAILED
            assert "does not define DAG 'd' any more" in (outcome.reason or "")

    # -- ends

    async def test_success(self, stage: Stage, kind: str) -> None:
        """None leaves no XCom; the end says when it began and ended."""
        attempt = stage.maker.attempt(f"{kind}none")
        end = await stage.carry(attempt)
        assert end.outcome.kind is OutcomeKind.SUCCESS
        assert end.outcome.xcoms == ()
        assert end.started_at is not None
        assert end.started_at <= end.ended_at
        began = stage.host.begun.get(attempt.key)
        where = (end.hostname, end.pid) if began is None else began
        assert where[0]
        assert where[1], "where it ran is told while it runs, or with its end"
        assert stage.host.slot_news >= 1

    async def test_value_becomes_xcom(self, stage: Stage, kind: str) -> None:
        """Types beyond JSON survive."""
        outcome = await stage.run(f"{kind}value")
        assert [put.key for put in outcome.xcoms] == [RETURN_KEY]
        assert decode(outcome.xcoms[0].value) == {"n": 1, "at": datetime(2026, 1, 1, tzinfo=UTC)}

    async def test_multiple_outputs(self, stage: Stage, kind: str) -> None:
        """Each key of the dict is an XCom too."""
        outcome = await stage.run(f"{kind}many")
        assert {put.key: decode(put.value) for put in outcome.xcoms} == {RETURN_KEY: {"x": 1, "y": 2}, "x": 1, "y": 2}

    async def test_xcom_arguments_are_delivered(self, stage: Stage, kind: str) -> None:
        """References become values, templates are rendered, in nested arguments too."""
        assert (await stage.run(f"{kind}seven")).kind is OutcomeKind.SUCCESS
        outcome = await stage.run(f"{kind}double")
        assert decode(outcome.xcoms[0].value) == 42
        outcome = await stage.run(f"{kind}nested")
        assert decode(outcome.xcoms[0].value) == {"a": [21], "b": "2026-01-01"}

    async def test_mapped_attempts_get_their_part(self, stage: Stage, kind: str) -> None:
        """One value each; who takes their results gets those that are there, in order. Lengths and labels arrive."""
        assert (await stage.run(f"{kind}listed")).lengths == ((RETURN_KEY, 3),)
        for index, value in ((2, {"k": 1}), (1, "{{ ds }}")):
            outcome = await stage.run(f"{kind}mapped", map_index=index)
            assert decode(outcome.xcoms[0].value) == [index, value]
            assert outcome.map_index_label == f"number {index}"
        outcome = await stage.run(f"{kind}gathered")
        last = [2, {"k": 1}]
        assert decode(outcome.xcoms[0].value) == [2, last, [[1, "{{ ds }}"], last]]

    async def test_big_values_both_ways(self, stage: Stage, kind: str) -> None:
        """Megabytes pass in and out."""
        outcome = await stage.run(f"{kind}big")
        text = decode(outcome.xcoms[0].value)
        assert len(text) == executor_dags.BIG_VALUE // 2
        stage.host.services.xcoms[stage.maker.run.run_id, f"{kind}seven", "big", -1] = encode(text)
        outcome = await stage.run(f"{kind}length")
        assert decode(outcome.xcoms[0].value) == len(text)

    async def test_value_that_cannot_be_stored(self, stage: Stage, kind: str) -> None:
        """Fails and says what and why."""
        outcome = await stage.run(f"{kind}unstorable")
        assert outcome.kind is OutcomeKind.FAILED
        assert outcome.error is not None
        assert outcome.error.type.endswith("XComError")

    async def test_failure_has_the_authors_traceback(self, stage: Stage, kind: str) -> None:
        """It begins in the author's file and keeps causes."""
        attempt = stage.maker.attempt(f"{kind}boom")
        outcome = (await stage.carry(attempt)).outcome
        assert outcome.kind is OutcomeKind.FAILED
        error = outcome.error
        assert error is not None
        assert (error.type, error.message) == ("ValueError", "boom")
        assert "KeyError: 'the cause'" in error.traceback
        assert "_deeper" in error.traceback
        assert "/worker/" not in error.traceback
        assert any("_deeper" in record.message for record in await stage.log(attempt))

    async def test_signals_of_the_author(self, stage: Stage, kind: str) -> None:
        """Skip, fail for good, reschedule."""
        assert (await stage.run(f"{kind}skip"))[:1] == (OutcomeKind.SKIPPED,)
        assert (await stage.run(f"{kind}final", max_tries=3)).kind is OutcomeKind.FAILED_FOR_GOOD
        outcome = await stage.run(f"{kind}later")
        assert outcome.kind is OutcomeKind.RESCHEDULED
        assert outcome.reschedule_at == datetime(2026, 2, 1, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("name", "said"),
        [("exit", "sys.exit"), ("interrupt", "Keyboard"), ("memory", "memory"), ("closed", "GeneratorExit")],
    )
    async def test_exits_are_outcomes(self, stage: Stage, kind: str, name: str, said: str) -> None:
        """SystemExit, KeyboardInterrupt, MemoryError and GeneratorExit end the attempt and nothing else."""
        outcome = await stage.run(f"{kind}{name}")
        assert outcome.kind is OutcomeKind.FAILED
        assert said in (outcome.reason or "")
        assert (await stage.run(f"{kind}none")).kind is OutcomeKind.SUCCESS

    async def test_text_that_is_no_utf8(self, stage: Stage, kind: str) -> None:
        """A lone surrogate in an exception reaches the end as an escape."""
        outcome = await stage.run(f"{kind}surrogate")
        assert outcome.error is not None
        assert "\\ud800" in outcome.error.message

    async def test_try_numbers_are_left_alone(self, stage: Stage, kind: str) -> None:
        """Whether to try again is not the executor's business: it says so in the log and no more."""
        attempt = stage.maker.attempt(f"{kind}boom", try_number=2, max_tries=3)
        assert (await stage.carry(attempt)).outcome.kind is OutcomeKind.FAILED
        messages = [record.message for record in await stage.log(attempt)]
        assert messages[0] == "Starting attempt 2 of 3"
        assert "UP_FOR_RETRY" in messages[-1]
        assert len(stage.host.reports) == 1

    # -- callbacks and sensors

    @pytest.mark.parametrize(
        ("task", "max_tries", "said"),
        [
            ("notes", 1, ["execute", "success"]),
            ("notes_boom", 1, ["execute", "failure"]),
            ("notes_boom", 2, ["execute", "retry"]),
            ("notes_skip", 1, ["execute", "skipped"]),
        ],
    )
    async def test_callbacks(self, stage: Stage, kind: str, task: str, max_tries: int, said: list[str]) -> None:
        """Run inside the attempt, after its outcome is known."""
        attempt = stage.maker.attempt(f"{kind}{task}", max_tries=max_tries)
        await stage.carry(attempt)
        log = await stage.log(attempt)
        assert [r.message.removeprefix("callback ") for r in log if r.message.startswith("callback ")] == said

    async def test_broken_callback_changes_nothing(self, stage: Stage, kind: str) -> None:
        """Its traceback is in the log."""
        attempt = stage.maker.attempt(f"{kind}bad_callback")
        assert (await stage.carry(attempt)).outcome.kind is OutcomeKind.SUCCESS
        assert any("the callback is broken" in record.message for record in await stage.log(attempt))

    async def test_sensor_pokes(self, stage: Stage, kind: str) -> None:
        """Until it is satisfied; its value is the result."""
        outcome = await stage.run(f"{kind}waits")
        assert outcome.kind is OutcomeKind.SUCCESS
        assert decode(outcome.xcoms[0].value) == 3

    async def test_sensor_reschedules(self, stage: Stage, kind: str) -> None:
        """One poke a slice; the time limit counts from the first slice's start."""
        asked = datetime.now(UTC)
        outcome = await stage.run(f"{kind}reschedules")
        assert outcome.kind is OutcomeKind.RESCHEDULED
        assert outcome.reschedule_at is not None
        assert outcome.reschedule_at > asked + timedelta(seconds=50)
        before = datetime.now(UTC) - timedelta(seconds=101)
        outcome = await stage.run(f"{kind}reschedules", first_started_at=before, max_tries=3)
        assert outcome.kind is OutcomeKind.FAILED_FOR_GOOD
        assert outcome.reason == "Snap. Time is OUT."

    async def test_sensor_gives_up(self, stage: Stage, kind: str) -> None:
        """Fails, or is skipped with soft_fail."""
        assert (await stage.run(f"{kind}gives_up")).kind is OutcomeKind.FAILED_FOR_GOOD
        assert (await stage.run(f"{kind}gives_up_softly")).kind is OutcomeKind.SKIPPED

    # -- logs

    async def test_output_in_order(self, stage: Stage, kind: str) -> None:
        """Prints, logging and stderr stand in the order they were made, each with its stream and level."""
        attempt = stage.maker.attempt(f"{kind}talk")
        await stage.carry(attempt)
        log = await stage.log(attempt)
        said = [(r.message, r.stream, r.level) for r in log]
        assert said == [
            ("Starting attempt 1 of 1", "log", "INFO"),
            ("one", "stdout", "INFO"),
            ("two 2", "log", "WARNING"),
            ("three", "stderr", "ERROR"),
            ("four", "stdout", "INFO"),
            ("five", "log", "INFO"),
            ("six", "stdout", "INFO"),
            ("Marking task as SUCCESS.", "log", "INFO"),
        ]
        assert log[2].logger == "my.logger"
        assert [r.ts for r in log] == sorted(r.ts for r in log)
        assert {r.attempt for r in log} == {attempt.key.attempt.hex()}
        assert log[-1].end == "success"

    async def test_long_lines_and_strange_characters(self, stage: Stage, kind: str) -> None:
        """A megabyte on one line, NUL, what UTF-8 cannot say."""
        attempt = stage.maker.attempt(f"{kind}long")
        assert (await stage.carry(attempt)).outcome.kind is OutcomeKind.SUCCESS
        messages = [r.message for r in await stage.log(attempt)]
        assert messages[1] == "x" * executor_dags.LONG_LINE
        assert messages[2] == "é\0\\ud800☃"

    async def test_reading_on_from_a_token(self, stage: Stage, kind: str) -> None:
        """Nothing twice, nothing lost; a log that nobody has written is empty and not finished."""
        attempt = stage.maker.attempt(f"{kind}talk")
        root, ref = stage.host.log_root, ref_of(attempt)
        assert await asyncio.to_thread(read_log, root, ref) == ([], "", False)
        await stage.carry(attempt)
        await stage.log(attempt)
        page = await asyncio.to_thread(read_log, root, ref)
        assert page.finished
        again = await asyncio.to_thread(read_log, root, ref, page.token)
        assert again == ([], page.token, True)

    # -- being asked to end

    async def test_adopt_knows_what_runs(self, stage: Stage) -> None:
        """Its own live attempts, and no others."""
        attempt = stage.maker.attempt(f"{'a_' if 'a_' in self.flavours else 'p_'}hang")
        await stage.submit([attempt])
        await stage.until_said(attempt, "hanging")
        stranger = attempt.key._replace(attempt=AttemptId(b"\xff" * 16))
        assert await stage.executor.adopt([attempt.key, stranger]) == {attempt.key}
        await stage.executor.cancel(stranger, grace=timedelta(seconds=1))
        assert attempt.key not in stage.host.ends

    async def test_cancel(self, stage: Stage) -> None:
        """The code is interrupted where it waits, on_kill runs, the end says CANCELLED."""
        attempt = stage.maker.attempt("a_hang")
        await stage.submit([attempt])
        await stage.until_said(attempt, "hanging")
        await stage.executor.cancel(attempt.key, grace=timedelta(seconds=60))
        end = await stage.host.end_of(attempt)
        assert end.outcome.kind is OutcomeKind.CANCELLED
        messages = [r.message for r in await stage.log(attempt)]
        assert "let go" in messages
        assert "on_kill was called" in messages

    async def test_execution_timeout(self, stage: Stage) -> None:
        """The code is interrupted, on_kill runs, the end says TIMED_OUT."""
        attempt = stage.maker.attempt("a_overdue")
        end = await stage.carry(attempt)
        assert end.outcome.kind is OutcomeKind.TIMED_OUT
        assert "0.2 s" in (end.outcome.reason or "")
        messages = [r.message for r in await stage.log(attempt)]
        assert "let go" in messages
        assert "on_kill was called" in messages

    async def test_stop_reports_the_rest_as_lost(self, stage: Stage) -> None:
        """Stopping twice is allowed; afterwards nothing is accepted."""
        attempt = stage.maker.attempt("a_hang")
        await stage.submit([attempt])
        await stage.until_said(attempt, "hanging")
        await stage.executor.stop(drain=None)
        assert stage.host.ends[attempt.key].outcome.kind is OutcomeKind.LOST
        await stage.executor.stop(drain=None)
        assert stage.executor.free_slots == 0

    async def test_stop_lets_attempts_end(self, stage: Stage, kind: str) -> None:
        """With a drain, what runs may finish."""
        attempts = [stage.maker.attempt(f"{kind}talk") for _ in range(3)]
        await stage.submit(attempts)
        await stage.executor.stop(drain=timedelta(seconds=60))
        assert [stage.host.ends[a.key].outcome.kind for a in attempts] == [OutcomeKind.SUCCESS] * 3

    # -- many

    async def test_two_hundred_at_once(self, stage: Stage, kind: str) -> None:
        """All end, each once, and all slots are free again."""
        await stage.run(f"{kind}none")
        free = stage.executor.free_slots
        attempts = [stage.maker.attempt(f"{kind}value", map_index=n) for n in range(200)]
        await stage.submit(attempts)
        ends = await stage.host.all_ended(attempts)
        assert {end.outcome.kind for end in ends} == {OutcomeKind.SUCCESS}
        assert len(stage.host.reports) == 201
        assert stage.executor.free_slots == free
        last = await stage.log(attempts[-1])
        assert last[-1].end == "success"

    async def test_submitting_twice_runs_once(self, stage: Stage, kind: str) -> None:
        """The same attempt again is ignored while it runs."""
        attempt = stage.maker.attempt(f"{kind}talk")
        await stage.submit([attempt, attempt])
        await stage.host.end_of(attempt)
        assert [r.message for r in await stage.log(attempt)].count("one") == 1


class ProcessExecutorSuite(ExecutorSuite):
    """What executors promise too that import DAG files in processes of their own."""

    async def test_what_could_not_be_imported_is_named(self, tmp_path: Path) -> None:
        """Where the process has nothing to run, the reason is the file."""
        async with self.stage_of(tmp_path, "raise RuntimeError('not today')\n") as stage:
            assert "could not be imported" in ((await stage.run("t")).reason or "")

    async def test_a_file_that_kills_its_importer_is_tried_five_times(self, tmp_path: Path) -> None:
        """Then its tasks fail: it is no loop."""
        tries = tmp_path / "tries"
        text = f"open({str(tries)!r}, 'a').write('x')\nimport os\nos._exit(9)\n"
        async with self.stage_of(tmp_path, text) as stage:
            outcome = await stage.run("t")
            assert outcome.kind is OutcomeKind.FAILED
            assert "5 times in a row it ended with exit code 9" in (outcome.reason or "")
            assert await asyncio.to_thread(tries.read_text) == "xxxxx"
