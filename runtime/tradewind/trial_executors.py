"""Who carries the tasks of a trial run, where that is not this process: nobody at all, or the usual executors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import orjson

from tradewind.authoring.access import TaskServices
from tradewind.executor_ports import Executor, ExecutorHost
from tradewind.model.attempts import Attempt, AttemptKey
from tradewind.model.keys import AttemptId
from tradewind.model.outcomes import Finished, Outcome
from tradewind.model.specs import Json
from tradewind.model.states import OutcomeKind
from tradewind.model.waits import WaitAnswer, WaitKey
from tradewind.worker.log import LogRef, ref_of
from tradewind.worker.log_reader import read_log

MARKED: Final = "marked"
"""The executor of tasks that are marked as success instead of being run."""

_SUCCESS: Final = Outcome(OutcomeKind.SUCCESS, reason="it was marked as success and did not run")


class MarkingExecutor:
    """Carries nothing out: each attempt is a success as soon as it is there, without result, callbacks and events."""

    kind: str = MARKED
    starts_at_once: bool = True
    free_slots: int | None = None

    def __init__(self) -> None:
        self._host: ExecutorHost | None = None

    async def start(self, host: ExecutorHost) -> None:
        """Takes attempts from now on."""
        self._host = host

    async def submit(self, attempts: Sequence[Attempt]) -> None:
        """Reports each as a success."""
        assert self._host is not None
        for attempt in attempts:
            now = datetime.now(UTC)
            self._host.finished(attempt.key, Finished(attempt.key.attempt, _SUCCESS, now, now))

    async def cancel(self, key: AttemptKey, *, grace: timedelta) -> None:
        """None is ever under way."""

    async def adopt(self, keys: Sequence[AttemptKey]) -> set[AttemptKey]:
        """None is ever under way."""
        return set()

    async def stop(self, *, drain: timedelta | None) -> None:
        """There is nothing to stop."""


class ShownExecutor:
    """Another executor; what its attempts have written to their logs is shown when they end."""

    def __init__(self, executor: Executor, on_record: Callable[[bytes], None]) -> None:
        self.kind = executor.kind
        self.starts_at_once = executor.starts_at_once
        self._executor = executor
        self._on_record = on_record
        self._logs: dict[AttemptId, LogRef] = {}
        self._told: set[asyncio.Task[None]] = set()

    @property
    def free_slots(self) -> int | None:
        """How many attempts it would accept now."""
        return self._executor.free_slots

    async def start(self, host: ExecutorHost) -> None:
        """Begins to take attempts."""
        shown = _Logs(host.log_root, self._logs, self._on_record)
        await self._executor.start(_ShowingHost(host, shown, self._told))

    async def submit(self, attempts: Sequence[Attempt]) -> None:
        """Hands them on."""
        for attempt in attempts:
            self._logs[attempt.key.attempt] = ref_of(attempt)
        await self._executor.submit(attempts)

    async def cancel(self, key: AttemptKey, *, grace: timedelta) -> None:
        """Ends the attempt."""
        await self._executor.cancel(key, grace=grace)

    async def adopt(self, keys: Sequence[AttemptKey]) -> set[AttemptKey]:
        """Which of these still run there."""
        return await self._executor.adopt(keys)

    async def stop(self, *, drain: timedelta | None) -> None:
        """No new work."""
        await self._executor.stop(drain=drain)
        while self._told:
            await asyncio.wait(self._told)


class _Logs:
    """The logs of attempts, and how far they have been shown: a try that is rescheduled has several attempts."""

    def __init__(self, root: str, refs: dict[AttemptId, LogRef], on_record: Callable[[bytes], None]) -> None:
        self._root = root
        self._refs = refs
        self._on_record = on_record
        self._tokens: dict[LogRef, str] = {}

    def show(self, attempt: AttemptId) -> None:
        """Shows what is new. Reads files: not for the loop."""
        ref = self._refs.pop(attempt, None)
        while ref is not None:
            page = read_log(self._root, ref, self._tokens.get(ref), shared=False)
            self._tokens[ref] = page.token
            for record in page.records:
                said = {name: value for name, value in record._asdict().items() if value is not None}
                self._on_record(orjson.dumps(said | {"task_id": ref.task_id, "map_index": ref.map_index}))
            if page.finished or not page.records:
                return


class _ShowingHost:
    """The runtime, as that executor sees it."""

    def __init__(self, host: ExecutorHost, logs: _Logs, told: set[asyncio.Task[None]]) -> None:
        self._host = host
        self._logs = logs
        self._told = told

    @property
    def services(self) -> TaskServices:
        return self._host.services

    @property
    def log_root(self) -> str:
        return self._host.log_root

    @property
    def settings(self) -> Mapping[str, Json]:
        return self._host.settings

    def began(self, key: AttemptKey, *, hostname: str, pid: int | None) -> None:
        self._host.began(key, hostname=hostname, pid=pid)

    def finished(self, key: AttemptKey, end: Finished, on_committed: Callable[[bool], None] | None = None) -> None:
        telling = asyncio.ensure_future(self._tell(key, end, on_committed))
        self._told.add(telling)
        telling.add_done_callback(self._told.discard)

    async def _tell(self, key: AttemptKey, end: Finished, on_committed: Callable[[bool], None] | None) -> None:
        try:
            await asyncio.to_thread(self._logs.show, key.attempt)
        finally:
            self._host.finished(key, end, on_committed)

    def slots_changed(self) -> None:
        self._host.slots_changed()

    def wait_answered(
        self, key: WaitKey, answer: WaitAnswer, outcome: Outcome | None, on_committed: Callable[[bool], None]
    ) -> None:
        self._host.wait_answered(key, answer, outcome, on_committed)

    def wait_ended(self, key: WaitKey) -> None:
        self._host.wait_ended(key)
