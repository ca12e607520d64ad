"""Watches user coroutines that share the loop: who uses how much of it, and who blocks it.

Each step of a user coroutine is bracketed (`GuardedCoroutine.send`), which costs well under a
microsecond and says at any moment whose code holds the loop. A daemon thread looks at that mark
while steps are taken, and sleeps while none are. A step longer than `warn_after` is reported with
the line it stands at; one longer than `kill_after` gets `LoopBlocked` raised in it, where
the loop runs in the main thread. While C code holds the interpreter lock the thread gets no turn;
then `faulthandler`, which needs no lock, has written the stack down in time.
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
from collections.abc import Callable, Coroutine
from time import perf_counter
from types import FrameType, TracebackType
from typing import IO, Any, Final, NamedTuple, TypeVar

from tradewind.model.errors import TradewindError

T = TypeVar("T")

_TICK: Final = 0.05
_QUIET_TICKS: Final = 20
_SIGNAL: Final = signal.SIGVTALRM
_DUMP_LINE: Final = re.compile(r'^  File "(?P<file>.+)", line (?P<line>\d+) in (?P<name>.+)$', re.MULTILINE)


class LoopBlocked(TradewindError):
    """The task held the event loop for too long without awaiting anything."""


class UserExit(TradewindError):
    """A coroutine started by a task called sys.exit or raised KeyboardInterrupt."""


class Owner:
    """Whose code it is, and how much of the loop it has used (`cpu`, seconds in its steps)."""

    __slots__ = ("cpu", "dag_id", "task_id")

    def __init__(self, dag_id: str, task_id: str) -> None:
        self.dag_id = dag_id
        self.task_id = task_id
        self.cpu = 0.0


class Blocked(NamedTuple):
    """A report: this code has held the loop for `seconds` and stands at this line."""

    owner: Owner
    seconds: float
    file: str
    line: int
    function: str
    stack: str
    interrupted: bool


class GuardedCoroutine(Coroutine[Any, Any, T]):
    """A coroutine whose steps are marked with their owner."""

    __slots__ = ("__name__", "__qualname__", "_coroutine", "_guard", "_owner")

    def __init__(self, coroutine: Coroutine[Any, Any, T], owner: Owner, guard: LoopGuard) -> None:
        self._coroutine = coroutine
        self._owner = owner
        self._guard = guard
        self.__name__ = self.__qualname__ = getattr(coroutine, "__qualname__", type(coroutine).__name__)

    def send(self, value: Any, /) -> Any:
        """Runs to the next await."""
        guard = self._guard
        owner = self._owner
        guard.steps += 1
        guard.started = started = perf_counter()
        guard.owner = owner
        if guard.asleep:
            guard.wake()
        try:
            return self._coroutine.send(value)
        except (SystemExit, KeyboardInterrupt) as error:
            raise UserExit(f"a coroutine of the task raised {error!r}") from error
        finally:
            guard.started = 0.0
            owner.cpu += perf_counter() - started

    def throw(self, typ: Any, val: Any = None, tb: TracebackType | None = None, /) -> Any:
        """Raises an exception in the coroutine and runs to the next await."""
        guard = self._guard
        guard.steps += 1
        guard.started = started = perf_counter()
        guard.owner = self._owner
        error = val if isinstance(val, BaseException) else typ if isinstance(typ, BaseException) else typ(val)
        if tb is not None:
            error = error.with_traceback(tb)
        try:
            return self._coroutine.throw(error)
        except (SystemExit, KeyboardInterrupt) as ended:
            raise UserExit(f"a coroutine of the task raised {ended!r}") from ended
        finally:
            guard.started = 0.0
            self._owner.cpu += perf_counter() - started

    def close(self) -> None:
        """Ends the coroutine."""
        self._coroutine.close()

    def __await__(self) -> Any:
        return self._coroutine.__await__()


class LoopGuard:
    """Watches one loop. `on_blocked` is called on the loop, for each blocked step at most twice."""

    def __init__(
        self,
        on_blocked: Callable[[Blocked], None],
        *,
        warn_after: float = 0.1,
        kill_after: float = 10.0,
    ) -> None:
        self.owner = Owner("", "")
        self.started = 0.0
        self.steps = 0
        self.asleep = False
        self._on_blocked = on_blocked
        self._warn_after = warn_after
        self._kill_after = kill_after
        self._awake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_thread = 0
        self._can_interrupt = False
        self._old_handler: Any = None
        self._target = -1
        self._dump: IO[str] | None = None

    async def start(self) -> None:
        """Begins to watch the running loop."""
        self._dump = await asyncio.to_thread(tempfile.TemporaryFile, "w+", encoding="utf-8", errors="replace")
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._can_interrupt = threading.current_thread() is threading.main_thread()
        if self._can_interrupt:
            self._old_handler = signal.signal(_SIGNAL, self._interrupt)
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

    def wrap(self, coroutine: Coroutine[Any, Any, T], owner: Owner) -> GuardedCoroutine[T]:
        """The same coroutine, watched."""
        return GuardedCoroutine(coroutine, owner, self)

    def wake(self) -> None:
        """Called by the first step after a quiet time. Should that step hold the interpreter's lock, the daemon
        would get no turn to arm anything: so it is done here.
        """
        self.asleep = False
        self._arm()
        self._awake.set()

    # -- the daemon thread

    def _watch(self) -> None:
        quiet = _QUIET_TICKS
        seen = -1
        warned = -1
        while not self._stopping.is_set():
            if quiet >= _QUIET_TICKS:
                self._sleep_until_needed()
                quiet = 0
            self._arm()
            self._stopping.wait(_TICK)
            faulthandler.cancel_dump_traceback_later()
            steps, owner, started = self.steps, self.owner, self.started
            quiet = quiet + 1 if steps == seen and not started else 0
            seen = steps
            if started and steps == self.steps:
                seconds = perf_counter() - started
                if seconds >= self._kill_after and self._can_interrupt and self._target != steps:
                    self._report(owner, seconds, interrupted=True)
                    self._target = steps
                    signal.pthread_kill(self._loop_thread, _SIGNAL)
                elif seconds >= self._warn_after and warned != steps:
                    warned = steps
                    self._report(owner, seconds, interrupted=False)
            else:
                self._report_dump()
        self._report_dump()

    def _sleep_until_needed(self) -> None:
        self._awake.clear()
        before = self.steps
        self.asleep = True
        if self.steps == before and not self._stopping.is_set():
            self._awake.wait()
        self.asleep = False

    def _arm(self) -> None:
        """From here on faulthandler writes all stacks unless we come back in time."""
        if self._dump is not None:
            faulthandler.dump_traceback_later(_TICK + self._warn_after, file=self._dump)

    def _report_dump(self) -> None:
        """Code that held the interpreter lock has let go: its stack was written meanwhile."""
        dump = self._dump
        if dump is None or dump.seek(0, 2) == 0:
            return
        dump.seek(0)
        text = dump.read()
        dump.seek(0)
        dump.truncate()
        name = "(most recent call first):\n"
        section = text[text.find(name, max(text.find(f"0x{self._loop_thread:016x}"), 0)) + len(name) :].split("\n\n")[0]
        frame = _DUMP_LINE.search(section)
        if frame is None or "tradewind/worker/guard.py" not in section:
            return
        self._tell(
            Blocked(
                self.owner,
                self._warn_after,
                frame["file"],
                int(frame["line"]),
                frame["name"],
                section,
                interrupted=False,
            )
        )

    def _report(self, owner: Owner, seconds: float, *, interrupted: bool) -> None:
        frame = sys._current_frames().get(self._loop_thread)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # documented
        if frame is None:
            return
        stack = traceback.extract_stack(frame)
        if not stack:
            return
        top = stack[-1]
        text = "".join(traceback.format_list(_users_part(stack)))
        self._tell(Blocked(owner, seconds, top.filename, top.lineno or 0, top.name, text, interrupted))

    def _tell(self, blocked: Blocked) -> None:
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._on_blocked, blocked)

    # -- in the loop's thread

    def _interrupt(self, signum: int, frame: FrameType | None) -> None:
        """Raises in the step that was found too long; does nothing if it has ended meanwhile."""
        if frame is not None and frame.f_code.co_filename == __file__:
            self._target = -1  # between two steps: raised here it would hit the wrong task; the daemon asks again
        elif self.started and self.steps == self._target:
            seconds = perf_counter() - self.started
            raise LoopBlocked(f"the task held the event loop for {seconds:.1f} s without awaiting anything")


def _users_part(stack: traceback.StackSummary) -> list[traceback.FrameSummary]:
    """The frames below the guard's own."""
    for index in range(len(stack) - 1, -1, -1):
        if stack[index].filename == __file__:
            return list(stack[index + 1 :])
    return list(stack)
