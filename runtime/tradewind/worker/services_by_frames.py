"""`TaskServices` for coroutines at the other end of a channel: many calls at once, each a frame and its reply."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, cast

import orjson

from tradewind.authoring.access import current_attempt
from tradewind.authoring.other_dags import DagFacts
from tradewind.model.assets import AssetEvent, AssetEventFilter
from tradewind.model.attempts import AttemptKey
from tradewind.model.durable import Step
from tradewind.model.errors import NotFoundError
from tradewind.model.keys import UNMAPPED, RunId
from tradewind.model.outcomes import EncodedValue
from tradewind.model.rows import InstanceRow, RunRow
from tradewind.model.specs import Json
from tradewind.model.states import RunState
from tradewind.worker import codec
from tradewind.worker.asset_calls import event_of, plain_filter
from tradewind.worker.channel import refusal
from tradewind.worker.frames import Frame
from tradewind.worker.other_dags import facts_of
from tradewind.worker.state_calls import StatesByAwaitedFrames


class Says(Protocol):
    """What frames leave through."""

    def say(self, kind: str, body: Any) -> int:
        """Sends a frame; returns its sequence number."""
        ...


class ServicesByFrames(StatesByAwaitedFrames):
    """Asks the runtime. Whoever reads the channel hands answers to `answered`."""

    def __init__(self, channel: Says) -> None:
        self._channel = channel
        self._asked: dict[int, asyncio.Future[Any]] = {}

    def answered(self, frame: Frame) -> None:
        """Takes a `reply` or `refused`."""
        asked = self._asked.pop(frame.sequence, None)
        if asked is None or asked.done():
            return
        if frame.kind == "reply":
            asked.set_result(frame.body["value"])
        else:
            asked.set_exception(refusal(frame.body["error"], frame.body["message"]))

    async def ask_for(self, name: str, args: list[Any]) -> Any:
        """Sends a call and waits for its reply."""
        return await self._ask(name, args)

    async def _ask(self, name: str, args: list[Any]) -> Any:
        current = current_attempt.get(None)
        attempt = current.attempt.key.attempt if current is not None else b""
        sequence = self._channel.say("call", {"attempt": attempt, "name": name, "args": args})
        asked = self._asked[sequence] = asyncio.get_running_loop().create_future()
        try:
            return await asked
        finally:
            self._asked.pop(sequence, None)

    async def xcom_get(self, run_id: RunId, task_id: str, key: str, map_index: int = UNMAPPED) -> EncodedValue | None:
        """See TaskServices."""
        return codec.value_of(await self._ask("xcom_get", [run_id, task_id, key, map_index]))

    async def xcom_indexes(self, run_id: RunId, task_id: str, key: str) -> list[int]:
        """See TaskServices."""
        return cast("list[int]", await self._ask("xcom_indexes", [run_id, task_id, key]))

    async def xcom_keys(self, run_id: RunId, task_id: str, map_index: int = UNMAPPED) -> list[str]:
        """See TaskServices."""
        return cast("list[str]", await self._ask("xcom_keys", [run_id, task_id, map_index]))

    async def xcom_many(
        self, run_id: RunId, task_id: str, key: str, map_indexes: Sequence[int]
    ) -> list[EncodedValue | None]:
        """See TaskServices."""
        plain = await self._ask("xcom_many", [run_id, task_id, key, list(map_indexes)])
        return [codec.value_of(value) for value in plain]

    async def xcom_put(self, attempt: AttemptKey, key: str, value: EncodedValue) -> None:
        """See TaskServices."""
        await self._ask("xcom_put", [codec.plain_key(attempt), key, codec.plain_value(value)])

    async def step_list(self, run_id: RunId, task_id: str, map_index: int) -> list[Step]:
        """See TaskServices."""
        return [codec.step_of(step) for step in await self._ask("step_list", [run_id, task_id, map_index])]

    async def step_put(self, attempt: AttemptKey, step: Step) -> None:
        """See TaskServices."""
        await self._ask("step_put", [codec.plain_key(attempt), codec.plain_step(step)])

    async def variable_get(self, key: str) -> str | None:
        """See TaskServices."""
        return cast("str | None", await self._ask("variable_get", [key]))

    async def variable_set(self, key: str, value: str | None, description: str | None = None) -> None:
        """See TaskServices."""
        await self._ask("variable_set", [key, value, description])

    async def connection_get(self, conn_id: str) -> str | None:
        """See TaskServices."""
        return cast("str | None", await self._ask("connection_get", [conn_id]))

    async def run_find(self, dag_id: str, dag_run_id: str) -> RunRow | None:
        """See TaskServices."""
        return codec.run_of(await self._ask("run_find", [dag_id, dag_run_id]))

    async def run_before(self, dag_id: str, logical_date: datetime, state: RunState | None = None) -> RunRow | None:
        """See TaskServices."""
        return codec.run_of(await self._ask("run_before", [dag_id, logical_date, state]))

    async def task_success_before(
        self, dag_id: str, task_id: str, logical_date: datetime
    ) -> tuple[RunRow, InstanceRow] | None:
        """See TaskServices."""
        plain = await self._ask("task_success_before", [dag_id, task_id, logical_date])
        if plain is None:
            return None
        run = codec.run_of(plain[0])
        return None if run is None else (run, codec.instance_of(plain[1]))

    async def asset_events(self, where: AssetEventFilter) -> list[AssetEvent]:
        """See TaskServices."""
        return [event_of(plain) for plain in await self._ask("asset_events", [plain_filter(where)])]

    async def instance_list(self, run_id: RunId) -> list[InstanceRow]:
        """See TaskServices."""
        return [codec.instance_of(row) for row in await self._ask("instance_list", [run_id])]

    async def run_trigger(
        self,
        dag_id: str,
        conf: Mapping[str, Json] | None,
        *,
        dag_run_id: str | None,
        logical_date: datetime | None,
    ) -> RunRow:
        """See TaskServices."""
        body = None if conf is None else orjson.dumps(dict(conf))
        run = codec.run_of(await self._ask("run_trigger", [dag_id, body, dag_run_id, logical_date]))
        if run is None:
            raise NotFoundError(f"no run of DAG {dag_id!r} was made")
        return run

    async def dag_facts(self, dag_id: str) -> DagFacts | None:
        """See OtherDags."""
        return facts_of(await self._ask("dag_facts", [dag_id]))

    async def runs_at(self, dag_id: str, logical_date: datetime) -> list[RunRow]:
        """See OtherDags."""
        runs = [codec.run_of(plain) for plain in await self._ask("runs_at", [dag_id, logical_date])]
        return [run for run in runs if run is not None]

    async def run_wait(self, run_id: RunId, seconds: float) -> RunRow | None:
        """See OtherDags."""
        return codec.run_of(await self._ask("run_wait", [run_id, seconds]))

    async def changes(self, what: str, dag_id: str, since: int, seconds: float) -> int:
        """See OtherDags."""
        return int(await self._ask("changes", [what, dag_id, since, seconds]))

    async def run_restart(self, dag_id: str, dag_run_id: str) -> RunRow:
        """See OtherDags."""
        run = codec.run_of(await self._ask("run_restart", [dag_id, dag_run_id]))
        if run is None:
            raise NotFoundError(f"DAG {dag_id!r} has no run {dag_run_id!r}")
        return run
