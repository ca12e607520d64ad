"""Runs as the program around the runtime sees them: asked for, waited for, and their results."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol, TypeGuard, cast

import orjson

from tradewind.authoring.params import values_for_run
from tradewind.authoring.xcom import decode
from tradewind.control_ports import TriggerRequest
from tradewind.model.assets import AssetEvent, ExternalEvent
from tradewind.model.errors import (
    AuthoringError,
    ConflictError,
    DagPausedError,
    NotFoundError,
    ParamValidationError,
    RunFailed,
    StoreError,
)
from tradewind.model.keys import UNMAPPED
from tradewind.model.outcomes import RETURN_KEY, EncodedValue
from tradewind.model.rows import InstanceRow, RunRow
from tradewind.model.specs import DagSpec, Json, TaskSpec
from tradewind.model.states import RunState, TaskState
from tradewind.ports import Clock, StoreReads
from tradewind.rules.due import keyed_run_id
from tradewind.services.control import RuntimeControl
from tradewind.services.event_runs import nobody_waits, posted_event
from tradewind.services.wish_mail import mail_key_of, trigger_mail
from tradewind.store.enqueuing import SqlConnection, is_open

SHOWN: Final = 5
"""So many failed tasks are named in a message."""


class _Enqueues(Protocol):
    """A store that can send mail in others' transactions."""

    async def mail_enqueue(self, connection: SqlConnection, dag_id: str, kind: str, body: bytes, key: str) -> None: ...

    async def mail_is_known(self, key: str) -> int | None: ...

    async def event_enqueue(self, connection: SqlConnection, event: ExternalEvent) -> AssetEvent: ...


@dataclass(frozen=True, slots=True)
class _Sent:
    """A wish that went out in somebody else's transaction."""

    key: str
    connection: SqlConnection
    store: _Enqueues


class StartedRun:
    """A run that was asked for. `id` is its name, unique within the DAG."""

    def __init__(self, control: RuntimeControl, dag_id: str, dag_run_id: str, sent: _Sent | None = None) -> None:
        self.dag_id = dag_id
        self.id = dag_run_id
        self._control = control
        self._sent = sent
        self._row: RunRow | None = None

    def __repr__(self) -> str:
        return f"<StartedRun {self.dag_id!r} {self.id!r}>"

    async def wait(self, timeout: float | None = None) -> RunRow:
        """The run once it has ended, well or not.

        Raises:
            TimeoutError: it has not ended after `timeout` seconds; it goes on.
            ConflictError: it was asked for in a transaction that is still open: it cannot begin before that ends.
            NotFoundError: it was asked for in a transaction that was rolled back.
        """
        await self._committed()
        try:
            async with asyncio.timeout(timeout):
                self._row = await self._control.run_wait((await self._found()).run_id)
        except TimeoutError:
            raise TimeoutError(
                f"run {self.id!r} of DAG {self.dag_id!r} has not ended after {timeout:g} s; it goes on"
            ) from None
        return self._row

    async def result(self, task_id: str | None = None, *, timeout: float | None = None) -> Any:
        """What the DAG's last task has returned, or the task that is named; of a mapped one the list of what its
        instances have returned. None where it was skipped or returned nothing. Waits for the end of the run.

        Raises:
            RunFailed: the run has failed; the message names the task and its error.
            AuthoringError: the DAG has several last tasks, so one has to be named.
            NotFoundError, ConflictError, TimeoutError: as `wait`, or the DAG has no task of that name.
        """
        row = await self.wait(timeout)
        reads = self._control.reads
        spec = await self._spec(row)
        task = _task_of(spec, task_id)
        if row.state is RunState.FAILED:
            raise await _failure(reads, row)
        instances = [one for one in await reads.instance_list(row.run_id) if one.task_id == task.task_id]
        return await self._value(row, task, instances)

    async def _value(self, row: RunRow, task: TaskSpec, instances: Sequence[InstanceRow]) -> Any:
        reads = self._control.reads

        def facts(index: int) -> Mapping[str, Any]:
            return {
                "key": RETURN_KEY,
                "task_id": task.task_id,
                "dag_id": row.dag_id,
                "run_id": row.dag_run_id,
                "map_index": index,
            }

        indexes = sorted(one.map_index for one in instances if one.map_index != UNMAPPED)
        if not indexes:
            found = await reads.xcom_get(row.run_id, task.task_id, RETURN_KEY)
            return await _decoded(found, facts(UNMAPPED))
        values = await reads.xcom_many(row.run_id, task.task_id, RETURN_KEY, indexes)
        return [await _decoded(value, facts(index)) for index, value in zip(indexes, values, strict=True)]

    async def _spec(self, row: RunRow) -> DagSpec:
        known = self._control.dag_in_memory(row.dag_id)
        if known is not None and known[0].version_hash == row.version_hash:
            return known[1]
        version = await self._control.reads.dag_version_get(row.dag_id, row.version_hash)
        if version is None:
            raise NotFoundError(f"the version of DAG {row.dag_id!r} that run {row.dag_run_id!r} has is gone")
        return version.spec

    async def _committed(self) -> int | None:
        """The number of the mail. Raises ConflictError, NotFoundError where it was never committed."""
        sent = self._sent
        if sent is None or self._row is not None:
            return None
        number = await sent.store.mail_is_known(sent.key)
        if number is not None:
            return number
        if await self._control.reads.run_get(self.dag_id, self.id) is not None:
            return None  # carried out so long ago that the mail is forgotten
        if is_open(sent.connection):
            raise ConflictError(
                f"run {self.id!r} of DAG {self.dag_id!r} was asked for in a transaction that is still open: it begins "
                "when that is committed. Ask for its result after the block of the transaction"
            )
        raise NotFoundError(
            f"there is no run {self.id!r} of DAG {self.dag_id!r}: the transaction that asked for it was rolled back"
        )

    async def _found(self) -> RunRow:
        if self._row is not None:
            return self._row
        number = await self._committed()
        refused: ConflictError | None = None
        if number is not None:
            try:
                await self._control.mailed.answer(self.dag_id, number, None)
            except ConflictError as error:
                refused = error  # the run is there already: asked for twice under one key
        row = await self._control.reads.run_get(self.dag_id, self.id)
        if row is None:
            raise refused or NotFoundError(f"run {self.id!r} of DAG {self.dag_id!r} is gone")
        return row


class RunStarter:
    """Asks for runs, of this runtime's DAGs and of others'."""

    def __init__(self, control: RuntimeControl, clock: Clock) -> None:
        self._control = control
        self._clock = clock

    async def start(
        self, request: TriggerRequest, *, key: str | None = None, connection: SqlConnection | None = None
    ) -> StartedRun:
        """As `Runtime.trigger`."""
        if key is not None:
            if request.dag_run_id is not None:
                raise AuthoringError("give a run either an id or a key: its id is made of the key")
            request = replace(request, dag_run_id=keyed_run_id(request.run_type, key))
        _check_conf(request)
        if connection is not None:
            return await self._enqueue(request, connection, key)
        try:
            row = await self._control.run_trigger(request)
        except DagPausedError:
            raise
        except ConflictError:
            known = None
            if key is not None and request.dag_run_id is not None:
                known = await self._control.reads.run_get(request.dag_id, request.dag_run_id)
            if known is None:
                raise
            row = known
        return StartedRun(self._control, row.dag_id, row.dag_run_id)

    async def check_task(self, dag_id: str, task_id: str | None) -> None:
        """Raises AuthoringError where a run has no one result, NotFoundError for a task or DAG that is not there."""
        _task_of((await self._control.dag_with_spec(dag_id))[1], task_id)

    async def _enqueue(self, request: TriggerRequest, connection: SqlConnection, key: str | None) -> StartedRun:
        store = self._enqueuing()
        row, spec = await self._control.dag_with_spec(request.dag_id)
        await asyncio.to_thread(values_for_run, spec.params, request.conf)
        dag_run_id, body = trigger_mail(replace(request, while_paused=True), self._clock.now())
        mail_key = uuid.uuid4().hex if key is None else mail_key_of(row.dag_id, dag_run_id)
        await store.mail_enqueue(connection, row.dag_id, "trigger", orjson.dumps(body), mail_key)
        return StartedRun(self._control, row.dag_id, dag_run_id, _Sent(mail_key, connection, store))

    async def event(
        self, name: str, payload: Mapping[str, Json], *, key: str | None = None, connection: SqlConnection
    ) -> AssetEvent:
        """As `Runtime.event` with a `connection`."""
        try:
            return await self._enqueuing().event_enqueue(connection, posted_event(name, payload, key))
        except NotFoundError:
            raise nobody_waits(name) from None

    def _enqueuing(self) -> _Enqueues:
        store = self._control.store
        if not _can_enqueue(store):
            raise StoreError("`connection` is for runtimes whose store is a PostgreSQL database")
        return store


def _can_enqueue(store: object) -> TypeGuard[_Enqueues]:
    return hasattr(store, "mail_enqueue")


def _check_conf(request: TriggerRequest) -> None:
    given = cast("object", request.conf)
    if not isinstance(given, Mapping | None):
        raise ParamValidationError(f"the conf of a run of DAG {request.dag_id!r} has to be a dict, not {given!r}")
    try:
        orjson.dumps(request.conf)
    except TypeError as error:
        raise ParamValidationError(f"the conf of a run of DAG {request.dag_id!r} is not JSON: {error}") from error


def _task_of(spec: DagSpec, task_id: str | None) -> TaskSpec:
    if task_id is not None:
        for task in spec.tasks:
            if task.task_id == task_id:
                return task
        raise NotFoundError(f"DAG {spec.dag_id!r} has no task {task_id!r}")
    followed = {upstream for task in spec.tasks if not task.is_teardown for upstream in task.upstream}
    last = [task for task in spec.tasks if task.task_id not in followed and not task.is_teardown]
    if len(last) != 1:
        names = ", ".join(repr(task.task_id) for task in last) or "none"
        raise AuthoringError(
            f"DAG {spec.dag_id!r} has no single last task (they are: {names}): say whose result, as in result('task')"
        )
    return last[0]


async def _decoded(value: EncodedValue | None, facts: Mapping[str, Any]) -> Any:
    if value is None:
        return None
    if len(value.data) > _LARGE:
        return await asyncio.to_thread(decode, value, facts)
    return decode(value, facts)


_LARGE: Final = 256 * 1024
"""Values of more bytes are decoded off the loop."""


async def _failure(reads: StoreReads, row: RunRow) -> RunFailed:
    failed = [one for one in await reads.instance_list(row.run_id) if one.state is TaskState.FAILED]
    failed.sort(key=lambda one: (one.ended_at is None, one.ended_at and one.ended_at.timestamp(), one.task_id))
    where = f"run {row.dag_run_id!r} of DAG {row.dag_id!r} failed"
    if not failed:
        return RunFailed(f"{where}: it was ended from outside, or no task could run")
    first, names = failed[0], [_name(one) for one in failed]
    attempts = await reads.attempt_list(row.run_id, first.task_id, first.map_index)
    tries = f" after {first.try_number} tries" if first.try_number > 1 else ""
    message = f"{where}: task {names[0]!r} failed{tries}"
    detail: Json = attempts[-1].detail if attempts else None
    if detail:
        error = detail.get("error")
        reason = f"{error['type'].rpartition('.')[2]}: {error['message']}" if error else detail.get("reason")
        message += f": {reason}" if reason else ""
    if len(names) > 1:
        others = ", ".join(names[1:SHOWN]) + (", …" if len(names) > SHOWN else "")
        message += f" (failed too: {others})"
    return RunFailed(message, names)


def _name(one: InstanceRow) -> str:
    return one.task_id if one.map_index == UNMAPPED else f"{one.task_id}[{one.map_index}]"
