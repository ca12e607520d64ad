"""Watches user coroutines that share the loop: who uses how much of it, and who blocks it.

Each step of a user coroutine is bracketed (`_stepping`), which costs 0.2 µs and says at any moment whose code
holds the loop. A daemon thread looks at that mark
while steps are taken, and sleeps while none are. A step longer than `warn_after` is reported with
the line it stands at; one longer than `kill_after` gets `LoopBlocked` raised in it, where
the loop runs in the main thread. While C code holds the interpreter lock the thread gets no turn;
then `faulthandler`, which needs no lock, has written the stack down in time. In somebody else's process
the signal and `faulthandler` are theirs: there blocking code is reported, as far as the thread sees it.
"""

from __future__ import annotations

import asyncio
import faulthandler
import re
import signal
import sys
import tempfile
import threading
import traceback
import types
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import ContextVar
from pathlib import Path
from time import perf_counter
from types import FrameType
from typing import IO, Any, Final, NamedTuple, TypeVar, cast

from tradewind.model.errors import TradewindError
from tradewind.model.loop import CoroutineKind

T = TypeVar("T")

_TICK: Final = 0.05
_QUIET_TICKS: Final = 20
_SIGNAL: Final = signal.SIGVTALRM
_DUMP_LINE: Final = re.compile(r'^  File "(?P<file>.+)", line (?P<line>\d+) in (?P<name>.+)$', re.MULTILINE)


class LoopBlocked(TradewindError):
    """The task held the event loop for too long without awaiting anything."""


class UserExit(TradewindError):
    """A coroutine started by a task called sys.exit or raised KeyboardInterrupt."""


Place = tuple[str, int, str, str]
"""File, line, function, stack."""


class Owner:
    """Whose code it is: one attempt, or one trigger. `seconds`: how long its steps have held the loop.

    `number` tells it apart from all others of its process while it lives; `tasks` are the asyncio tasks that it
    has started, without many that have ended; `subject` is whatever its starter wants to know it by.
    """

    __slots__ = ("_prune_at", "kind", "number", "seconds", "subject", "tasks")

    def __init__(self, kind: CoroutineKind, number: int = 0) -> None:
        self.kind = kind
        self.number = number
        self.seconds = 0.0
        self.subject: object = None
        self.tasks: list[asyncio.Task[Any]] = []
        self._prune_at = 32

    def started(self, task: asyncio.Task[Any]) -> None:
        """Takes note of a task that its code has started."""
        self.tasks.append(task)
        if len(self.tasks) > self._prune_at:
            self.tasks = [one for one in self.tasks if not one.done()]
            self._prune_at = 2 * len(self.tasks) + 32

    def left_behind(self) -> list[asyncio.Task[Any]]:
        """Those of its tasks that have not ended."""
        return self.tasks and [task for task in self.tasks if not task.done()]


current_owner: ContextVar[Owner | None] = ContextVar("tradewind_current_owner", default=None)
"""In whose context code runs; None outside user code. Work that is to outlive its owner is started in a context
without it: ``loop.create_task(work, context=contextvars.Context())``.
"""


class Blocked(NamedTuple):
    """A report: this code has held the loop for `seconds` and stood at this line when it was looked at."""

    owner: Owner
    began: float
    """When the step began: the same in all reports of one step."""
    seconds: float
    file: str
    line: int
    function: str
    stack: str
    interrupted: bool


@types.coroutine
def _stepping(coroutine: Coroutine[Any, Any, T], owner: Owner, guard: LoopGuard) -> Generator[Any, Any, T]:
    """Takes the coroutine's steps, each between two marks. It waits once before the first."""
    clock, limit, mark = perf_counter, guard.warn_after, guard.mark
    send: Callable[[Any], Any] = coroutine.send
    throw: Callable[[Any], Any] = coroutine.throw
    step = send
    argument: Any = None
    awaited: Any = None
    while True:
        try:
            yield awaited
        except GeneratorExit:
            coroutine.close()
            raise
        except BaseException as error:
            step, argument = throw, error
        else:
            step, argument = send, None
        guard.began = began = clock()
        guard.owner = owner
        if mark is not None:
            mark[0] = owner.number
        if guard.asleep:
            guard.wake()
        try:
            awaited = step(argument)
        except StopIteration as end:
            argument = None  # an exception knows this frame, which must not know it in turn
            guard.step_ended(owner, clock() - began)
            return cast("T", end.value)
        except BaseException as error:
            argument = None
            guard.step_ended(owner, clock() - began)
            if isinstance(error, SystemExit | KeyboardInterrupt):
                raise UserExit(f"a coroutine of the task raised {error!r}") from error
            raise
        guard.owner = None
        owner.seconds += (took := clock() - began)
        if mark is not None:
            mark[0] = 0
        if took >= limit:
            guard.took_long(owner, took)


async def _guarded(steps: Generator[Any, Any, T]) -> T:
    return cast("T", await cast("Any", steps))


class RunDelay:
    """How long a thread was ready to run and was not given a processor: not its own fault, so not counted against it.

    From the second field of Linux's ``/proc/…/schedstat``, in nanoseconds; 0 where there is no such file.
    """

    def __init__(self, native_id: int | None = None) -> None:
        self._file = Path(f"/proc/self/task/{native_id}/schedstat")
        self._before = 0

    def restart(self) -> float:
        """Counts from now on. Returns the seconds until now."""
        delay, before = self._read(), self._before
        self._before = delay
        return (delay - before) / 1e9

    def since(self) -> float:
        """Seconds since the last `restart`."""
        return (self._read() - self._before) / 1e9

    def _read(self) -> int:
        try:
            return int(self._file.read_bytes().split()[1])
        except (OSError, IndexError, ValueError):
            return self._before


class LoopGuard:
    """Watches one loop.

    `on_blocked` is called on the loop, for each blocked step at most twice, after the step; `on_noticed` in a thread
    and at once, for the step may never end. `mark`: shared memory whose first place always holds the number of the
    owner whose step it is, so that another process can see it.
    """

    def __init__(
        self,
        on_blocked: Callable[[Blocked], None],
        *,
        warn_after: float = 0.1,
        kill_after: float = 10.0,
        on_noticed: Callable[[Blocked], None] | None = None,
        mark: memoryview | None = None,
        own_process: bool = True,
    ) -> None:
        """`own_process`: whether the signal and faulthandler may be used."""
        self.owner: Owner | None = None
        self.began = 0.0
        self.asleep = True
        self.warn_after = warn_after
        self.mark = mark
        self._on_blocked = on_blocked
        self._on_noticed = on_noticed
        self._kill_after = kill_after
        self._own_process = own_process
        self._long: deque[tuple[float, float, Owner]] = deque(maxlen=16)
        self._awake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_thread = 0
        self._can_interrupt = False
        self._old_handler: Any = None
        self._target = -1.0
        self._dump: IO[str] | None = None
        self._dumps_due: deque[float] = deque(maxlen=2)
        """When faulthandler was to write: for the first step after a quiet time, and for the daemon's tick since."""
        self._run_delay = RunDelay()

    async def start(self) -> None:
        """Begins to watch the running loop."""
        if self._own_process:
            self._dump = await asyncio.to_thread(tempfile.TemporaryFile, "w+", encoding="utf-8", errors="replace")
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._can_interrupt = self._own_process and threading.current_thread() is threading.main_thread()
        if self._can_interrupt:
            self._old_handler = signal.signal(_SIGNAL, self._interrupt)
        self._run_delay = RunDelay(threading.get_native_id())
        self._thread = threading.Thread(target=self._watch, name="tradewind-loop-guard", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """Ends the watch. Twice is allowed."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._stopping.set()
        self._awake.set()
        await asyncio.to_thread(thread.join)  # only then: a late signal without our handler would end the process
        if self._can_interrupt:
            signal.signal(_SIGNAL, self._old_handler)
        dump, self._dump = self._dump, None
        if dump is not None:
            dump.close()

    def wrap(self, coroutine: Coroutine[Any, Any, T], owner: Owner) -> Coroutine[Any, Any, T]:
        """The same coroutine, watched. It is begun already, so that one which is thrown away is closed in silence."""
        steps = cast("Generator[Any, Any, T]", _stepping(coroutine, owner, self))
        guarded: Any = _guarded(steps)
        guarded.__qualname__ = getattr(coroutine, "__qualname__", type(coroutine).__name__)
        guarded.send(None)
        return cast("Coroutine[Any, Any, T]", guarded)

    def used_by(self, owner: Owner) -> float:
        """How long its steps have held the loop until now."""
        return owner.seconds + (perf_counter() - self.began if self.owner is owner else 0.0)

    # -- what steps say

    def wake(self) -> None:
        """Called by the first step after a quiet time. Should that step hold the interpreter's lock, the daemon
        would get no turn to arm anything: so it is done here.
        """
        self.asleep = False
        self._arm()
        self._awake.set()

    def step_ended(self, owner: Owner, took: float) -> None:
        """The last step of a coroutine."""
        self.owner = None
        owner.seconds += took
        if self.mark is not None:
            self.mark[0] = 0
        if took >= self.warn_after:
            self.took_long(owner, took)

    def took_long(self, owner: Owner, took: float) -> None:
        """A step that is to be reported has ended: how long it took is known now."""
        self._long.append((self.began, took, owner))

    # -- the daemon thread

    def _watch(self) -> None:
        quiet = _QUIET_TICKS
        seen = warned = 0.0
        while not self._stopping.is_set():
            if quiet >= _QUIET_TICKS:
                self._sleep_until_needed(seen)
                self._run_delay.restart()
                quiet = 0
            self._arm()
            self._stopping.wait(_TICK)
            began, owner = self.began, self.owner
            waited = self._run_delay.since() if began == seen else self._run_delay.restart()
            quiet = quiet + 1 if began == seen and owner is None else 0
            seen = began
            if owner is not None and began == self.began:
                seconds = perf_counter() - began
                if seconds >= self._kill_after and self._can_interrupt and self._target != began:
                    self._report(owner, began, self._dumped_in(began), interrupted=True)
                    self._target = warned = began
                    signal.pthread_kill(self._loop_thread, _SIGNAL)
                elif seconds - waited >= self.warn_after and warned != began:
                    warned = began
                    self._report(owner, began, self._dumped_in(began), interrupted=False)
            else:
                self._report_dump(warned, waited)
        self._disarm()
        self._report_dump(warned, 0.0)

    def _sleep_until_needed(self, seen: float) -> None:
        """`seen`: when the last step began that is known to be over. A later one needs its watch at once, and has
        perhaps begun before it could see that nobody is awake.
        """
        self._awake.clear()
        self.asleep = True
        if self.began == seen:
            self._disarm()
        if self.began == seen and not self._stopping.is_set():
            self._awake.wait()
        self.asleep = False

    def _disarm(self) -> None:
        if self._dump is not None:
            faulthandler.cancel_dump_traceback_later()

    def _arm(self) -> None:
        """From here on faulthandler writes all stacks unless we come back in time. Each call takes the place of the
        one before, so that there is no moment between two ticks at which nothing is armed.
        """
        if self._dump is not None:
            self._dumps_due.append(perf_counter() + _TICK + self.warn_after)
            faulthandler.dump_traceback_later(_TICK + self.warn_after, file=self._dump)

    def _dumped(self) -> Place | None:
        """Where the loop's thread stood when faulthandler wrote, if it did and that was in a guarded step."""
        dump = self._dump
        if dump is None or dump.seek(0, 2) == 0:
            return None
        dump.seek(0)
        text = dump.read()
        dump.seek(0)
        dump.truncate()
        return stack_in_dump(text, self._loop_thread)

    def _dumped_in(self, began: float) -> Place | None:
        """The same of the step that began then and goes on. It may have let go of the interpreter's lock since, and
        stand elsewhere by now.
        """
        found = self._dumped()
        return found if any(began <= due <= perf_counter() for due in self._dumps_due) else None

    def _report_dump(self, warned: float, waited: float) -> None:
        """Code that held the interpreter lock has let go: its stack was written meanwhile. `waited`: how long the
        machine has kept the loop's thread from running.
        """
        found = self._dumped()
        if found is None:
            return
        for began, seconds, owner in reversed(tuple(self._long)):  # the loop adds to it meanwhile
            if any(began <= due <= began + seconds for due in self._dumps_due):
                if began != warned and seconds - waited >= self.warn_after:
                    self._tell(Blocked(owner, began, seconds, *found, interrupted=False))
                return

    def _report(self, owner: Owner, began: float, found: Place | None, *, interrupted: bool) -> None:
        place = found or self._stands_at()
        if place is not None:
            self._tell(Blocked(owner, began, perf_counter() - began, *place, interrupted))

    def _stands_at(self) -> Place | None:
        frame = sys._current_frames().get(self._loop_thread)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # documented
        stack = traceback.extract_stack(frame) if frame is not None else None
        if not stack:
            return None
        top = stack[-1]
        return top.filename, top.lineno or 0, top.name, "".join(traceback.format_list(_users_part(stack)))

    def _tell(self, blocked: Blocked) -> None:
        if self._on_noticed is not None:
            self._on_noticed(blocked)
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._deliver, blocked)

    # -- in the loop's thread

    def _deliver(self, blocked: Blocked) -> None:
        for began, took, _ in self._long:
            if began == blocked.began:
                blocked = blocked._replace(seconds=took)
        self._on_blocked(blocked)

    def _interrupt(self, signum: int, frame: FrameType | None) -> None:
        """Raises in the step that was found too long; does nothing if it has ended meanwhile."""
        if frame is not None and frame.f_code.co_filename == __file__:
            self._target = -1.0  # between two steps: raised here it would hit the wrong task; the daemon asks again
        elif self.owner is not None and self.began == self._target:
            seconds = perf_counter() - self.began
            raise LoopBlocked(f"this code held the event loop for {seconds:.1f} s without awaiting anything")


def stack_in_dump(text: str, thread: int) -> Place | None:
    """File, line, function and stack of a thread in what faulthandler wrote, if it stood in a guarded step."""
    name = "(most recent call first):\n"
    section = text[text.find(name, max(text.find(f"0x{thread:016x}"), 0)) + len(name) :].split("\n\n")[0]
    frame = _DUMP_LINE.search(section)
    if frame is None or "tradewind/worker/guard.py" not in section:
        return None
    return frame["file"], int(frame["line"]), frame["name"], section


def stack_of_main_thread(text: str) -> Place | None:
    """The same of the main thread, which faulthandler writes last."""
    start = text.rfind("(most recent call first):")
    found = _DUMP_LINE.search(text, start) if start >= 0 else None
    return None if found is None else (found["file"], int(found["line"]), found["name"], text[start:].strip())


def _users_part(stack: traceback.StackSummary) -> list[traceback.FrameSummary]:
    """The frames below the guard's own."""
    for index in range(len(stack) - 1, -1, -1):
        if stack[index].filename == __file__:
            return list(stack[index + 1 :])
    return list(stack)
