"""User code on one loop: each piece of it has an owner, whose steps are watched, added up, and cleaned up after.

Whoever starts user code (attempts, triggers) makes an `Owner` with `begin`, starts the code with `start`, and says
`end` when it is over. Tasks that the code starts belong to the same owner, by the loop's task factory.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, Final, Self, TypeVar, cast
from weakref import WeakKeyDictionary

from tradewind.model.loop import ON_LOOP, CoroutineKind, LoopOffence, OffenceKind
from tradewind.worker import guard as guarding
from tradewind.worker.guard import Blocked, LoopGuard, Owner, current_owner
from tradewind.worker.loop_tally import LoopTally

_log = logging.getLogger(__name__)

T = TypeVar("T")

LEFTOVERS_MAY_TAKE: Final = 1.0
"""Seconds that tasks which an owner left behind get to end once they are cancelled."""

_ROOT: Final = Path(guarding.__file__).parent.parent
_SYSTEM: Final = tuple(
    str(_ROOT / part)
    for part in (
        "services",
        "store",
        "host.py",
        "worker/log_inline.py",
        "authoring/connection_lookups.py",
        "authoring/loop_clients.py",
    )
)
_BOUNDARY: Final = str(guarding.__file__)

Told = Callable[[LoopOffence, Owner], None]


@dataclass(frozen=True, slots=True)
class WatchLimits:
    """Durations are seconds."""

    block_warn: float = 0.1
    block_kill: float = 10.0
    own_process: bool = True
    """Whether signals and faulthandler may be used."""
    mark: memoryview | None = None
    """See `LoopGuard`."""


_watches: WeakKeyDictionary[asyncio.AbstractEventLoop, LoopWatch] = WeakKeyDictionary()


def watch_of_running_loop() -> LoopWatch | None:
    """The watch of the running loop, if user code on it is watched."""
    return _watches.get(asyncio.get_running_loop())


class LoopWatch:
    """The watch of one loop. `told` hears of each block once, on the loop, when it is over."""

    def __init__(self, told: Told, limits: WatchLimits | None = None, *, place: str = ON_LOOP) -> None:
        limits = limits or WatchLimits()
        self.tally = LoopTally(place)
        self.place = place
        self._told = told
        self._guard = LoopGuard(
            self._on_blocked,
            warn_after=limits.block_warn,
            kill_after=limits.block_kill,
            on_noticed=self._on_noticed,
            mark=limits.mark,
            own_process=limits.own_process,
        )
        self._block: Blocked | None = None
        self._older_factory: Any = None

    async def start(self) -> Self:
        """Begins to watch the running loop."""
        self._loop = asyncio.get_running_loop()
        await self._guard.start()
        self._older_factory = self._loop.get_task_factory()
        self._loop.set_task_factory(cast("Any", self._make_task))
        _watches[self._loop] = self
        return self

    async def stop(self) -> None:
        """Ends the watch."""
        await self._guard.stop()
        if self._loop.get_task_factory() == self._make_task:
            self._loop.set_task_factory(self._older_factory)
        if _watches.get(self._loop) is self:
            del _watches[self._loop]

    # -- owners

    def begin(self, kind: CoroutineKind, number: int = 0) -> Owner:
        """A new owner of this kind."""
        owner = Owner(kind, number)
        self.tally.began(owner)
        return owner

    def start_task(
        self, coroutine: Coroutine[Any, Any, Any], owner: Owner, context: contextvars.Context
    ) -> asyncio.Task[Any]:
        """Starts the owner's code as a task in `context`, which becomes the owner's."""
        context.run(current_owner.set, owner)
        return asyncio.Task(self._guard.wrap(coroutine, owner), loop=self._loop, context=context)

    def watched(
        self, coroutine: Coroutine[Any, Any, T], kind: CoroutineKind, subject: object
    ) -> Coroutine[Any, Any, T]:
        """The coroutine with its steps watched as a new owner's, who owns no tasks: what it starts may outlive it."""
        owner = self.begin(kind)
        owner.subject = subject
        return self._guard.wrap(self._to_its_end(coroutine, owner), owner)

    async def _to_its_end(self, coroutine: Coroutine[Any, Any, T], owner: Owner) -> T:
        try:
            return await coroutine
        finally:
            self.end(owner)

    def used_by(self, owner: Owner) -> float:
        """How long its steps have held the loop until now."""
        return self._guard.used_by(owner)

    def end(self, owner: Owner) -> float:
        """The owner's code has ended, or does so in this step. Returns how long its steps have held the loop."""
        seconds = self._guard.used_by(owner)
        current = asyncio.current_task()  # a task knows its owner by its context: no cycles stay of what has ended
        owner.tasks = [task for task in owner.left_behind() if task is not current]
        self.tally.ended(owner, seconds)
        return seconds

    async def end_leftovers(self, owner: Owner) -> list[str]:
        """Cancels tasks that the owner's code has started and not awaited, but the calling one; says what they were.

        Those that swallow their cancellation are left.
        """
        current = asyncio.current_task()
        await asyncio.sleep(0)  # what is just ending may end
        left = [task for task in owner.left_behind() if task is not current]
        if not left:
            return []
        names = [f"{task.get_name()} ({getattr(task.get_coro(), '__qualname__', 'coroutine')})" for task in left]
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=LEFTOVERS_MAY_TAKE)
        for task in left:
            if task.done() and not task.cancelled():
                task.exception()  # has been seen: it must not be reported as never retrieved
        self._told(leak_of(owner, names, self.place), owner)
        return names

    # -- what happens

    def _make_task(
        self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **kwargs: Any
    ) -> asyncio.Future[Any]:
        """The loop's task factory: coroutines that user code starts are watched like its own."""
        context: contextvars.Context | None = kwargs.get("context")
        owner = current_owner.get() if context is None else context.get(current_owner)
        if owner is not None and asyncio.iscoroutine(coroutine) and not _is_of_the_system(inspect.currentframe()):
            task = self._plain_task(loop, self._guard.wrap(coroutine, owner), kwargs)
            if isinstance(task, asyncio.Task):
                owner.started(task)
            return task
        return self._plain_task(loop, coroutine, kwargs)

    def _plain_task(
        self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], kwargs: dict[str, Any]
    ) -> asyncio.Future[Any]:
        if self._older_factory is not None:
            return cast("asyncio.Future[Any]", self._older_factory(loop, coroutine, **kwargs))
        return asyncio.Task(coroutine, loop=loop, **kwargs)

    def _on_noticed(self, blocked: Blocked) -> None:
        """In the guard's thread. The loop may never turn again, so what is severe is said from here."""
        if blocked.interrupted:
            _log.error(
                "%s has held the event loop for %.1f s and is interrupted; it is at %s:%d in %s",
                blocked.owner.kind,
                blocked.seconds,
                blocked.file,
                blocked.line,
                blocked.function,
            )

    def _on_blocked(self, blocked: Blocked) -> None:
        """The first report of a step waits for a second one, which is here already if there is one."""
        if self._block is None:
            self._loop.call_soon(self._settle)
        if self._block is None or blocked.began == self._block.began:
            self._block = blocked
        else:
            self._told(offence_of(blocked, self.place), blocked.owner)

    def _settle(self) -> None:
        blocked, self._block = self._block, None
        if blocked is not None:
            self._told(offence_of(blocked, self.place), blocked.owner)


def _is_of_the_system(frame: FrameType | None) -> bool:
    """Whether a task is started by the runtime's services, on the way of an answer to user code: such a task may
    serve others too.
    """
    while frame is not None:
        name = frame.f_code.co_filename
        if name == _BOUNDARY:
            return False
        if name.startswith(_SYSTEM):
            return True
        frame = frame.f_back
    return False


def offence_of(blocked: Blocked, place: str) -> LoopOffence:
    """The report of a block."""
    return LoopOffence(
        datetime.now(UTC),
        OffenceKind.BLOCKED,
        blocked.owner.kind,
        blocked.seconds,
        blocked.file,
        blocked.line,
        blocked.function,
        blocked.stack,
        blocked.interrupted,
        place,
    )


def leak_of(owner: Owner, names: Sequence[str], place: str) -> LoopOffence:
    """The report of tasks that were left behind."""
    return LoopOffence(
        datetime.now(UTC), OffenceKind.LEAKED, owner.kind, 0.0, "", 0, "", "", place=place, tasks=tuple(names)
    )


def say_offence(offence: LoopOffence) -> None:
    """One line in the log of the process."""
    kind, place = offence.kind, "the event loop" if offence.place == ON_LOOP else f"the loop of {offence.place}"
    if offence.offence is OffenceKind.LEAKED:
        _log.warning("%s ended and left tasks behind, which are cancelled: %s", kind, ", ".join(offence.tasks))
        return
    _log.warning(
        "%s held %s for %.2f s%s at %s:%d in %s",
        kind,
        place,
        offence.seconds,
        " and was interrupted" if offence.interrupted else "",
        offence.file,
        offence.line,
        offence.function,
    )


def text_for_author(offence: LoopOffence) -> str:
    """What the log of the attempt says."""
    what = offence.kind.what
    if offence.offence is OffenceKind.LEAKED:
        return (
            f"This {what} ended and left asyncio tasks behind, which are cancelled: {', '.join(offence.tasks)}. "
            "Await what you start (asyncio.TaskGroup, asyncio.gather), or cancel it"
        )
    return (
        f"This {what} held the event loop for {offence.seconds:.2f} s without awaiting anything; "
        f"everything else stood still. It was at\n{offence.stack.rstrip()}"
    )
