"""What an attempt and its executor say to each other, over whatever carries frames.

The executor speaks first::

    attempt   {attempt, log_root, settings}      what to do

The attempt answers with any of these; each carries the attempt's id::

    began     {attempt, pid, hostname}           its body is about to run
    heartbeat {attempt}                          still there (not said by our own: their processes are watched)
    call      {attempt, name, args}              a question, answered by `reply` or `refused`
    finished  {attempt, outcome, started_at, ended_at}   answered by `ack` {accepted}, after the commit

`reply {value}` and `refused {error, message}` repeat the sequence of their `call`. The same
`finished` again is acknowledged again. Our own processes do not wait for that.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from socket import socket
from typing import Any, Final, cast

import orjson

from tradewind.authoring.access import TaskServices
from tradewind.model import errors
from tradewind.model.assets import AssetEvent, AssetEventFilter
from tradewind.model.attempts import Attempt, AttemptKey
from tradewind.model.durable import Step
from tradewind.model.errors import NotFoundError, TradewindError
from tradewind.model.keys import UNMAPPED, AttemptId, RunId
from tradewind.model.outcomes import EncodedValue, Finished, Outcome
from tradewind.model.rows import InstanceRow, RunRow
from tradewind.model.specs import Json
from tradewind.model.states import RunState
from tradewind.worker import codec
from tradewind.worker.alarm import uninterrupted
from tradewind.worker.asset_calls import answer_events, event_of, plain_filter
from tradewind.worker.frames import Frame, FrameReader, ProtocolError, pack
from tradewind.worker.other_dags import CALLS as _OTHER_DAGS
from tradewind.worker.other_dags import OtherDagsByFrames
from tradewind.worker.state_calls import CALLS as _STATES
from tradewind.worker.state_calls import StatesByFrames
from tradewind.worker.turns import Turns

_CHUNK: Final = 1 << 16

AT_ONCE: Final = 1 << 15
"""Bytes that a socket takes whole or not at all; longer frames might be cut in two by a signal."""


class ChannelClosed(TradewindError):
    """The other side of the attempt's channel is gone: the runtime has ended."""


class ChannelClient(OtherDagsByFrames, StatesByFrames):
    """The attempt's side for sync code: `BlockingServices` over a socket. Calls from several threads take turns, and
    so do those from processes that the task forks.
    """

    def __init__(self, sock: socket) -> None:
        self._sock = sock
        self._reader = FrameReader()
        self._frames: list[Frame] = []
        self._sequence = 0
        self._turns = Turns()
        self._is_fork = False
        self._attempt: AttemptId = AttemptId(b"")

    # -- the life of the attempt

    def receive_attempt(self) -> tuple[Attempt, str, dict[str, Any]]:
        """Waits for the order: the attempt, the log root, and settings for workers. Raises ChannelClosed."""
        frame = self._receive()
        if frame.kind != "attempt":
            raise ProtocolError(f"the first frame must say `attempt`, not {frame.kind!r}")
        attempt = codec.attempt_of(frame.body["attempt"])
        self._attempt = attempt.key.attempt
        return attempt, frame.body["log_root"], frame.body["settings"]

    def began(self, pid: int, hostname: str) -> None:
        """Says that the body is about to run, in this process."""
        self._turns.watch_forks(self._forked)
        with self._turns.lock, self._turns:
            self._send("began", {"pid": pid, "hostname": hostname})

    def finished(self, outcome: Outcome, started_at: datetime, ended_at: datetime) -> None:
        """Reports the end; does not wait for the acknowledgement. Raises ChannelClosed, also in a process that the
        task has forked: the end is its parent's to tell.
        """
        if self._is_fork:
            raise ChannelClosed
        with self._turns.lock, self._turns:
            body = {"outcome": codec.plain_outcome(outcome), "started_at": started_at, "ended_at": ended_at}
            self._send("finished", body)

    # -- BlockingServices

    def xcom_get(self, run_id: RunId, task_id: str, key: str, map_index: int = UNMAPPED) -> EncodedValue | None:
        """See BlockingServices."""
        return codec.value_of(self.ask("xcom_get", [run_id, task_id, key, map_index]))

    def xcom_indexes(self, run_id: RunId, task_id: str, key: str) -> list[int]:
        """See BlockingServices."""
        return cast("list[int]", self.ask("xcom_indexes", [run_id, task_id, key]))

    def xcom_keys(self, run_id: RunId, task_id: str, map_index: int = UNMAPPED) -> list[str]:
        """See BlockingServices."""
        return cast("list[str]", self.ask("xcom_keys", [run_id, task_id, map_index]))

    def xcom_many(self, run_id: RunId, task_id: str, key: str, map_indexes: Sequence[int]) -> list[EncodedValue | None]:
        """See BlockingServices."""
        return [codec.value_of(value) for value in self.ask("xcom_many", [run_id, task_id, key, list(map_indexes)])]

    def xcom_put(self, attempt: AttemptKey, key: str, value: EncodedValue) -> None:
        """See BlockingServices."""
        self.ask("xcom_put", [codec.plain_key(attempt), key, codec.plain_value(value)])

    def step_list(self, run_id: RunId, task_id: str, map_index: int) -> list[Step]:
        """See BlockingServices."""
        return [codec.step_of(step) for step in self.ask("step_list", [run_id, task_id, map_index])]

    def step_put(self, attempt: AttemptKey, step: Step) -> None:
        """See BlockingServices."""
        self.ask("step_put", [codec.plain_key(attempt), codec.plain_step(step)])

    def variable_get(self, key: str) -> str | None:
        """See BlockingServices."""
        return cast("str | None", self.ask("variable_get", [key]))

    def variable_set(self, key: str, value: str | None, description: str | None = None) -> None:
        """See BlockingServices."""
        self.ask("variable_set", [key, value, description])

    def connection_get(self, conn_id: str) -> str | None:
        """See BlockingServices."""
        return cast("str | None", self.ask("connection_get", [conn_id]))

    def run_find(self, dag_id: str, dag_run_id: str) -> RunRow | None:
        """See BlockingServices."""
        return codec.run_of(self.ask("run_find", [dag_id, dag_run_id]))

    def run_before(self, dag_id: str, logical_date: datetime, state: RunState | None = None) -> RunRow | None:
        """See BlockingServices."""
        return codec.run_of(self.ask("run_before", [dag_id, logical_date, state]))

    def task_success_before(
        self, dag_id: str, task_id: str, logical_date: datetime
    ) -> tuple[RunRow, InstanceRow] | None:
        """See BlockingServices."""
        plain = self.ask("task_success_before", [dag_id, task_id, logical_date])
        if plain is None:
            return None
        run = codec.run_of(plain[0])
        return None if run is None else (run, codec.instance_of(plain[1]))

    def asset_events(self, where: AssetEventFilter) -> list[AssetEvent]:
        """See BlockingServices."""
        return [event_of(plain) for plain in self.ask("asset_events", [plain_filter(where)])]

    def instance_list(self, run_id: RunId) -> list[InstanceRow]:
        """See BlockingServices."""
        return [codec.instance_of(row) for row in self.ask("instance_list", [run_id])]

    def run_trigger(
        self,
        dag_id: str,
        conf: Mapping[str, Json] | None,
        *,
        dag_run_id: str | None,
        logical_date: datetime | None,
    ) -> RunRow:
        """See BlockingServices."""
        body = None if conf is None else orjson.dumps(dict(conf))
        run = codec.run_of(self.ask("run_trigger", [dag_id, body, dag_run_id, logical_date]))
        if run is None:
            raise NotFoundError(f"no run of DAG {dag_id!r} was made")
        return run

    # -- frames

    def ask(self, name: str, args: list[Any]) -> Any:
        """Sends a call and blocks until its reply is there. Raises what the runtime raised."""
        with self._turns.lock, self._turns:
            sequence = self._send("call", {"name": name, "args": args})
            while True:
                frame = self._receive()
                if frame.sequence == sequence and frame.kind == "reply":
                    return frame.body["value"]
                if frame.sequence == sequence and frame.kind == "refused":
                    raise refusal(frame.body["error"], frame.body["message"])

    def _forked(self) -> None:
        """This is a fork of the attempt's process: what is on its way there is not ours, our numbers are."""
        self._is_fork = True
        self._reader, self._frames = FrameReader(), []
        self._sequence = os.getpid() << 20

    def _send(self, kind: str, body: dict[str, Any]) -> int:
        self._sequence += 1
        body["attempt"] = self._attempt
        data = pack(Frame(kind, self._sequence, body))
        try:
            if len(data) <= AT_ONCE:
                self._sock.sendall(data)
            else:
                with uninterrupted():
                    self._sock.sendall(data)
        except OSError as error:
            raise ChannelClosed from error
        return self._sequence

    def _receive(self) -> Frame:
        while not self._frames:
            try:
                data = self._sock.recv(_CHUNK)
            except OSError as error:
                raise ChannelClosed from error
            if not data:
                raise ChannelClosed
            self._frames = self._reader.feed(data)
        return self._frames.pop(0)


def refusal(name: str, message: str) -> Exception:
    """The error that the runtime raised, as the attempt's side raises it again."""
    kind = getattr(errors, name, None)
    if isinstance(kind, type) and issubclass(kind, TradewindError) and kind.__init__ is TradewindError.__init__:
        return kind(message)
    return TradewindError(f"{name}: {message}")


# --------------------------------------------------------------------------- the executor's side


def attempt_frame(attempt: Attempt, log_root: str, settings: Mapping[str, Json]) -> bytes:
    """The order that opens a channel."""
    body = {"attempt": codec.plain_attempt(attempt), "log_root": log_root, "settings": dict(settings)}
    return pack(Frame("attempt", 0, body))


def ack_frame(sequence: int, *, accepted: bool) -> bytes:
    """Says that an end was committed, or refused because another was."""
    return pack(Frame("ack", sequence, {"accepted": accepted}))


def finished_of(body: Mapping[str, Any]) -> Finished:
    """The end that a `finished` frame reports."""
    started = datetime.fromisoformat(body["started_at"])
    ended = datetime.fromisoformat(body["ended_at"])
    return Finished(AttemptId(body["attempt"]), codec.outcome_of(body["outcome"]), started, ended)


async def answer(frame: Frame, services: TaskServices) -> bytes:
    """Carries out a `call` and packs the answer. Never raises: what goes wrong is the answer."""
    try:
        call = _CALLS.get(frame.body["name"])
        if call is None:
            raise ProtocolError(f"nothing is called {frame.body['name']!r}")
        value = await call(services, frame.body["args"])
        return pack(Frame("reply", frame.sequence, {"value": value}))
    except Exception as error:
        return pack(Frame("refused", frame.sequence, {"error": type(error).__name__, "message": str(error)}))


async def _xcom_get(services: TaskServices, args: list[Any]) -> Any:
    return codec.plain_value(await services.xcom_get(*args))


async def _xcom_keys(services: TaskServices, args: list[Any]) -> Any:
    return await services.xcom_keys(*args)


async def _xcom_indexes(services: TaskServices, args: list[Any]) -> Any:
    return await services.xcom_indexes(*args)


async def _xcom_many(services: TaskServices, args: list[Any]) -> Any:
    return [codec.plain_value(value) for value in await services.xcom_many(*args)]


async def _xcom_put(services: TaskServices, args: list[Any]) -> None:
    key, name, value = args
    await services.xcom_put(codec.key_of(key), name, EncodedValue(*value))


async def _step_list(services: TaskServices, args: list[Any]) -> Any:
    return [codec.plain_step(step) for step in await services.step_list(*args)]


async def _step_put(services: TaskServices, args: list[Any]) -> None:
    await services.step_put(codec.key_of(args[0]), codec.step_of(args[1]))


async def _variable_get(services: TaskServices, args: list[Any]) -> Any:
    return await services.variable_get(*args)


async def _variable_set(services: TaskServices, args: list[Any]) -> None:
    await services.variable_set(*args)


async def _connection_get(services: TaskServices, args: list[Any]) -> Any:
    return await services.connection_get(*args)


async def _run_find(services: TaskServices, args: list[Any]) -> Any:
    return codec.plain_run(await services.run_find(*args))


async def _run_before(services: TaskServices, args: list[Any]) -> Any:
    dag_id, logical_date, state = args
    at = datetime.fromisoformat(logical_date)
    return codec.plain_run(await services.run_before(dag_id, at, None if state is None else RunState(state)))


async def _task_success_before(services: TaskServices, args: list[Any]) -> Any:
    dag_id, task_id, logical_date = args
    found = await services.task_success_before(dag_id, task_id, datetime.fromisoformat(logical_date))
    return None if found is None else [codec.plain_run(found[0]), codec.plain_instance(found[1])]


async def _instance_list(services: TaskServices, args: list[Any]) -> Any:
    return [codec.plain_instance(row) for row in await services.instance_list(*args)]


async def _run_trigger(services: TaskServices, args: list[Any]) -> Any:
    dag_id, conf, dag_run_id, logical_date = args
    run = await services.run_trigger(
        dag_id,
        None if conf is None else orjson.loads(conf),
        dag_run_id=dag_run_id,
        logical_date=None if logical_date is None else datetime.fromisoformat(logical_date),
    )
    return codec.plain_run(run)


_CALLS: Final[dict[str, Callable[[TaskServices, list[Any]], Awaitable[Any]]]] = {
    **_OTHER_DAGS,
    **_STATES,
    "xcom_get": _xcom_get,
    "xcom_indexes": _xcom_indexes,
    "xcom_keys": _xcom_keys,
    "xcom_many": _xcom_many,
    "xcom_put": _xcom_put,
    "step_list": _step_list,
    "step_put": _step_put,
    "variable_get": _variable_get,
    "variable_set": _variable_set,
    "connection_get": _connection_get,
    "run_find": _run_find,
    "run_before": _run_before,
    "task_success_before": _task_success_before,
    "instance_list": _instance_list,
    "asset_events": answer_events,
    "run_trigger": _run_trigger,
}
