"""An async host: a process with one event loop that carries the coroutines of one DAG file, apart from the runtime.

It runs the same carrier as the runtime itself and speaks frames with its executor over one stream socket. First
comes, with the descriptor of a scratch file::

    load      {fileloc, root, log_root, authoring_defaults, block_warn, …}

answered by ``loaded`` {pid, hostname} or ``failed`` {type, message, traceback}. From then on the executor says::

    attempts  {runs, ids, items, others}     to be started; all of one turn of its loop in one frame
    cancel    {attempt, kind, reason, grace} to be ended with this outcome
    ping      {}                             answered by pong: the loop turns
    stop      {}                             end in good order: nothing runs any more
    stay, tell                               waits and watchers, see `host_stays`

and the host::

    call      {attempt, name, args}          a question, answered by `reply` or `refused` as in `channel`
    finished  {attempt, outcome, started_at, ended_at, left_behind, seconds}
    offence   {...}                          what a coroutine did to the others, a `LoopOffence`
    pong      {uses, stays}                  [attempt, seconds on the loop] of what runs, [n, seconds] of what stays
    said, left                               of waits and watchers

The scratch file begins with the number of whose step it is just now (see `carrier.number_of`), which the executor can
read when the host is dead; SIGUSR1 writes all stacks behind it. When the channel ends, the runtime is gone.
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import mmap
import os
import random
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final, NoReturn

from tradewind.authoring.attempt_environment import PROCESS_MARK
from tradewind.authoring.dag import DAG
from tradewind.authoring.defaults import use_defaults
from tradewind.bundles.loader import load_file
from tradewind.bundles.parse_protocol import defaults_from_json
from tradewind.failpoints import failpoint
from tradewind.model.attempts import Attempt, RunFacts
from tradewind.model.loop import CoroutineKind, LoopOffence, OffenceKind
from tradewind.model.outcomes import Finished, Outcome
from tradewind.model.states import OutcomeKind
from tradewind.worker import codec
from tradewind.worker.attempt_batches import attempts_of
from tradewind.worker.carrier import CarrierSettings, LoopCarrier
from tradewind.worker.child import EXIT_RUNTIME_GONE
from tradewind.worker.client_watch import clients_of_loop
from tradewind.worker.dag_missing import missing_dag
from tradewind.worker.endings import error_info, lost, untold
from tradewind.worker.frame_stream import FrameStream
from tradewind.worker.frames import Frame, FrameReader, ProtocolError, pack
from tradewind.worker.host_stays import HostStays
from tradewind.worker.loop_watch import WatchLimits
from tradewind.worker.services_by_frames import ServicesByFrames
from tradewind.worker.steps import conclude
from tradewind.worker.trigger_life import LifeMeans

MARK_BYTES: Final = 4096
"""Where in the scratch file the stacks begin."""

_FIRST_CHUNK: Final = 1 << 16
_WORTH_TELLING: Final = 0.001


def run_host(sock: socket.socket) -> NoReturn:
    """Serves until its executor has enough or is gone. In a fork of the nursery."""
    code = 70
    try:
        code = _serve(sock)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _serve(sock: socket.socket) -> int:
    os.environ[PROCESS_MARK] = str(os.getpid())
    random.seed()
    received = _receive_order(sock)
    if received is None:
        return EXIT_RUNTIME_GONE
    order, scratch = received
    os.lseek(scratch, MARK_BYTES, os.SEEK_SET)
    faulthandler.register(signal.SIGUSR1, file=scratch, all_threads=True)
    try:
        if order["authoring_defaults"]:
            with use_defaults(defaults_from_json(order["authoring_defaults"])):
                dags = load_file(order["fileloc"], root=order["root"]).dags
        else:
            dags = load_file(order["fileloc"], root=order["root"]).dags
    except BaseException as error:
        info = error_info(error)
        trace = getattr(error, "trace", None) or info.traceback
        failed = {"type": info.type, "message": info.message, "traceback": trace}
        sock.sendall(pack(Frame("failed", 0, failed)))
        return 0
    failpoint("worker.host.loaded")
    gc.collect()
    gc.freeze()  # what the file has made stays
    gc.set_threshold(2_000, 10, 100)  # as in the runtime: short pauses
    mark = memoryview(mmap.mmap(scratch, MARK_BYTES)).cast("Q")
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(AsyncHost(sock, order, dags, mark).serve())


def _receive_order(sock: socket.socket) -> tuple[dict[str, Any], int] | None:
    reader = FrameReader()
    scratch = -1
    while True:
        data, descriptors, _, _ = socket.recv_fds(sock, _FIRST_CHUNK, 1)
        if descriptors:
            scratch = descriptors[0]
        if not data:
            return None
        for frame in reader.feed(data):
            os.set_inheritable(scratch, False)
            return frame.body, scratch


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


class _DagsOfFile:
    """The one file is loaded: what is not in it is not there."""

    def __init__(self, dags: dict[str, DAG]) -> None:
        self._dags = dags

    def get(self, run: RunFacts) -> DAG | None:
        """The DAG."""
        return self._dags.get(run.dag_id)

    async def load(self, run: RunFacts) -> DAG:
        """Raises NotFoundError."""
        raise missing_dag(run.dag_id, run.source)


class AsyncHost:
    """The loop's side of the channel."""

    def __init__(self, sock: socket.socket, order: dict[str, Any], dags: dict[str, DAG], mark: memoryview) -> None:
        self._sock = sock
        self._order = order
        self._dags = dags
        self._mark = mark
        self._enough = asyncio.Event()

    async def serve(self) -> int:
        """Until it is told to stop. Returns the exit code."""
        order = self._order
        self._stream = FrameStream(self._sock, asyncio.get_running_loop(), self._take, _runtime_gone)
        self._services = ServicesByFrames(self._stream)
        limits = WatchLimits(order["block_warn"], order["block_kill"], mark=self._mark)
        dags = _DagsOfFile(self._dags)
        settings = CarrierSettings(
            order["threads"],
            order["log_level"],
            order["capture_output"],
            limits,
            order["authoring_defaults"],
            f"host {os.getpid()}",
        )
        self._carrier = LoopCarrier(
            settings,
            self._services,
            order["log_root"],
            dags,
            on_end=self._ended,
            on_offence=self._offended,
        )
        async with clients_of_loop():
            await self._carrier.start()
            self._stays = HostStays(self._carrier, self._life_means(dags), self._stream.say)
            self._stream.say("loaded", {"pid": os.getpid(), "hostname": socket.gethostname()})
            await self._enough.wait()
            await self._stays.stop()
            await self._carrier.stop(lost("its async host was stopped"))
        self._stream.close()
        _flush_output()
        return 0

    def _life_means(self, dags: _DagsOfFile) -> LifeMeans:
        carrier = self._carrier
        return LifeMeans(dags, self._services, carrier.blocking, carrier.threads, carrier.logs.open)

    def _take(self, frames: Sequence[Frame]) -> None:
        for frame in frames:
            if frame.kind == "attempts":
                for attempt in attempts_of(frame.body):
                    self._carrier.begin(attempt)
            elif frame.kind in ("reply", "refused"):
                self._services.answered(frame)
            elif frame.kind == "cancel":
                body = frame.body
                outcome = Outcome(OutcomeKind(body["kind"]), reason=body["reason"])
                self._carrier.cancel(body["attempt"], outcome, body["grace"])
            elif frame.kind in ("stay", "tell"):
                self._stays.take(frame)
            elif frame.kind == "ping":
                uses = self._carrier.running_uses(_WORTH_TELLING)
                self._stream.say("pong", {"uses": uses, "stays": self._stays.uses(_WORTH_TELLING)})
            elif frame.kind == "stop":
                self._enough.set()

    def _ended(self, attempt: Attempt, end: Finished, left_behind: bool, seconds: float) -> None:
        body = {
            "attempt": end.attempt,
            "outcome": codec.plain_outcome(end.outcome),
            "started_at": end.started_at,
            "ended_at": end.ended_at,
            "left_behind": left_behind,
            "seconds": seconds,
        }
        try:
            self._stream.say("finished", body)
        except ProtocolError as error:
            instead = untold(error)
            conclude(attempt, instead, self._carrier.logs.open(attempt))
            self._stream.say("finished", {**body, "outcome": codec.plain_outcome(instead)})

    def _offended(self, offence: LoopOffence, attempt: Attempt | None) -> None:
        self._stream.say("offence", plain_offence(offence))


def plain_offence(offence: LoopOffence) -> dict[str, Any]:
    """As it travels."""
    return {**offence._asdict(), "kind": list(offence.kind)}


def offence_of(plain: dict[str, Any]) -> LoopOffence:
    """Undoes `plain_offence`."""
    data = {name: value for name, value in plain.items() if name in LoopOffence._fields}
    data["kind"] = CoroutineKind(*data["kind"])
    data["offence"] = OffenceKind(data["offence"])
    data["tasks"] = tuple(data.get("tasks", ()))
    data["at"] = datetime.fromisoformat(data["at"])
    return LoopOffence(**data)


def _runtime_gone(reason: str) -> None:
    """Whoever forked us ends what we have started."""
    os._exit(EXIT_RUNTIME_GONE)


def _flush_output() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            try:
                stream.flush()
            except (OSError, ValueError):
                continue
