"""`ctx.step`, `ctx.sleep`, `ctx.wait_for` and their kin: what async tasks call on their context."""

from __future__ import annotations

import inspect
import pkgutil
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextvars import ContextVar
from datetime import timedelta
from typing import Any, Final, NamedTuple, Protocol, TypeVar, cast, overload

from tradewind.authoring.assets import Asset, AssetAlias
from tradewind.authoring.forms import filled, schema_of
from tradewind.authoring.triggers import BaseTrigger
from tradewind.model.errors import AuthoringError
from tradewind.model.waits import INPUT_KIND, SIGNAL_KIND

T = TypeVar("T")


class Signal(NamedTuple):
    """A signal that a task waits for, by name."""

    name: str


def signal(name: str) -> Signal:
    """For `ctx.wait_for(signal("approved"))`: what `tradewind tasks signal` and the API send under this name."""
    return Signal(name)


class _Nothing:
    """Marks a default that was not given."""


_NOTHING: Final = _Nothing()


StepName = str | tuple[str, Any]
"""The name of a step; with a key where one name stands for several."""

step_in_progress: ContextVar[str] = ContextVar("tradewind_step")
"""The `step_key` of the step whose function runs."""


class Record(Protocol):
    """What a task has done and waits for, as `durable.Durable` keeps it."""

    suspending: bool
    undo: list[tuple[Callable[..., Any], tuple[Any, ...]]]

    async def step(
        self,
        name: StepName,
        function: Callable[..., Any],
        args: Sequence[Any],
        *,
        once: bool,
        lookup: Callable[[], Any] | None,
    ) -> Any:
        """Takes a step, or answers it from the record."""
        ...

    async def sleep(self, seconds: float, key: str | None) -> None:
        """Waits so long."""
        ...

    async def pause(self, seconds: float, key: str) -> None:
        """A sleep between two questions, which nobody asks for again."""
        ...

    async def wait_for(self, trigger: BaseTrigger, timeout: timedelta | None, key: str | None) -> Any:
        """Waits for a trigger's event."""
        ...

    async def answered(self, kind: str, name: str, args: Any, timeout: timedelta | None) -> Any:
        """Waits for an answer from outside."""
        ...

    async def gather(self, awaitables: Sequence[Awaitable[Any]]) -> list[Any]:
        """All of these at once."""
        ...


class DurableCalls:
    """Mixed into the context."""

    __slots__ = ()

    @property
    @abstractmethod
    def durable(self) -> Record:
        """What the task has done and waits for."""

    @overload
    async def step(
        self,
        name: StepName,
        function: Callable[..., Awaitable[T]],
        *args: Any,
        once: bool = False,
        lookup: Callable[[], Any] | None = None,
    ) -> T: ...

    @overload
    async def step(
        self,
        name: StepName,
        function: Callable[..., T],
        *args: Any,
        once: bool = False,
        lookup: Callable[[], Any] | None = None,
    ) -> T: ...

    async def step(
        self,
        name: StepName,
        function: Callable[..., Any],
        *args: Any,
        once: bool = False,
        lookup: Callable[[], Any] | None = None,
    ) -> Any:
        """Calls the function, and keeps its result over crashes and retries: an attempt that comes to the same name
        again is given the result. `name` may be `(name, key)`, for steps in a loop.

        It is called at least once; give `ctx.step_key` to what it calls, so that a second call is recognised there.
        With `once` it is not called again after a crash in between: `lookup` finds its result (None: it was not done),
        without one StepUnknown is raised. Raises AuthoringError for a name taken twice, or other arguments than before.
        """
        return await self.durable.step(name, function, args, once=once, lookup=lookup)

    @property
    def step_key(self) -> str:
        """Inside a step: 32 hexadecimal digits, the same whenever this step is taken until the task is cleared."""
        found = step_in_progress.get("")
        if not found:
            raise AuthoringError("ctx.step_key is there inside the function of a step only")
        return found

    async def sleep(self, duration: timedelta | float, *, key: str | None = None) -> None:
        """Waits so long. A task with durable=True holds no slot meanwhile, and a restart does not prolong it."""
        await self.durable.sleep(_seconds(duration, "ctx.sleep"), key)

    async def wait_for(
        self,
        what: BaseTrigger | Asset | AssetAlias | Signal,
        *,
        timeout: timedelta | float | None = None,
        key: str | None = None,
    ) -> Any:
        """Waits for a trigger's event, an event of an asset, or a signal; returns its payload.

        A task with durable=True holds no slot meanwhile; another one waits as it runs. `key` tells several waits for
        the same apart, where their order may change. Raises TimeoutError, TaskDeferralError (the trigger failed).
        """
        limit = None if timeout is None else timedelta(seconds=_seconds(timeout, "ctx.wait_for: timeout"))
        if isinstance(what, Signal):
            return await self.durable.answered(SIGNAL_KIND, what.name, None, limit)
        if isinstance(what, Asset | AssetAlias):
            key = key or what.name
            what = cast("BaseTrigger", pkgutil.resolve_name(_OF_ASSETS).next_of(what))
        if not isinstance(cast("object", what), BaseTrigger):
            hint = "; make one of it: call the class" if isinstance(what, type) else ""
            raise AuthoringError(f"ctx.wait_for: a trigger, an asset or signal('name') is needed, not {what!r}{hint}")
        return await self.durable.wait_for(what, limit, key)

    async def ask(
        self,
        form: type[T],
        *,
        to: str | None = None,
        subject: str = "",
        name: str = "",
        timeout: timedelta | float | None = None,
        default: T | _Nothing = _NOTHING,
    ) -> T:
        """Asks people to fill in a form (a pydantic model or a dataclass) and waits for it, without a slot.

        `to` says whom, `subject` what about. After `timeout` it is `default`, or TimeoutError where there is none.
        """
        limit = None if timeout is None else timedelta(seconds=_seconds(timeout, "ctx.ask: timeout"))
        question = {"schema": schema_of(form), "to": to, "subject": subject or form.__name__}
        if not isinstance(default, _Nothing | form):
            raise AuthoringError(f"ctx.ask: the default has to be of the form {form.__name__}, not {default!r}")
        try:
            answer = await self.durable.answered(INPUT_KIND, name or form.__name__, question, limit)
        except TimeoutError:
            if isinstance(default, _Nothing):
                raise
            return default
        return filled(form, answer)

    async def gather(self, *awaitables: Awaitable[T]) -> list[T]:
        """All of these at once: steps, sleeps, waits, and other coroutines. The results stand in their order.

        The first one that raises ends the others. The task holds no slot while all that is left of them waits.
        """
        return cast("list[T]", await self.durable.gather(awaitables))

    async def submit_once(
        self,
        submit: Callable[..., Any],
        *args: Any,
        poll: Callable[[Any], Any],
        interval: timedelta | float = 30.0,
        name: str = "submit",
        lookup: Callable[[], Any] | None = None,
        cancel: Callable[[Any], Any] | None = None,
    ) -> Any:
        """Starts a job elsewhere once, keeps what `submit` returns (its id), and asks `poll(id)` until that returns
        something other than None, which is the result. Whoever goes on after a crash attaches to the same job.

        `lookup` finds the id where a crash came between the start and its being kept; `cancel(id)` is called when
        the task is stopped.
        """
        pause = _seconds(interval, "ctx.submit_once: interval")
        for function, what in ((poll, "poll"), (lookup, "lookup"), (cancel, "cancel")):
            if function is not None:
                check_function(function, f"ctx.submit_once: {what}")
        job = await self.durable.step(name, submit, args, once=True, lookup=lookup)
        if cancel is not None:
            self.on_cancel(cancel, job)
        while (result := await called(poll, (job,))) is None:
            await self.durable.pause(pause, name)
        return result

    def on_cancel(self, function: Callable[..., Any], *args: Any) -> None:
        """Has the function called if the task is stopped or cleared, before it starts anew: also while it waits."""
        check_function(function, "ctx.on_cancel")
        self.durable.undo.append((function, args))

    @property
    def suspending(self) -> bool:
        """For `finally`: whether the attempt ends because the task waits; it will come back here."""
        return self.durable.suspending


_OF_ASSETS: Final = "tradewind.standard.asset_trigger:AssetEventTrigger"


def check_function(function: object, where: str) -> None:
    """Raises AuthoringError for what cannot be called; a coroutine, begun by a call too early, is closed."""
    if callable(function):
        return
    if inspect.iscoroutine(function):
        function.close()
        raise AuthoringError(
            f"{where}: give the function and its arguments one by one, not what calling it gives: "
            f"(…, {function.__name__}, argument) in place of (…, {function.__name__}(argument))"
        )
    raise AuthoringError(f"{where}: a function is needed, not {function!r}")


def _seconds(duration: timedelta | float, where: str) -> float:
    given = cast("object", duration)
    seconds = given.total_seconds() if isinstance(given, timedelta) else given
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or seconds < 0:
        raise AuthoringError(f"{where}: a duration is a timedelta or a number of seconds from 0 on, not {duration!r}")
    return float(seconds)


async def called(function: Callable[..., Any], args: Sequence[Any]) -> Any:
    """What the function returns; a plain one is called in a thread."""
    import asyncio  # DAG files that only define tasks need no loop

    if not inspect.iscoroutinefunction(function):
        result = await asyncio.to_thread(function, *args)
        return await result if inspect.isawaitable(result) else result
    work = cast("Callable[..., Coroutine[Any, Any, Any]]", function)
    return await work(*args)
