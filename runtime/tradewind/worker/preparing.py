"""Before the body of an attempt: its own instance of a mapped task, templates, the values of other tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor as Threads
from contextvars import copy_context
from functools import partial
from typing import Any, TypeVar

from tradewind.authoring.access import BlockingServices, TaskServices
from tradewind.authoring.expand_input import MappedArgument
from tradewind.authoring.mapped import MappedOperator
from tradewind.authoring.xcom_arg import XComArg
from tradewind.worker import steps
from tradewind.worker.inputs import Inputs, awaitable_refs, fetch_on_loop
from tradewind.worker.steps import Work

T = TypeVar("T")


def prepare_blocking(work: Work, blocking: BlockingServices) -> None:
    """Makes the operator ready, by calls that block. Raises what templates and constructors raise."""
    inputs = Inputs(work.attempt, work.operator, blocking)
    if work.traits.is_mapped:
        steps.unmap(work, inputs.lookup)
    if work.traits.renders:
        steps.render(work)
    if work.traits.has_references:
        work.operator.resolve_inputs({ref: inputs.lookup(ref) for ref in work.operator.xcom_refs()})


async def prepare_on_loop(
    work: Work, services: TaskServices, blocking: BlockingServices, threads: Threads | None
) -> None:
    """The same without blocking the loop: code of the author runs in `threads`."""
    if work.traits.is_mapped:
        await _unmap(work, services, blocking, threads)
    if work.traits.renders:
        await off_loop(threads, steps.render, work)
    if work.traits.has_references:
        refs = work.operator.xcom_refs()
        values = await _fetched(work, services, [ref for ref in refs if not isinstance(ref, MappedArgument)])
        rest: Sequence[MappedArgument] = [ref for ref in refs if isinstance(ref, MappedArgument)]
        if rest:
            values.update(await _arguments(work, rest, blocking, threads))
        work.operator.resolve_inputs(values)
    if work.traits.asks:
        await work.context.prefetch(work.traits.asks)


async def _unmap(work: Work, services: TaskServices, blocking: BlockingServices, threads: Threads | None) -> None:
    """Only the constructors of our own `@task` operators may run on the loop."""
    operator = work.operator
    refs = None
    if isinstance(operator, MappedOperator) and operator.mapped_call.into is not None:
        refs = awaitable_refs(operator.expand_input, operator)
    if refs is None:
        await off_loop(threads, steps.unmap, work, Inputs(work.attempt, operator, blocking).lookup)
    else:
        values = await _fetched(work, services, refs, shared=True)
        steps.unmap(work, values.__getitem__)


async def _fetched(
    work: Work, services: TaskServices, refs: list[XComArg], *, shared: bool = False
) -> dict[XComArg, object]:
    fetched = (fetch_on_loop(services, work.attempt, work.operator, ref, shared=shared) for ref in refs)
    found = await asyncio.gather(*fetched)
    return dict(zip(refs, found, strict=True))


async def _arguments(
    work: Work, refs: Sequence[MappedArgument], blocking: BlockingServices, threads: Threads | None
) -> dict[XComArg, object]:
    """The arguments of the mapped group around the task."""
    inputs = Inputs(work.attempt, work.operator, blocking)

    def look_up() -> dict[XComArg, object]:
        return {ref: inputs.lookup(ref) for ref in refs}

    if any(True for ref in refs for _ in ref.source.args()):
        return await off_loop(threads, look_up)
    return look_up()


async def off_loop(threads: Threads | None, call: Callable[..., T], *args: Any) -> T:
    """Runs sync code of the author in a thread that knows the attempt."""
    return await asyncio.get_running_loop().run_in_executor(threads, partial(copy_context().run, call, *args))
