"""One async host as its executor sees it: a process, its channel, and the attempts that it carries."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, NamedTuple

from tradewind.executor_ports import ExecutorHost
from tradewind.model.attempts import Attempt
from tradewind.model.loop import CoroutineKind, HostFacts, LoopOffence, OffenceKind
from tradewind.model.outcomes import ErrorInfo, ExitInfo, Finished, Outcome
from tradewind.model.states import OutcomeKind
from tradewind.worker import codec
from tradewind.worker.async_host import offence_of
from tradewind.worker.attempt_batches import plain_attempts
from tradewind.worker.carrier import number_of
from tradewind.worker.channel import answer
from tradewind.worker.endings import lost, outcome_of_exit, signal_name
from tradewind.worker.frame_stream import CLOSED, FrameStream
from tradewind.worker.frames import Frame, pack
from tradewind.worker.guard import LoopBlocked, Owner, stack_of_main_thread
from tradewind_executors.inline.scratch import new_scratch, read_scratch
from tradewind_executors.inline.stays import Stay
from tradewind_executors.local.zygote_process import Source

_log = logging.getLogger(__name__)

DUMP_MAY_TAKE: Final = 0.3
"""Seconds between asking a host for its stacks and killing it."""

ORDERS_MAX: Final = 64
"""So many attempts go to their host at once; it begins with them while others are being sent."""

LEAVING_MAY_TAKE: Final = 10.0
"""Seconds that a host has to end in good order."""

_CRASHES: Final = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL})
"""Signals that the process brings upon itself, by the code that runs."""


class Place(NamedTuple):
    """What a host is for: a file in one version, or one kind of it alone."""

    source: Source
    own_kind: CoroutineKind | None


@dataclass(frozen=True, slots=True)
class HostsShared:
    """What all hosts of an executor share."""

    host: ExecutorHost
    loop: asyncio.AbstractEventLoop
    order: Mapping[str, Any]
    """The `load` frame without what is the host's own."""
    block_kill: float
    load_within: float
    """Seconds from the fork to the end of the import."""
    ended: Callable[[HostProcess, HostFlight, Finished], None]
    left: Callable[[HostProcess, Stay], None]
    offended: Callable[[LoopOffence, str], None]
    """With the version of the file."""
    gone: Callable[[HostProcess, str], None]
    import_failed: Callable[[HostProcess, ErrorInfo], None]
    served: Callable[[HostProcess], None]
    send_signal: Callable[[HostProcess, int, bool], None]


class HostFlight:
    """An attempt in a host. `owner` adds up what it used."""

    __slots__ = ("attempt", "forced", "owner", "was_sent")

    def __init__(self, attempt: Attempt, owner: Owner) -> None:
        self.attempt = attempt
        self.owner = owner
        self.forced: Outcome | None = None
        self.was_sent = False


class HostProcess:
    """Starts when it is handed to a nursery; carries attempts; tells how each ended, also when it dies."""

    def __init__(self, place: Place, shared: HostsShared) -> None:
        self.place = place
        self.state: Literal["starting", "serving", "leaving", "gone"] = "starting"
        self.flights: dict[bytes, HostFlight] = {}
        self.stays: dict[int, Stay] = {}
        """Waits and watchers."""
        self.pid: int | None = None
        self.idle_timer: asyncio.TimerHandle | None = None
        self._shared = shared
        self._hostname: str | None = None
        self._stream: FrameStream | None = None
        self._scratch = -1
        self._orders: list[Attempt] = []
        self._calls: set[asyncio.Task[None]] = set()
        self._watchdog: asyncio.TimerHandle | None = None
        self._pinged_at: float | None = None
        self._is_retired = False
        self._killed_for: float | None = None
        self._was_serving = False
        self._load_timer: asyncio.TimerHandle | None = None
        self.was_refused = False
        """There could be no process for it."""

    @property
    def takes_work(self) -> bool:
        """Whether attempts may be begun in it."""
        return self.state in ("starting", "serving") and not self._is_retired

    @property
    def facts(self) -> HostFacts:
        """For those who look on."""
        state = "leaving" if self._is_retired else self.state
        running = len(self.flights) + len(self.stays)
        return HostFacts(self.pid, self.place.source.fileloc, self.place.own_kind, running, state)

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs in it, nor is about to."""
        return not self.flights and not self.stays

    # -- what its nursery tells

    def take_socket(self) -> socket.socket:
        """Opens the channel, sends the order, and hands out the host's end. Raises OSError."""
        shared = self._shared
        self._scratch = new_scratch()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        source = self.place.source
        order = {**shared.order, "fileloc": source.fileloc, "root": source.root}
        socket.send_fds(ours, [pack(Frame("load", 0, order))], [self._scratch])
        self._stream = FrameStream(ours, shared.loop, self._take, self._on_closed)
        return theirs

    def forked(self, pid: int) -> None:
        """Its process exists."""
        self.pid = pid
        if self.state == "starting":
            self._load_timer = self._shared.loop.call_later(self._shared.load_within, self._is_too_slow)

    def exited(self, exit_info: ExitInfo) -> None:
        """Its process has ended: what it has sent is all here already."""
        if self._stream is not None:
            self._stream.read()
        if exit_info.signal is not None:
            ending = f"was killed by signal {exit_info.signal} ({signal_name(exit_info.signal)})"
        else:
            ending = f"ended with exit code {exit_info.code}"
        self._gone("ran out of memory and was killed" if exit_info.oom else ending, exit_info)

    def not_started(self, reason: str) -> None:
        """There was no process for it."""
        self.was_refused = True
        self._gone(f"could not be started: {reason}", None)

    def orphaned(self, reason: str) -> None:
        """Its nursery died, and it with it."""
        if self._stream is not None:
            self._stream.read()
        self._gone(f"ended with its nursery ({reason})", None)

    # -- attempts

    def begin(self, flight: HostFlight) -> None:
        """Starts the attempt, now or once the file is loaded."""
        self.flights[flight.attempt.key.attempt] = flight
        self._is_busy()
        if self.state == "serving":
            self._order(flight)

    def cancel(self, attempt: bytes, outcome: Outcome, grace: float) -> None:
        """Ends the attempt with this outcome: at once if it has not been begun."""
        flight = self.flights.get(attempt)
        if flight is None or flight.forced is not None:
            return
        flight.forced = outcome
        if not flight.was_sent:
            self.end(flight, outcome)
        elif self._stream is not None:
            body = {"attempt": attempt, "kind": outcome.kind, "reason": outcome.reason, "grace": grace}
            self._flush_orders()
            self._stream.say("cancel", body)

    def take_in(self, stay: Stay) -> None:
        """Begins a wait or a watcher, now or once the file is loaded."""
        self.stays[stay.owner.number] = stay
        stay.host = self
        self._is_busy()
        if self.state == "serving":
            self._begin_stay(stay)

    def tell(self, stay: Stay, what: str, body: Mapping[str, Any]) -> None:
        """Tells one that stays in it."""
        if self._stream is not None and stay.owner.number in self.stays:
            self._stream.say("tell", {"n": stay.owner.number, "what": what, **body})

    def let_out(self, stay: Stay, *, is_left_behind: bool = False) -> None:
        """This one has left. One that is left behind goes on: the host takes nothing more, and ends when it can."""
        if self.stays.pop(stay.owner.number, None) is None:
            return
        self._is_retired |= is_left_behind
        stay.left()
        self._shared.left(self, stay)
        self._rest()

    def leave(self) -> None:
        """Ends it in good order; nothing may run in it any more."""
        self.state = "leaving"
        self._stop_watching()
        if self._stream is not None:
            self._stream.say("stop", {})
        self._watchdog = self._shared.loop.call_later(LEAVING_MAY_TAKE, self.kill)

    def kill(self) -> None:
        """Ends it now, with all that it has started."""
        self._shared.send_signal(self, signal.SIGKILL, False)

    def _is_busy(self) -> None:
        if self.idle_timer is not None:
            self.idle_timer.cancel()
            self.idle_timer = None

    def _begin_stay(self, stay: Stay) -> None:
        assert self._stream is not None
        stay.was_sent = True
        self._stream.say("stay", {"n": stay.owner.number, **stay.taken_order()})
        if self._watchdog is None:
            self._watch()

    def _order(self, flight: HostFlight) -> None:
        flight.was_sent = True
        if not self._orders:
            self._shared.loop.call_soon(self._flush_orders)
        self._orders.append(flight.attempt)
        if len(self._orders) >= ORDERS_MAX:
            self._flush_orders()
        if self._watchdog is None:
            self._watch()

    def _flush_orders(self) -> None:
        orders, self._orders = self._orders, []
        if orders and self._stream is not None:
            self._stream.say("attempts", plain_attempts(orders))
            self._stream.flush()

    # -- the channel

    def _take(self, frames: Sequence[Frame]) -> None:
        for frame in frames:
            body: dict[str, Any] = frame.body
            if frame.kind == "finished":
                self._finished(body)
            elif frame.kind == "call":
                task = self._shared.loop.create_task(self._answer(frame))
                self._calls.add(task)
                task.add_done_callback(self._calls.discard)
            elif frame.kind == "pong":
                self._ponged(body)
            elif frame.kind in ("said", "left"):
                self._hear(frame.kind, body)
            elif frame.kind == "offence":
                self._shared.offended(offence_of(body), self.place.source.bundle_version)
            elif frame.kind == "loaded":
                self._loaded(body)
            elif frame.kind == "failed":
                self._import_failed(ErrorInfo(body["type"], body["message"], body["traceback"]))

    def _import_failed(self, error: ErrorInfo) -> None:
        self._stop_load_timer()
        self.state = "leaving"
        self._shared.import_failed(self, error)

    def _is_too_slow(self) -> None:
        self._import_failed(self.place.source.too_slow(self._shared.load_within))
        self.kill()

    def _stop_load_timer(self) -> None:
        if self._load_timer is not None:
            self._load_timer.cancel()
            self._load_timer = None

    def _ponged(self, body: dict[str, Any]) -> None:
        self._pinged_at = None
        for attempt, seconds in body["uses"]:
            if attempt in self.flights:
                self.flights[attempt].owner.seconds = seconds
        for number, seconds in body["stays"]:
            if number in self.stays:
                self.stays[number].owner.seconds = seconds

    def _hear(self, kind: str, body: dict[str, Any]) -> None:
        stay = self.stays.get(body["n"])
        if stay is None:
            return
        if kind == "said":
            stay.hear(body["what"], body)
        else:
            stay.owner.seconds = body["seconds"]
            self.let_out(stay)

    async def _answer(self, frame: Frame) -> None:
        packed = await answer(frame, self._shared.host.services)
        if self._stream is not None:
            self._stream.put(packed)

    def _loaded(self, body: dict[str, Any]) -> None:
        if self.state != "starting":
            return
        self._stop_load_timer()
        self.state = "serving"
        self._was_serving = True
        self._hostname = body["hostname"]
        self._shared.served(self)
        for flight in self.flights.values():
            self._order(flight)
        for stay in self.stays.values():
            self._begin_stay(stay)

    def _finished(self, body: dict[str, Any]) -> None:
        flight = self.flights.get(body["attempt"])
        if flight is None:
            return
        flight.owner.seconds = body["seconds"]
        if body["left_behind"]:
            self._is_retired = True  # what cannot be ended in it ends with it, as soon as nothing else runs there
        started = body["started_at"]
        self._report(
            flight,
            codec.outcome_of(body["outcome"]),
            None if started is None else datetime.fromisoformat(started),
            datetime.fromisoformat(body["ended_at"]),
        )

    def _on_closed(self, reason: str) -> None:
        """Its process is ending, or speaks what it should not: then it is made to end."""
        if self.state in ("starting", "serving"):
            if reason != CLOSED:
                _log.error("async host %s of %s has to end: %s", self.pid, self.place.source.fileloc, reason)
            self.kill()

    # -- ends

    def end(self, flight: HostFlight, outcome: Outcome) -> None:
        """Ends an attempt of which the host will say nothing."""
        self._report(flight, outcome, None, datetime.now(UTC))

    def _report(self, flight: HostFlight, outcome: Outcome, started_at: datetime | None, ended_at: datetime) -> None:
        key = flight.attempt.key.attempt
        if self.flights.pop(key, None) is None:
            return
        self._shared.ended(self, flight, Finished(key, outcome, started_at, ended_at, self._hostname, self.pid))
        self._rest()

    def _rest(self) -> None:
        if self.is_idle:
            self._stop_watching()
            if self._is_retired:
                self.kill()

    def _gone(self, ending: str, exit_info: ExitInfo | None) -> None:
        if self.state == "gone":
            return
        was_serving = self._was_serving
        self.state = "gone"
        self._stop_watching()
        self._stop_load_timer()
        for task in list(self._calls):
            task.cancel()
        if self._stream is not None:
            self._stream.close()
        mark, dump = read_scratch(self._scratch)
        if self._scratch >= 0:
            os.close(self._scratch)
            self._scratch = -1
        if was_serving:
            self._judge(ending, exit_info, mark, dump)
        self._shared.gone(self, ending)

    def _judge(self, ending: str, exit_info: ExitInfo | None, mark: int, dump: str) -> None:
        """Whoever held the loop when it died has failed; the others are lost, and may be repeated."""
        holder = next((f for f in self.flights.values() if number_of(f.attempt.key.attempt) == mark), None)
        culprit = (holder or self.stays.get(mark)) if self._is_to_blame(exit_info) else None
        if culprit is not None:
            held, found = self._killed_for, stack_of_main_thread(dump)
            self._accuse(culprit, held or 0.0, found)
            if held is not None:
                outcome = _blocked(held, found)
                ending = f"was killed because {culprit.owner.kind} held its loop for {held:.1f} s"
            else:
                outcome = outcome_of_exit(exit_info or ExitInfo())
                ending = f"{ending} while {culprit.owner.kind} held its loop"
            if isinstance(culprit, HostFlight):
                self.end(culprit, culprit.forced or outcome)
            else:
                culprit.is_to_blame = True
        elif self._killed_for is not None:
            ending = f"was killed because its loop stood still for {self._killed_for:.1f} s"
            _log.error("async host %s of %s %s:\n%s", self.pid, self.place.source.fileloc, ending, dump)
        for flight in list(self.flights.values()):
            self.end(flight, flight.forced or lost(f"its async host {ending}"))
        self.end_stays(f"its async host {ending}")

    def end_stays(self, reason: str) -> None:
        """There is nothing left for them to stay in."""
        for stay in list(self.stays.values()):
            stay.lost(reason)
            del self.stays[stay.owner.number]
            self._shared.left(self, stay)

    def _is_to_blame(self, exit_info: ExitInfo | None) -> bool:
        """Whether the process ended by what ran in it, and not by a hand from outside."""
        if self._killed_for is not None:
            return True
        return exit_info is not None and (exit_info.code is not None or exit_info.signal in _CRASHES)

    def _accuse(self, flight: HostFlight | Stay, seconds: float, found: tuple[str, int, str, str] | None) -> None:
        attempt = flight.attempt
        file, line, function, stack = found or (self.place.source.fileloc, 0, "?", "")
        offence = LoopOffence(
            datetime.now(UTC),
            OffenceKind.ENDED_ITS_HOST,
            flight.owner.kind,
            seconds,
            file,
            line,
            function,
            stack,
            self._killed_for is not None,
            f"host {self.pid}",
        )
        if attempt is not None:
            run, key = attempt.run.dag_run_id, attempt.key
            offence = offence._replace(dag_run_id=run, map_index=key.map_index, try_number=key.try_number)
        self._shared.offended(offence, self.place.source.bundle_version)

    # -- the watchdog: a loop that answers no ping for long is dumped and killed

    @property
    def _kill_after(self) -> float:
        """The host's own guard interrupts Python code after `block_kill`; this is for what it cannot interrupt."""
        return 1.25 * self._shared.block_kill + 0.25

    def _watch(self) -> None:
        loop = self._shared.loop
        now = loop.time()
        if self._pinged_at is None and self._stream is not None:
            self._pinged_at = now
            self._stream.say("ping", {})
        elif self._pinged_at is not None and now - self._pinged_at > self._kill_after:
            # A last look: if it was this loop that stood still, the answer is waiting to be read.
            self._watchdog = loop.call_later(DUMP_MAY_TAKE, self._look_again)
            return
        self._watchdog = loop.call_later(max(self._shared.block_kill / 4, 0.05), self._watch)

    def _look_again(self) -> None:
        if self._pinged_at is None:
            self._watch()
            return
        loop = self._shared.loop
        self._killed_for = loop.time() - self._pinged_at
        self._shared.send_signal(self, signal.SIGUSR1, True)
        self._watchdog = loop.call_later(DUMP_MAY_TAKE, self.kill)

    def _stop_watching(self) -> None:
        if self._watchdog is not None and self._killed_for is None:
            self._watchdog.cancel()
            self._watchdog = None
        self._pinged_at = None


def _blocked(seconds: float, found: tuple[str, int, str, str] | None) -> Outcome:
    text = f"the task held the event loop of its host for {seconds:.1f} s and could not be interrupted"
    stack = "" if found is None else f"Stack when its host was killed {found[3].strip()}\n"
    name = f"{LoopBlocked.__module__}.{LoopBlocked.__qualname__}"
    error = ErrorInfo(name, text, f"{stack}{name}: {text}\n")
    return Outcome(OutcomeKind.FAILED, error=error, reason=f"LoopBlocked: {text}")
