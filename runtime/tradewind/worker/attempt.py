"""Carries out one attempt: `run_attempt` on a loop, `run_attempt_blocking` in a process or thread.

Both never raise for anything that user code does, SystemExit and KeyboardInterrupt included: they
return the `Outcome`. The order: render templates, fetch the XComs that arguments refer to (data, never
templates), on_execute, pre_execute, execute (under `execution_timeout`) or the sensor's pokes, post_execute; then
callbacks for the end, whose own errors are logged and change nothing.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor as Threads
from contextvars import copy_context
from functools import partial
from typing import Any, Final

from tradewind.authoring.access import BlockingServices, CurrentAttempt, TaskServices, current_attempt
from tradewind.authoring.dag import DAG
from tradewind.authoring.durable import Suspended
from tradewind.authoring.loop_clients import hold_clients
from tradewind.authoring.xcom import has_backend
from tradewind.authoring.xcom_access import purge_left_over
from tradewind.model.attempts import Attempt
from tradewind.model.errors import TaskTimeout
from tradewind.model.outcomes import Outcome, Wait
from tradewind.model.states import OutcomeKind
from tradewind.worker import steps
from tradewind.worker.alarm import deadline
from tradewind.worker.blocking import AsyncInProcess, BlockingOnLoop
from tradewind.worker.deferring import LEFT_BEHIND_AFTER, call_of, durably, ending_of, outcome_of_raised, time_left
from tradewind.worker.endings import AttemptCancelled, lost, outcome_of_error
from tradewind.worker.joint_polls import joint_polls
from tradewind.worker.log import current_log
from tradewind.worker.preparing import off_loop, prepare_blocking, prepare_on_loop
from tradewind.worker.retry_choice import weighed
from tradewind.worker.sensing import Sensing, SensorWait, poked, sense, sense_blocking, senses, shared_key_of
from tradewind.worker.steps import Work

GOES_ON: Final = "goes on elsewhere"
"""The message with which an attempt's asyncio task is cancelled whose try will be repeated: its carrier stops."""

INLINE: Final = "inline"
"""The executor beside whose attempts sensors can wait."""

CALLBACK_LIMIT: Final = 60.0
"""Seconds that one callback may take inside an attempt."""


async def run_attempt(
    attempt: Attempt,
    dag: DAG,
    services: TaskServices,
    *,
    blocking: BlockingServices | None = None,
    threads: Threads | None = None,
    tidy: Callable[[], Awaitable[object] | None] | None = None,
) -> Outcome:
    """Carries out an attempt on the running loop; sync code of it runs in `threads`. `tidy` is called when all its
    code has run, before its last log line, and what it gives is awaited.

    Cancelling the calling task ends the attempt: `on_kill` is called and CancelledError raised.
    """
    face = blocking if blocking is not None else BlockingOnLoop(services, asyncio.get_running_loop())
    current = CurrentAttempt(attempt, services, face)
    token = current_attempt.set(current)
    steps.announce(attempt, current_log.get())
    try:
        return await _carry_out(current, dag, threads, _execute, tidy)
    finally:
        current_attempt.reset(token)


async def watch_sensor(current: CurrentAttempt, dag: DAG, wait: Wait, threads: Threads | None) -> Outcome:
    """Goes on poking for an async sensor that has given its slot back, until it is satisfied, fails or is skipped."""

    async def watched(work: Work, current: CurrentAttempt, threads: Threads | None) -> Any:
        await prepare_on_loop(work, current.services, current.blocking, threads)
        timeout = time_left(work, has_waited=True)
        sensed = _sense(work, SensorWait.of(wait))
        value = await (sensed if timeout is None else _within(work, sensed, timeout))
        if work.traits.post_execute:
            await _maybe_async(threads, work.operator.post_execute, work.context, value)
        return value

    return await _carry_out(current, dag, threads, watched)


async def end_from_trigger(current: CurrentAttempt, dag: DAG, outcome: Outcome, threads: Threads | None) -> Outcome:
    """The task ends with its trigger, without a further attempt: its callbacks are called."""
    work = steps.begin(current, dag, current_log.get())
    await _call_all(work, steps.callbacks_for(work, outcome), threads)
    steps.conclude(work.attempt, outcome, work.log)
    return outcome


async def _carry_out(
    current: CurrentAttempt,
    dag: DAG,
    threads: Threads | None,
    execute: Callable[[Work, CurrentAttempt, Threads | None], Awaitable[Any]],
    tidy: Callable[[], Awaitable[object] | None] | None = None,
) -> Outcome:
    attempt = current.attempt
    log = current_log.get()
    task = asyncio.current_task()
    work: Work | None = None
    try:
        work = steps.begin(current, dag, log)
        if not work.traits.is_async:
            return await _in_thread(work, threads)
        outcome = steps.outcome_of_value(work, await execute(work, current, threads))
        outcome = await _labelled(work, outcome, threads)
    except asyncio.CancelledError as error:
        if _is_cancelled():
            await _kill(work, threads, goes_on=error.args == (GOES_ON,))
            raise
        outcome = outcome_of_error(error)
    except BaseException as error:
        if isinstance(error, GeneratorExit) and is_torn_down(task):
            raise
        outcome = outcome_of_raised(work, error)
        if work is not None and outcome.kind is not OutcomeKind.DEFERRED:
            work.context["exception"] = error
            if work.operator.retry_policy is not None:
                outcome = await off_loop(threads, weighed, work, outcome, error)
            outcome = await _labelled(work, outcome, threads)
        if outcome.kind in (OutcomeKind.TIMED_OUT, OutcomeKind.CANCELLED):
            await _kill(work, threads)
    if work is not None:
        callbacks = steps.callbacks_for(work, outcome)
        if callbacks:
            await _call_all(work, callbacks, threads)
    if tidy is not None and (rest := tidy()) is not None:
        await rest
    steps.conclude(attempt, outcome, log)
    return outcome


def is_torn_down(task: asyncio.Task[Any] | None) -> bool:
    """Whether a GeneratorExit means that the task's coroutine is thrown away (it may await nothing then): inside the
    running task it is just another exception of the author.
    """
    try:
        return asyncio.current_task() is not task
    except RuntimeError:
        return True


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


async def _labelled(work: Work, outcome: Outcome, threads: Threads | None) -> Outcome:
    if work.operator.map_index_template is None:
        return outcome
    return await off_loop(threads, steps.labelled, work, outcome)


async def _execute(work: Work, current: CurrentAttempt, threads: Threads | None) -> Any:
    if has_backend():
        await off_loop(threads, purge_left_over, current)
    await prepare_on_loop(work, current.services, current.blocking, threads)
    operator, traits = work.operator, work.traits
    await _call_all(work, steps.told_of(operator, "on_execute"), threads)
    if traits.pre_execute:
        await _maybe_async(threads, operator.pre_execute, work.context)
    timeout = time_left(work)
    value = await (_body(work) if timeout is None else _within(work, _body(work), timeout))
    if traits.post_execute:
        await _maybe_async(threads, operator.post_execute, work.context, value)
    return value


async def _within(work: Work, awaited: Awaitable[Any], timeout: float) -> Any:
    """The body as a task of its own, so that one which swallows its cancellation can be left behind.

    Raises TaskTimeout.
    """
    body = asyncio.ensure_future(ending_of(awaited))
    late = ""
    try:
        await asyncio.wait({body}, timeout=timeout)
        if not body.done():
            late = f"execution_timeout of {work.attempt.task.execution_timeout:g} s has passed"
            body.cancel()
            await asyncio.wait({body}, timeout=LEFT_BEHIND_AFTER)
    except asyncio.CancelledError:
        body.cancel()
        await asyncio.wait({body})
        raise
    if not body.done():
        raise TaskTimeout(f"{late}; the coroutine swallowed its cancellation and is left behind")
    if late and (body.cancelled() or isinstance(body.result()[1], asyncio.CancelledError)):
        raise TaskTimeout(late) from body.result()[1]
    value, error = body.result()
    if error is not None:
        raise error
    return value


async def _body(work: Work) -> Any:
    if senses(work):
        return await _sense(work)
    result = call_of(work)(work.context)
    if not inspect.isawaitable(result):
        return result
    return await (durably(work, result) if work.operator.durable else result)


async def _sense(work: Work, waited: SensorWait | None = None) -> Any:
    """Pokes until the sensor is satisfied. Between pokes it waits without a slot: the first one that is not satisfied
    raises Suspended, and what follows is `waited` for beside the attempts.
    """
    sensing = Sensing.of(work)
    sensor, key = sensing.sensor, shared_key_of(work)
    poke = partial(poked, sensor, work.context)

    def ask() -> Awaitable[Any]:
        if key is None:
            return poke()
        return sensing.answer_in_time(joint_polls().ask(key, sensor.poke_interval, poke))

    async def rest(seconds: float) -> None:
        await (asyncio.sleep(seconds) if key is None else joint_polls().rest(key, seconds))

    async def rest_or_leave(pause: float) -> None:
        if waited is None and work.attempt.task.executor == INLINE:
            raise Suspended(sensing.wait(pause))
        await rest(pause)

    if waited is not None:
        sensing.pokes = waited.pokes
        await rest(sensing.until(waited.at))
    return await sense(sensing, ask, rest_or_leave)


async def _maybe_async(threads: Threads | None, call: Callable[..., Any], *args: Any) -> Any:
    if inspect.iscoroutinefunction(call):
        return await call(*args)
    result = await off_loop(threads, call, *args)
    return await result if inspect.isawaitable(result) else result


async def _call_all(work: Work, callbacks: Sequence[Callable[[Any], object]], threads: Threads | None) -> None:
    for callback in callbacks:
        try:
            async with asyncio.timeout(CALLBACK_LIMIT):
                await _maybe_async(threads, callback, work.context)
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError) and _is_cancelled():
                raise
            _report_callback(work, callback, error)


def _report_callback(work: Work, callback: Callable[[Any], object], error: BaseException) -> None:
    info = outcome_of_error(error).error
    name = getattr(callback, "__qualname__", repr(callback))
    work.say(f"Callback {name} failed\n{info.traceback if info is not None else error}", level="ERROR")


async def _kill(work: Work | None, threads: Threads | None, *, goes_on: bool = False) -> None:
    """The operator's own clean-up; bounded, so that a cancelled attempt does end. A durable task that `goes_on` undoes
    nothing.
    """
    if work is None:
        return
    try:
        async with asyncio.timeout(5):
            await _maybe_async(threads, work.operator.on_kill)
    except BaseException as error:
        work.say(f"on_kill failed: {type(error).__name__}: {error}", level="ERROR")
    if work.context.made_durable is not None and not goes_on:
        for wrong in await work.context.made_durable.undo_all():
            work.say(f"A function of ctx.on_cancel failed: {type(wrong).__name__}: {wrong}", level="ERROR")


async def _in_thread(work: Work, threads: Threads | None) -> Outcome:
    """A sync task on a loop: all of it in one thread. Its time begins when it gets one. What cannot be interrupted
    there is left behind; what has not begun when the attempt ends never does. Raises TaskTimeout.
    """
    stop = threading.Event()
    context, loop = copy_context(), asyncio.get_running_loop()
    timeout, scope = time_left(work), asyncio.timeout(None)

    def call() -> Outcome:
        if stop.is_set():
            return lost("it was ended before it began")
        if timeout is not None:
            loop.call_soon_threadsafe(limit, timeout)
        return context.run(_run_work, work, stop)

    def limit(seconds: float) -> None:
        if not stop.is_set() and not running.done():
            scope.reschedule(loop.time() + seconds)

    running = loop.run_in_executor(threads, call)
    try:
        async with scope:
            return await asyncio.shield(running)
    except TimeoutError:
        if not scope.expired():
            raise
        stop.set()
        whole = work.attempt.task.execution_timeout
        said = f"execution_timeout of {whole:g} s has passed; the thread cannot be stopped and is left behind"
        error = TaskTimeout(said)
        outcome = outcome_of_error(error)
        work.context["exception"] = error
        outcome = await off_loop(threads, weighed, work, outcome, error)
        await _kill(work, threads)
        await _call_all(work, steps.callbacks_for(work, outcome), threads)
        steps.conclude(work.attempt, outcome, work.log)
        return outcome
    except asyncio.CancelledError:
        stop.set()
        raise


# ------------------------------------------------------------------------------- blocking


def run_attempt_blocking(
    attempt: Attempt, dag: DAG, blocking: BlockingServices, *, services: TaskServices | None = None
) -> Outcome:
    """Carries out an attempt in this thread. In a main thread `execution_timeout` interrupts the code.

    An async task gets a loop of its own, and `services` as its face of the system.
    """
    current = CurrentAttempt(attempt, services if services is not None else AsyncInProcess(blocking), blocking)
    log = current_log.get()
    token = current_attempt.set(current)
    try:
        try:
            work = steps.begin(current, dag, log)
        except Exception as error:
            steps.announce(attempt, log)
            outcome = outcome_of_error(error)
            steps.conclude(attempt, outcome, log)
            return outcome
        if work.traits.is_async:
            return asyncio.run(_on_own_loop(attempt, dag, current))
        steps.announce(attempt, log)
        return _run_work(work, None)
    finally:
        current_attempt.reset(token)


async def _on_own_loop(attempt: Attempt, dag: DAG, current: CurrentAttempt) -> Outcome:
    """An async task in a process: its sync calls (templates, callbacks) may block the way sync tasks do."""
    async with hold_clients(current_log):
        return await run_attempt(attempt, dag, current.services, blocking=current.blocking)


def _run_work(work: Work, stop: threading.Event | None) -> Outcome:
    """All of a sync attempt from its inputs to its last log line."""
    attempt = work.attempt
    try:
        outcome = steps.labelled(work, steps.outcome_of_value(work, _execute_blocking(work, stop)))
    except BaseException as error:
        outcome = steps.labelled(work, outcome_of_raised(work, error))
        if outcome.kind is not OutcomeKind.DEFERRED:
            work.context["exception"] = error
            outcome = weighed(work, outcome, error)
        if outcome.kind in (OutcomeKind.CANCELLED, OutcomeKind.TIMED_OUT) and stop is None:
            _kill_blocking(work)
    if stop is not None and stop.is_set():
        return outcome
    for callback in steps.callbacks_for(work, outcome):
        _call_blocking(work, callback)
    steps.conclude(attempt, outcome, work.log)
    return outcome


def _execute_blocking(work: Work, stop: threading.Event | None) -> Any:
    current = current_attempt.get()
    purge_left_over(current)
    prepare_blocking(work, current.blocking)
    operator, traits = work.operator, work.traits
    for callback in steps.told_of(operator, "on_execute"):
        _call_blocking(work, callback)
    with deadline(None if stop is not None else time_left(work), whole=work.attempt.task.execution_timeout):
        if traits.pre_execute:
            operator.pre_execute(work.context)
        value = _sense_blocking(work, stop) if senses(work) else awaited(call_of(work)(work.context))
        if traits.post_execute:
            operator.post_execute(work.context, value)
    return value


def awaited(value: Any) -> Any:
    """A sync task that hands out a coroutine means its result."""
    return asyncio.run(_await(value)) if inspect.iscoroutine(value) else value


async def _await(value: Any) -> Any:
    return await value


def _sense_blocking(work: Work, stop: threading.Event | None) -> Any:
    sensing = Sensing.of(work)

    def rest(pause: float) -> None:
        if sensing.pace.rest(pause, stop):
            raise AttemptCancelled

    return sense_blocking(sensing, lambda: awaited(sensing.sensor.poke(work.context)), rest)


def _call_blocking(work: Work, callback: Callable[[Any], object]) -> None:
    try:
        with deadline(CALLBACK_LIMIT, "the time limit of callbacks"):
            awaited(callback(work.context))
    except AttemptCancelled:
        raise
    except BaseException as error:
        _report_callback(work, callback, error)


def _kill_blocking(work: Work) -> None:
    try:
        work.operator.on_kill()
    except BaseException as error:
        work.say(f"on_kill failed: {type(error).__name__}: {error}", level="ERROR")


def put_context_in_environment(attempt: Attempt) -> None:
    """Names of DAG, task and run as AIRFLOW_CTX_* and TRADEWIND_CTX_*, for this process and what it starts."""
    facts = {
        "DAG_OWNER": attempt.task.owner,
        "DAG_ID": attempt.run.dag_id,
        "TASK_ID": attempt.key.task_id,
        "EXECUTION_DATE": attempt.run.logical_date.isoformat(),
        "DAG_RUN_ID": attempt.run.dag_run_id,
        "TRY_NUMBER": str(attempt.key.try_number),
    }
    for name, value in facts.items():
        if _in_environment.get(name) != value and "\0" not in value:
            os.environ[f"AIRFLOW_CTX_{name}"] = os.environ[f"TRADEWIND_CTX_{name}"] = value
            _in_environment[name] = value


_in_environment: dict[str, str] = {}
"""What was put there last: most of it is the same for the next attempt of a zygote."""
