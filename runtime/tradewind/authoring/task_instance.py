"""`ti`: the running task instance, as task code sees it."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Generator, Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar, cast

from tradewind.authoring.lazy_xcoms import LazyXComs
from tradewind.authoring.measuring import has_instances, measured_length
from tradewind.authoring.operator import BaseOperator
from tradewind.authoring.publishing import publication
from tradewind.authoring.run_instances import log_address
from tradewind.authoring.xcom import check_xcom_key, decode, encode
from tradewind.model.keys import UNMAPPED, RunId
from tradewind.model.outcomes import RETURN_KEY, EncodedValue
from tradewind.model.states import TaskState

if TYPE_CHECKING:
    from tradewind.authoring.access import CurrentAttempt
    from tradewind.model.rows import RunRow

Result = TypeVar("Result")


class _Ask(NamedTuple):
    """One call of the services: answered by a loop in `pull`, by blocking in `xcom_pull`."""

    call: str
    args: tuple[Any, ...]


_Asking = Generator[_Ask, Any, Result]


class _Wanted(NamedTuple):
    task_ids: str | Iterable[str] | None
    key: str | None
    dag_id: str | None
    run_id: str | None
    map_indexes: int | Iterable[int] | None
    include_prior_dates: bool
    default: Any
    lazily: bool
    """Values of mapped instances may be fetched later, when they are looked at."""


class TaskInstance:
    """The task instance whose code is running. `run_id` is the run's id as people see it.

    In `async def` tasks use `await ti.pull(…)` and `await ti.push(…)`; in plain ones
    `ti.xcom_pull(…)` and `ti.xcom_push(…)`.
    """

    def __init__(self, current: CurrentAttempt, task: BaseOperator, dag_run: Any = None) -> None:
        attempt = current.attempt
        self._current = current
        self.attempt = attempt
        self.task = task
        self.dag_run = dag_run
        self.dag_id: str = attempt.run.dag_id
        self.task_id: str = attempt.key.task_id
        self.run_id: str = attempt.run.dag_run_id
        self.map_index: int = attempt.key.map_index
        self.rendered_map_index: str | None = None
        self.try_number: int = attempt.key.try_number
        self.max_tries: int = attempt.max_tries - 1
        self.start_date: datetime = attempt.first_started_at
        self.end_date: datetime | None = None
        self.duration: float | None = None
        self.logical_date: datetime = attempt.run.logical_date
        self.execution_date: datetime = attempt.run.logical_date
        self.state: str = TaskState.RUNNING.value
        self.hostname: str = socket.gethostname()
        self.pid: int = os.getpid()
        self.operator: str = task.task_type
        self.queue: str = attempt.task.queue
        self.pool: str = attempt.task.pool
        self.pool_slots: int = attempt.task.pool_slots
        self.priority_weight: int = attempt.task.priority_weight
        self.test_mode: bool = False

    # ------------------------------------------------------------------ facts

    @property
    def log(self) -> logging.Logger:
        """The task's logger."""
        return self.task.log

    @property
    def key(self) -> tuple[str, str, str, int, int]:
        """(DAG, task, run, try, map index)."""
        return (self.dag_id, self.task_id, self.run_id, self.try_number, self.map_index)

    @property
    def prev_attempted_tries(self) -> int:
        """How many tries came before this one."""
        return self.try_number - 1

    def get_dagrun(self) -> Any:
        """The run: what `dag_run` is in the context."""
        return self.dag_run if self.dag_run is not None else self.get_template_context()["dag_run"]

    def get_template_context(self) -> Any:
        """The context of the running attempt. Raises TradewindError outside one."""
        from tradewind.authoring.current_context import get_current_context

        return get_current_context()

    @property
    def log_url(self) -> str:
        """Address of the try's log in the web pages."""
        return log_address(self.dag_id, self.run_id, self.task_id, self.map_index, self.try_number)

    def is_eligible_to_retry(self) -> bool:
        """Whether another try is left after this one."""
        return self.try_number <= self.max_tries

    def __repr__(self) -> str:
        index = "" if self.map_index == UNMAPPED else f" map_index={self.map_index}"
        return f"<TaskInstance: {self.dag_id}.{self.task_id} {self.run_id}{index} [{self.state}]>"

    # ------------------------------------------------------------------ XCom

    def xcom_push(self, key: str, value: Any) -> None:
        """Stores a value of this task under `key`; durable on return. Raises XComError."""
        self._current.blocking.xcom_put(self.attempt.key, key, self._encoded(key, value))

    async def push(self, key: str, value: Any) -> None:
        """`xcom_push` for async code."""
        await self._current.services.xcom_put(self.attempt.key, key, self._encoded(key, value))

    def publish(self, name: str, value: Any) -> None:
        """Lets people and programs read `value` while the task runs; `ctx.publish` says more. Raises XComError."""
        found = publication(self.task_id, name, value)
        self._current.blocking.xcom_put(self.attempt.key, found.key, found.value)

    def xcom_pull(
        self,
        task_ids: str | Iterable[str] | None = None,
        dag_id: str | None = None,
        key: str | None = RETURN_KEY,
        include_prior_dates: bool = False,
        **more: Any,
    ) -> Any:
        """The value that a task of this run stored under `key`; `default` (None) where there is none.

        A list of task ids gives a list of values. Without task ids the nearest task upstream that
        stored the key is taken, else this task itself. `key=None` means whatever was stored last.
        `dag_id` and `run_id` name another run, `include_prior_dates` looks back through earlier runs.
        Of a mapped task all values that were stored are given, as a sequence in the order of map indexes,
        unless `map_indexes` picks some (a list) or one.
        """
        asking = self._pull(_wanted(task_ids, key, dag_id, include_prior_dates, more, lazily=True))
        answer: Any = None
        try:
            while True:
                ask = asking.send(answer)
                answer = getattr(self._current.blocking, ask.call)(*ask.args)
        except StopIteration as done:
            return done.value

    async def pull(
        self,
        task_ids: str | Iterable[str] | None = None,
        dag_id: str | None = None,
        key: str | None = RETURN_KEY,
        include_prior_dates: bool = False,
        **more: Any,
    ) -> Any:
        """`xcom_pull` for async code."""
        asking = self._pull(_wanted(task_ids, key, dag_id, include_prior_dates, more, lazily=False))
        answer: Any = None
        try:
            while True:
                ask = asking.send(answer)
                answer = await getattr(self._current.services, ask.call)(*ask.args)
        except StopIteration as done:
            return done.value

    def _encoded(self, key: str, value: Any) -> EncodedValue:
        check_xcom_key(key)
        if key in self.attempt.task.measured:
            self._current.lengths[key] = measured_length(value)
        facts = {"key": key, "task_id": self.task_id, "dag_id": self.dag_id, "run_id": self.run_id}
        where = f"XCom {key!r} of task {self.task_id!r}"
        return encode(value, where=where, facts={**facts, "map_index": self.map_index})

    def _pull(self, wanted: _Wanted) -> _Asking[Any]:
        run = yield from self._run(wanted)
        if run is None:
            return wanted.default
        if wanted.task_ids is None:
            for task_id in self._nearest_first():
                value = yield from self._pull_one(run, task_id, wanted)
                if value is not _MISSING:
                    return value
            return wanted.default
        if isinstance(wanted.task_ids, str):
            value = yield from self._pull_one(run, wanted.task_ids, wanted)
            return wanted.default if value is _MISSING else value
        values: list[Any] = []
        for task_id in wanted.task_ids:
            value = yield from self._pull_one(run, task_id, wanted)
            if wanted.map_indexes is None and isinstance(value, LazyXComs):
                values.extend(value)
            else:
                values.append(wanted.default if value is _MISSING else value)
        return values

    def _run(self, wanted: _Wanted) -> _Asking[tuple[RunId, str, datetime] | None]:
        """(run, DAG id, logical date) of the run to look in."""
        dag_id = wanted.dag_id or self.dag_id
        run_id = wanted.run_id or self.run_id
        if dag_id == self.dag_id and run_id == self.run_id:
            return self.attempt.run.run_id, dag_id, self.logical_date
        row: RunRow | None = yield _Ask("run_find", (dag_id, run_id))
        if row is None and wanted.include_prior_dates and wanted.run_id is None:
            # Another DAG has no run of this name: from its latest one on that is not later than ours.
            row = yield _Ask("run_before", (dag_id, self.logical_date + timedelta.resolution))
        return None if row is None else (row.run_id, dag_id, row.logical_date)

    def _pull_one(self, run: tuple[RunId, str, datetime], task_id: str, wanted: _Wanted) -> _Asking[Any]:
        run_id, dag_id, logical_date = run
        while True:
            if wanted.key is None:
                value = yield from self._pull_latest(run_id, task_id, wanted)
            else:
                value = yield from self._pull_instances(run_id, task_id, wanted)
            if value is not _MISSING or not wanted.include_prior_dates:
                return value
            before: RunRow | None = yield _Ask("run_before", (dag_id, logical_date))
            if before is None:
                return _MISSING
            run_id, logical_date = before.run_id, before.logical_date

    def _pull_instances(self, run_id: RunId, task_id: str, wanted: _Wanted) -> _Asking[Any]:
        indexes = wanted.map_indexes
        if indexes is None:
            return (yield from self._pull_any(run_id, task_id, wanted))
        if isinstance(indexes, int):
            return (yield from self._fetch(run_id, task_id, wanted.key or RETURN_KEY, indexes))
        listed = list(indexes)
        values: list[EncodedValue | None] = yield _Ask("xcom_many", (run_id, task_id, wanted.key or RETURN_KEY, listed))
        return [wanted.default if value is None else decode(value) for value in values]

    def _pull_latest(self, run_id: RunId, task_id: str, wanted: _Wanted) -> _Asking[Any]:
        """The value that was stored last, whatever its key."""
        index = wanted.map_indexes if isinstance(wanted.map_indexes, int) else UNMAPPED
        keys: list[str] = yield _Ask("xcom_keys", (run_id, task_id, index))
        return (yield from self._pull_instances(run_id, task_id, wanted._replace(key=keys[0]))) if keys else _MISSING

    def _pull_any(self, run_id: RunId, task_id: str, wanted: _Wanted) -> _Asking[Any]:
        """The value of a task that is not mapped, or all values of one that is."""
        task = self.task.dag.task_dict.get(task_id) if self.task.dag is not None else None
        if task is None or not has_instances(task):
            value = yield from self._fetch(run_id, task_id, wanted.key or RETURN_KEY, UNMAPPED)
            if task is not None or value is not _MISSING:
                return value
        key = wanted.key or RETURN_KEY
        indexes: list[int] = yield _Ask("xcom_indexes", (run_id, task_id, key))
        indexes = [index for index in indexes if index != UNMAPPED]
        if not indexes:
            return _MISSING

        def decoded(values: Iterable[EncodedValue | None]) -> list[Any]:
            return [None if value is None else decode(value) for value in values]

        if wanted.lazily:
            ask = self._current.blocking.xcom_many
            return LazyXComs(indexes, lambda some: decoded(ask(run_id, task_id, key, some)))
        loaded = decoded((yield _Ask("xcom_many", (run_id, task_id, key, indexes))))
        known = dict(zip(indexes, loaded, strict=True))
        return LazyXComs(indexes, lambda some: [known[index] for index in some]).load()

    def _fetch(self, run_id: RunId, task_id: str, key: str, map_index: int) -> _Asking[Any]:
        encoded: EncodedValue | None = yield _Ask("xcom_get", (run_id, task_id, key, map_index))
        return _MISSING if encoded is None else decode(encoded)

    def _nearest_first(self) -> list[str]:
        """Ids of all tasks upstream, the nearest first, then this task's own."""
        dag = self.task.dag
        if dag is None:
            return [self.task_id]
        found: dict[str, None] = {}
        level = sorted(self.task.upstream_task_ids)
        while level:
            found.update(dict.fromkeys(level))
            further = {up for task_id in level for up in dag.task_dict[task_id].upstream_task_ids}
            level = sorted(further - found.keys())
        return [*found, self.task_id]


class _Missing:
    """No such XCom; None is a value."""


_MISSING: Final = _Missing()


def _wanted(
    task_ids: str | Iterable[str] | None,
    key: str | None,
    dag_id: str | None,
    prior: bool,
    more: Mapping[str, Any],
    *,
    lazily: bool,
) -> _Wanted:
    unknown = more.keys() - {"run_id", "map_indexes", "default", "session"}
    if unknown:
        raise TypeError(f"xcom_pull() does not take the arguments {', '.join(map(repr, sorted(unknown)))}")
    indexes = cast("int | Iterable[int] | None", more.get("map_indexes"))
    return _Wanted(task_ids, key, dag_id, more.get("run_id"), indexes, prior, more.get("default"), lazily)
