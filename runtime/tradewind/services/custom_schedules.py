"""Schedules of authors' own timetable classes. Their code never runs here: a process is started, asked, and ended.

What a class answers is kept until its run is made, as the class may read the clock: asked again when the run is due
it could say something else. It is asked once a run; one that raises, hangs or answers nonsense concerns its DAG alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import orjson

from tradewind.model.errors import AuthoringError
from tradewind.model.specs import Json
from tradewind.ports import Clock
from tradewind.rules.due import DueRuns, cursor_of, foreseen_in, interval_in, restriction_of
from tradewind.rules.partition_groups import Target, targets_from_json
from tradewind.rules.partitions import Answers, KeyQuestion, answer_to, is_for_code
from tradewind.rules.timetables import DataInterval, RunInfo
from tradewind.services.owned_dag import OwnedDag
from tradewind.services.worker_process import worker_process

log = logging.getLogger(__name__)

TIME_LIMIT: Final = 30.0
"""Seconds that a class has for one answer, the import of its file included."""

AT_ONCE: Final = 2
"""Processes that are asked at a time."""

Ask = Callable[[Mapping[str, Json]], Awaitable[Json]]


class _Known(NamedTuple):
    version_hash: str
    last: DataInterval | None
    info: RunInfo | None


class CustomSchedules:
    """What the timetables of the DAGs here have answered."""

    def __init__(self, clock: Clock, settings: Mapping[str, Json], ask: Ask | None = None) -> None:
        """`settings` go with every request: what DAG files are loaded with."""
        self._clock = clock
        self._settings = settings
        self._ask = ask or ask_in_process
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._known: dict[str, _Known] = {}
        self._keys: dict[str, tuple[str, dict[KeyQuestion, Sequence[Target] | None]]] = {}

    async def due(self, dag: OwnedDag, room: int) -> DueRuns:
        """As `due_runs`, of a timetable that has to be asked. Raises AuthoringError with what its code raised."""
        last = interval_in(dag.row.cursor)
        if not dag.spec.timetable.can_be_scheduled:
            return DueRuns((), cursor_of(last, None), None)
        info = await self._next(dag, last)
        now = self._clock.now()
        if info is None or info.run_after > now or room < 1:
            wake_at = None if info is None or info.run_after <= now else info.run_after
            return DueRuns((), cursor_of(last, info), wake_at)
        following = await self._answer(dag, info.interval)
        self._known[dag.dag_id] = _Known(dag.row.version_hash, info.interval, following)
        return DueRuns((info,), cursor_of(info.interval, following), None)

    async def manual(self, dag: OwnedDag, run_after: datetime) -> RunInfo:
        """The run that somebody asks for at `run_after`. Raises AuthoringError."""
        at = run_after.astimezone(UTC)
        start, end = await self._asked(dag, {"ask": "manual", "run_after": at.isoformat()})
        return RunInfo(at, at, DataInterval(datetime.fromisoformat(start), datetime.fromisoformat(end)))

    async def partitions(self, dag: OwnedDag, questions: Sequence[KeyQuestion]) -> Answers:
        """The runs that events belong to, as mappers say; None where one fails, which is logged.

        Each key is asked for once, as long as it is among the questions; of a process only where the mapper is code of
        the DAG's file.
        """
        version, known = self._keys.get(dag.dag_id, ("", {}))
        if version != dag.row.version_hash:
            known = {}
        answers = {question: known[question] for question in questions if question in known}
        args = dag.spec.timetable.args
        for_code: list[KeyQuestion] = []
        for question in questions:
            if question in known:
                continue
            if is_for_code(args, question):
                for_code.append(question)
                continue
            try:
                answers[question] = answer_to(args, question)
            except AuthoringError as error:
                answers[question] = None
                _log_unmapped(dag, question, error.message)
        if for_code:
            asked = {"ask": "partitions", "questions": [list(question) for question in for_code]}
            for question, (targets, failure) in zip(for_code, await self._asked(dag, asked), strict=True):
                answers[question] = None if failure else targets_from_json(targets)
                if failure:
                    _log_unmapped(dag, question, failure)
        self._keys[dag.dag_id] = (dag.row.version_hash, answers)
        return answers

    async def _next(self, dag: OwnedDag, last: DataInterval | None) -> RunInfo | None:
        known = self._known.get(dag.dag_id)
        if known is not None and (known.version_hash, known.last) == (dag.row.version_hash, last):
            return known.info
        # What an earlier owner had foreseen stands: it was asked at the right moment.
        info = foreseen_in(dag.row.cursor) if known is None else None
        if info is None:
            info = await self._answer(dag, last)
        self._known[dag.dag_id] = _Known(dag.row.version_hash, last, info)
        return info

    async def _answer(self, dag: OwnedDag, last: DataInterval | None) -> RunInfo | None:
        bounds = restriction_of(dag.spec)
        question = {
            "ask": "next",
            "last": None if last is None else [last.start.isoformat(), last.end.isoformat()],
            "earliest": None if bounds.earliest is None else bounds.earliest.isoformat(),
            "latest": None if bounds.latest is None else bounds.latest.isoformat(),
            "catchup": bounds.catchup,
        }
        found = await self._asked(dag, question)
        if found is None:
            return None
        run_after, start, end = (datetime.fromisoformat(text) for text in found)
        return RunInfo(run_after, start, DataInterval(start, end))

    async def _asked(self, dag: OwnedDag, question: Mapping[str, Json]) -> Any:
        source = dag.row.source
        place = {"dag_id": dag.dag_id, "fileloc": source.fileloc, "relative_fileloc": source.relative_fileloc}
        async with self._slots:
            reply: dict[str, Any] = await self._ask({**self._settings, **place, **question})
        if "error" in reply:
            raise AuthoringError(f"its timetable {dag.spec.timetable.summary!r}: {reply['error']}")
        return reply["ok"]


def _log_unmapped(dag: OwnedDag, question: KeyQuestion, error: str) -> None:
    whose = f"DAG {dag.dag_id}: key {question.key!r} of asset {question.uri}"
    log.error("%s cannot be mapped, the event does not count: %s", whose, error)


async def ask_in_process(request: Mapping[str, Json]) -> Json:
    """The reply of a process of its own. Never raises for what the process does."""
    try:
        async with worker_process("timetable") as process, asyncio.timeout(TIME_LIMIT):
            output, _ = await process.communicate(orjson.dumps(dict(request)))
    except TimeoutError:
        return {"error": f"it took longer than {TIME_LIMIT:g} s to say when the next run is"}
    try:
        return orjson.loads(output.rstrip().rpartition(b"\n")[2])
    except orjson.JSONDecodeError:
        said = output.decode(errors="replace").strip()[-2_000:]
        return {"error": f"its process ended without an answer (exit code {process.returncode})\n{said}"}
