"""Durable async tasks: what an attempt remembers of earlier ones, and how it waits without a slot.

A step's result is recorded under its name; an attempt that comes later, after a crash or for a retry, is answered
from the record. A task that is `durable=True` is ended where it waits, and executed again from its top when what it
waits for is there: then every step and every wait on the way answers at once. See decision 0115.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, cast

from tradewind.authoring.access import CurrentAttempt
from tradewind.authoring.deferral import TaskDeferralError, TaskDeferred, wait_of
from tradewind.authoring.durable_calls import StepName, called, check_function, step_in_progress
from tradewind.authoring.nodes import TaskNode
from tradewind.authoring.pace import current_pace
from tradewind.authoring.stored_values import packed, unpacked
from tradewind.authoring.triggers import BaseTrigger
from tradewind.model.durable import Step
from tradewind.model.errors import AuthoringError, FailWithoutRetry, TaskTimeout, XComError
from tradewind.model.outcomes import Wait
from tradewind.model.waits import INPUT_KIND, SIGNAL_KIND, WaitAnswer

MOMENT_KIND: Final = "tradewind.moment"
_UNDO_LIMIT: Final = 30.0
"""Seconds that one `on_cancel` function may take."""


class StepUnknown(FailWithoutRetry):
    """A step with `once=True` was begun, and nobody knows whether it was done."""


class Suspended(BaseException):
    """Raised where code of ours gives the slot back. Not an Exception: `except Exception` lets it by."""

    def __init__(self, *waits: Wait) -> None:
        super().__init__(*waits)
        self.waits = waits


class Durable:
    """One attempt's face of what its task has done. `evicts`: the attempt ends where it waits."""

    def __init__(self, current: CurrentAttempt, task: TaskNode, *, evicts: bool) -> None:
        self._current = current
        self._task = task
        self.evicts = evicts
        self.suspending = False
        """Whether the attempt is being ended because the task waits."""
        self.halted = asyncio.Event()
        """Set when nothing of the task runs any more: all of it waits."""
        self.undo: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []
        resume = current.attempt.resume
        self._answers: dict[str, WaitAnswer] = {} if resume is None else dict(resume.answers)
        self._waits: dict[str, Wait] = {}
        self._running = 1
        self._names: set[str] = set()
        self._counts: dict[str, int] = {}
        self._record: asyncio.Task[dict[str, Step]] | None = None

    # ------------------------------------------------------------------------------- steps

    async def step(
        self,
        name: StepName,
        function: Callable[..., Any],
        args: Sequence[Any],
        *,
        once: bool,
        lookup: Callable[[], Any] | None,
    ) -> Any:
        """As `Context.step`."""
        key = self._key_of(name)
        check_function(function, f"{self._whose()}: step {key!r}")
        record = await self._known()
        digest = _digest(args)
        known = record.get(key)
        if known is not None and known.digest != digest:
            raise AuthoringError(
                f"{self._whose()}: step {key!r} was taken with other arguments before; give what changes as its key: "
                f"ctx.step(({key!r}, key), …), or clear the task to begin anew"
            )
        if known is not None and known.value is not None:
            return unpacked(known.value)
        if once:
            found = await self._look_up(key, known, lookup)
            if found is not None:
                return await self._keep(key, digest, found, record)
            await self._current.services.step_put(self._current.attempt.key, Step(key, digest, None))
        token = step_in_progress.set(self._step_key(key))
        try:
            result = await called(function, args)
        finally:
            step_in_progress.reset(token)
        return await self._keep(key, digest, result, record)

    async def _look_up(self, key: str, known: Step | None, lookup: Callable[[], Any] | None) -> Any:
        if known is None:
            return None
        if lookup is None:
            raise StepUnknown(
                f"{self._whose()}: step {key!r} was begun and it is not known whether it was done; give it lookup=, a "
                "function that finds its result (or None, where it was not done), or clear the task to begin anew"
            )
        return await called(lookup, ())

    async def _keep(self, key: str, digest: bytes, result: Any, record: dict[str, Step]) -> Any:
        step = Step(key, digest, packed(result, f"{self._whose()}: the result of step {key!r}"))
        await self._current.services.step_put(self._current.attempt.key, step)
        record[key] = step
        return result

    async def _known(self) -> dict[str, Step]:
        if self._record is None:
            self._record = asyncio.ensure_future(self._fetch())
        return await asyncio.shield(self._record)

    async def _fetch(self) -> dict[str, Step]:
        own = self._current.attempt.key
        steps = await self._current.services.step_list(own.run_id, own.task_id, own.map_index)
        return {step.key: step for step in steps}

    def _key_of(self, name: StepName) -> str:
        given = cast("object", name)
        if isinstance(given, tuple) and len(cast("tuple[object, ...]", given)) == 2:
            first, second = cast("tuple[object, object]", given)
            key = f"{first}:{packed(second, 'the key of a step').data.decode()}"
        else:
            first = key = cast("str", given)
        if not isinstance(first, str) or not first:
            raise AuthoringError(f"{self._whose()}: the name of a step is a text, or (text, key), not {name!r}")
        if key in self._names:
            raise AuthoringError(
                f"{self._whose()}: step {key!r} is taken twice in one attempt; give each a key: "
                f"ctx.step(({first!r}, key), …)"
            )
        self._names.add(key)
        return key

    def _step_key(self, key: str) -> str:
        attempt = self._current.attempt
        own = attempt.key
        text = f"{own.run_id}/{own.task_id}/{own.map_index}/{attempt.max_tries}/{key}"
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    # ------------------------------------------------------------------------------- waits

    async def sleep(self, seconds: float, key: str | None) -> None:
        """As `Context.sleep`."""
        if not self.evicts:
            await asyncio.sleep(seconds)
            return
        await self._moment(seconds, f"sleep:{key if key is not None else self._nth('sleep')}")

    async def pause(self, seconds: float, key: str) -> None:
        """A sleep between two questions, which nobody asks for again."""
        if not self.evicts:
            await asyncio.sleep(seconds)
            return
        await self._moment(seconds, f"~{key}:{current_pace.get().now().isoformat()}")

    async def _moment(self, seconds: float, key: str) -> None:
        due = current_pace.get().now() + timedelta(seconds=seconds)
        await self._wait(Wait(MOMENT_KIND, due=due, deadline=self._until(), key=key))

    async def wait_for(self, trigger: BaseTrigger, timeout: timedelta | None, key: str | None) -> Any:
        """As `Context.wait_for`, for a trigger."""
        if not self.evicts:
            return await _fired(trigger, timeout)
        deferred = TaskDeferred(trigger=trigger, method_name="execute", timeout=timeout)
        now = current_pace.get().now()
        wait = wait_of(deferred, now=now, until=self._until(), operator=self._task)
        what = f"{wait.kind}:{key}" if key is not None else f"{wait.kind}:{_digest([wait.args]).hex()[:12]}"
        return await self._wait(wait._replace(method="", key=key or f"{what}:{self._nth(what)}"))

    async def answered(self, kind: str, name: str, args: Any, timeout: timedelta | None) -> Any:
        """Waits for an answer from outside: a signal, or what a person says."""
        if not self.evicts:
            raise AuthoringError(
                f"{self._whose()}: only a task with durable=True can wait for a signal or a person: @task(durable=True)"
            )
        if not name or ":" in name:
            raise AuthoringError(f"{self._whose()}: the name of a signal is a text without ':', not {name!r}")
        ends = [end for end in (self._until(),) if end is not None]
        if timeout is not None:
            ends.append(current_pace.get().now() + timeout)
        deadline = min(ends) if ends else None
        prefix = f"{kind}:{name}"
        stored = None if args is None else packed(args, f"{self._whose()}: what is asked for {name!r}")
        return await self._wait(Wait(kind, stored, deadline=deadline, key=f"{prefix}:{self._nth(prefix)}"))

    async def _wait(self, wait: Wait) -> Any:
        answer = self._answers.get(wait.key)
        if answer is not None:
            return self._result_of(answer, wait)
        self._waits[wait.key] = wait
        self._running -= 1
        self._look()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            if not self.suspending:
                del self._waits[wait.key]
                self._running += 1

    def _result_of(self, answer: WaitAnswer, wait: Wait) -> Any:
        if answer.timed_out:
            until = self._until()
            if until is not None and current_pace.get().now() >= until:
                raise TaskTimeout(f"execution_timeout has passed while the task waited for {_described(wait)}")
            raise TimeoutError(f"{self._whose()}: {_described(wait)} did not come in time")
        if answer.error is not None:
            last = answer.error.rstrip().splitlines()[-1]
            raise TaskDeferralError(f"{self._whose()}: waiting for {_described(wait)} has failed: {last}")
        return None if answer.event is None else unpacked(answer.event)

    def waits(self) -> tuple[Wait, ...]:
        """What the task waits for, now that all of it waits."""
        return tuple(wait._replace(undo=bool(self.undo)) for wait in self._waits.values())

    def _nth(self, what: str) -> int:
        count = self._counts.get(what, 0)
        self._counts[what] = count + 1
        return count

    def _until(self) -> datetime | None:
        attempt = self._current.attempt
        limit = attempt.task.execution_timeout
        return None if limit is None else attempt.first_started_at + timedelta(seconds=limit)

    # ------------------------------------------------------------------------------ strands

    async def gather(self, awaitables: Sequence[Awaitable[Any]]) -> list[Any]:
        """As `Context.gather`."""
        if not awaitables:
            return []
        wrong: list[object] = [one for one in awaitables if not inspect.isawaitable(one)]
        if wrong:
            for one in awaitables:
                if inspect.iscoroutine(one):
                    one.close()
            hint = ", or *list in place of list" if isinstance(wrong[0], Iterable) else ""
            raise AuthoringError(
                f"{self._whose()}: ctx.gather takes coroutines and other awaitables, one by one{hint}, not {wrong[0]!r}"
            )
        left, handed_over = len(awaitables), False

        async def strand(awaitable: Awaitable[Any]) -> Any:
            nonlocal left, handed_over
            failed = True
            try:
                result = await awaitable
                failed = False
                return result
            finally:
                left -= 1
                if not handed_over and (failed or not left):
                    handed_over = True  # whoever gathers goes on: the last one has ended, or the first has failed
                else:
                    self._running -= 1
                    self._look()

        self._running += len(awaitables) - 1
        tasks = [asyncio.ensure_future(strand(one)) for one in awaitables]
        try:
            return await asyncio.gather(*tasks)
        finally:
            unfinished = [task for task in tasks if not task.done()]
            for task in unfinished:
                task.cancel()
            if unfinished:
                await asyncio.wait(unfinished)

    def _look(self) -> None:
        """Looks whether everything waits."""
        if self._running <= 0 and self._waits:
            self.halted.set()

    # ---------------------------------------------------------------------------- the end

    async def undo_all(self) -> list[BaseException]:
        """Calls what `on_cancel` was given, the latest first. Returns what was raised."""
        errors: list[BaseException] = []
        for function, args in reversed(self.undo):
            try:
                async with asyncio.timeout(_UNDO_LIMIT):
                    await called(function, args)
            except Exception as error:
                errors.append(error)
        self.undo.clear()
        return errors

    def _whose(self) -> str:
        attempt = self._current.attempt
        return f"task {attempt.key.task_id!r} of DAG {attempt.run.dag_id!r}"


def _described(wait: Wait) -> str:
    """What is waited for, in a sentence."""
    name = wait.key.partition(":")[2].rpartition(":")[0]
    if wait.kind == MOMENT_KIND:
        return "a moment"
    if wait.kind == SIGNAL_KIND:
        return f"the signal {name!r}"
    if wait.kind == INPUT_KIND:
        return f"the answer to {name!r}"
    return f"the event of the trigger {wait.kind}"


def _digest(args: Sequence[Any]) -> bytes:
    """Tells arguments apart; those that cannot be stored (sessions, clients) are told apart by their type."""
    hashed = hashlib.blake2b(digest_size=16)
    for arg in args:
        try:
            hashed.update(packed(arg, "an argument").data)
        except XComError:
            hashed.update(type(arg).__qualname__.encode())
        hashed.update(b"\0")
    return hashed.digest()


async def _fired(trigger: BaseTrigger, timeout: timedelta | None) -> Any:
    """The payload of the trigger's first event, waited for in the attempt itself."""
    try:
        async with asyncio.timeout(None if timeout is None else timeout.total_seconds()):
            async for event in trigger.run():
                if event.ack is not None:
                    await event.ack()
                return event.payload
    finally:
        await trigger.cleanup()
    raise TaskDeferralError(f"Trigger {type(trigger).trigger_kind} exited without sending an event")
