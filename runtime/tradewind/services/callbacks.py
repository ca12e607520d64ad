"""Carries out what commits have put into the outbox: callbacks that no attempt could run itself, and mail.

A callback is user code, so it runs in a process of its own, never on the loop. Each row is carried
out at least once: it is deleted only after the callback has ended, and tried again after a crash.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, cast

import anyio
import orjson

from tradewind.authoring.access import TaskServices
from tradewind.bundles.parse_protocol import defaults_to_json
from tradewind.config import Config
from tradewind.model.errors import Fenced, StoreUnavailable
from tradewind.model.outcomes import EncodedValue
from tradewind.model.rows import DagVersionRow, InstanceRow, Lease, OutboxItem, RunRow
from tradewind.ports import Store
from tradewind.services.mailer import Mailer, SayInLog
from tradewind.services.on_demand import OnDemand
from tradewind.services.worker_process import worker_process

log = logging.getLogger(__name__)

TIME_LIMIT: Final = 60.0
"""Seconds that one callback may take."""

RETRY_AFTER: Final = 5.0

MAIL_KINDS: Final = frozenset({"email", "sla_email"})
"""Outbox rows that are mail; all others are callbacks."""

_ASKED: Final = frozenset(
    {
        *("xcom_get", "xcom_indexes", "xcom_keys", "xcom_many"),
        *("variable_get", "variable_set", "connection_get", "instance_list"),
    }
)

_OF_INSTANCES: Final = (
    *("run_id", "task_id", "map_index", "state", "try_number", "max_tries"),
    *("started_at", "ended_at"),
)

Carry = Callable[[OutboxItem], Awaitable[bool]]


class Callbacks(OnDemand):
    """Reads the outbox when told that there is something in it."""

    def __init__(self, store: Store, carry: Carry) -> None:
        super().__init__()
        self._store = store
        self._carry = carry

    async def run(self, lease: Lease) -> None:
        """Carries out rows as they come, oldest first."""
        await self.when_woken(partial(self._work, lease))

    async def _work(self, lease: Lease) -> float | None:
        """Carries out what is in the outbox."""
        try:
            while items := await self._store.outbox_read(lease):
                if not await self._carry_all(lease, items):
                    return RETRY_AFTER
        except StoreUnavailable:
            return RETRY_AFTER
        return None

    async def _carry_all(self, lease: Lease, items: list[OutboxItem]) -> bool:
        """Whether all of them were carried out."""
        good = True
        for item in items:
            done = await self._carry_one(item)
            good = good and done
            await self._store.outbox_done(lease, [item.outbox_id], failed=not done)
        return good

    async def _carry_one(self, item: OutboxItem) -> bool:
        try:
            return await self._carry(item)
        except (StoreUnavailable, Fenced):
            raise
        except Exception:  # an address that no mail can have, a process that cannot be made: it concerns this row alone
            log.exception("%s of DAG %s could not be carried out", item.kind, item.dag_id)
            return False


class OutboxCarrier:
    """Carries out one row: a callback in a child process, mail by `send_mail`."""

    def __init__(
        self,
        store: Store,
        config: Config,
        services: TaskServices | None = None,
        say: SayInLog | None = None,
    ) -> None:
        """`services` answer what callbacks ask for; None: they can ask nothing. `say`: as `Mailer` has it."""
        self._store = store
        self._services = services
        self._send_mail = Mailer(config, say)
        self._defaults = defaults_to_json(config.authoring_defaults())

    async def __call__(self, item: OutboxItem) -> bool:
        """Whether it is done with. A failure is logged."""
        run = await self._store.run_by_id(item.run_id)
        version = None
        if run is not None:
            version = await self._store.dag_version_get(item.dag_id, run.version_hash)
        if run is None or version is None:
            return True  # the run is gone, and with it whoever wanted to know
        if item.kind in MAIL_KINDS:
            return await self._send_mail(item, run)
        return await self._run(item, run, version)

    async def _run(self, item: OutboxItem, run: RunRow, version: DagVersionRow) -> bool:
        ours, theirs = socket.socketpair()
        answering = asyncio.ensure_future(_answer(ours, self._services))
        try:
            request = request_of(item, run, version)
            request["calls_fd"] = None if self._services is None else theirs.fileno()
            request["authoring_defaults"] = self._defaults
            return await _in_a_process(item.dag_id, orjson.dumps(request), theirs)
        finally:
            theirs.close()
            answering.cancel()
            with anyio.CancelScope(shield=True):
                await asyncio.wait([answering])
            ours.close()


def request_of(item: OutboxItem, run: RunRow, version: DagVersionRow) -> dict[str, Any]:
    """What the child process is told; see `tradewind.worker.callback`."""
    return {**facts_for_code(run, version), "callback": orjson.loads(item.body)}


def facts_for_code(run: RunRow, version: DagVersionRow) -> dict[str, Any]:
    """What code of a DAG's file has to know of a run, in another process."""
    conf = None if run.conf is None else [run.conf.codec, base64.b64encode(run.conf.data).decode()]
    names = ("run_id", "dag_run_id", "version_hash", "logical_date", "interval_start", "interval_end", "run_after")
    times = ("queued_at", "started_at", "ended_at", "external_trigger")
    request: dict[str, Any] = {name: getattr(run, name) for name in names + times}
    request |= {
        "dag_id": run.dag_id,
        "run_type": run.run_type.value,
        "state": run.state.value,
        "conf": conf,
        "fileloc": version.source.fileloc,
        "relative_fileloc": version.source.relative_fileloc,
    }
    return request


async def _in_a_process(dag_id: str, request: bytes, theirs: socket.socket) -> bool:
    """Runs the child. False, and a line in the log, if it failed."""
    try:
        async with worker_process("callback", [theirs.fileno()]) as process, asyncio.timeout(TIME_LIMIT):
            theirs.close()
            output, _ = await process.communicate(request)
    except TimeoutError:
        log.error("a callback of DAG %s took longer than %s s", dag_id, TIME_LIMIT)
        return False
    text = output.decode(errors="replace")
    if process.returncode:
        log.error("a callback of DAG %s failed:\n%s", dag_id, text)
    elif text.strip():
        log.info("a callback of DAG %s says:\n%s", dag_id, text.rstrip())
    return process.returncode == 0


async def _answer(ours: socket.socket, services: TaskServices | None) -> None:
    """Answers what the callback asks for, until its end of the line is closed."""
    if services is None:
        return
    ours.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=ours, limit=2**26)
    try:
        while line := await reader.readline():
            writer.write(orjson.dumps(await _answer_to(orjson.loads(line), services)) + b"\n")
            await writer.drain()
    except (ConnectionError, ValueError) as gone:
        log.debug("a callback hung up: %s", gone)
    finally:
        writer.close()


async def _answer_to(asked: dict[str, Any], services: TaskServices) -> dict[str, Any]:
    name: str = asked["name"]
    if name not in _ASKED:
        return {"error": f"{name} cannot be asked in a callback"}
    try:
        return {"value": _plain(await getattr(services, name)(*asked["args"]))}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


def _plain(value: object) -> Any:
    if isinstance(value, EncodedValue):
        return {"codec": value.codec, "data": base64.b64encode(value.data).decode()}
    if isinstance(value, InstanceRow):
        return {"instance": {name: getattr(value, name) for name in _OF_INSTANCES}}
    if isinstance(value, list):
        return [_plain(item) for item in cast("list[object]", value)]
    return value
