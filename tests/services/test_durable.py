# pyright: reportUnusedExpression=false
"""Durable tasks on a real runtime: what they keep, how they wait, what they undo."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

import pytest

from tests.services.conftest import StartRuntime, run_to_end, until, why
from tradewind import DAG, task
from tradewind.authoring.context import Context
from tradewind.authoring.durable_calls import signal
from tradewind.authoring.stored_values import packed
from tradewind.authoring.triggers import Trigger, TriggerEvent, trigger
from tradewind.authoring.xcom import decode
from tradewind.control_ports import TriggerRequest
from tradewind.host import Runtime
from tradewind.model.errors import AuthoringError, ConflictError
from tradewind.model.rows import RunRow
from tradewind.model.waits import INPUT_KIND, SIGNAL_KIND, Signal

GATES: dict[str, asyncio.Event] = {}


@trigger(kind="tests.durable_gate")
class Gate(Trigger):
    """Fires when somebody opens the gate of this name."""

    name: str

    async def run(self) -> AsyncIterator[TriggerEvent]:
        await GATES.setdefault(self.name, asyncio.Event()).wait()
        yield TriggerEvent(f"{self.name} is open")


def gate(name: str) -> asyncio.Event:
    made = GATES[name] = asyncio.Event()
    return made


async def result(runtime: Runtime, run: RunRow, task_id: str = "work") -> Any:
    value = await runtime.control.reads.xcom_get(run.run_id, task_id, "return_value")
    return None if value is None else decode(value)


async def began(runtime: Runtime, dag_id: str = "d") -> RunRow:
    return await runtime.control.run_trigger(TriggerRequest(dag_id, unpause=True))


async def in_state(runtime: Runtime, run: RunRow, state: str, task_id: str = "work") -> None:
    async def there() -> bool:
        row = await runtime.control.reads.instance_get(run.run_id, task_id)
        return row is not None and row.state == state

    await until(runtime, there)


async def test_steps_keep_their_results_over_retries(start: StartRuntime) -> None:
    taken: list[str] = []
    with DAG("d", schedule=None) as dag:

        @task(retries=2, retry_delay=0)
        async def work(ctx: Context) -> list[Any]:
            async def fetch(n: int) -> int:
                taken.append(f"fetch {n} {ctx.step_key}")
                return n * 10

            def plain(text: str) -> str:
                taken.append(f"plain {text}")
                return text.upper()

            got: list[Any] = [await ctx.step("fetch", fetch, 1), await ctx.step("plain", plain, "a")]
            got += await ctx.gather(*(ctx.step(("each", n), fetch, n) for n in range(3)))
            if taken.count("tried") < 2:
                taken.append("tried")
                raise ValueError("not yet")
            return got

        work()
    runtime = await start(dag)
    run = await run_to_end(runtime, "d")
    assert run.state == "success"
    assert await result(runtime, run) == [10, "A", 0, 10, 20]
    assert len([line for line in taken if line != "tried"]) == 5
    assert len({line.split()[-1] for line in taken if line.startswith("fetch")}) == 4


async def test_a_clear_drops_the_steps(start: StartRuntime) -> None:
    taken: list[str] = []
    with DAG("d", schedule=None) as dag:

        @task
        async def work(ctx: Context) -> int:
            async def count() -> int:
                taken.append(ctx.step_key)
                return len(taken)

            return await ctx.step("count", count)

        work()
    runtime = await start(dag)
    run = await run_to_end(runtime, "d")
    assert await result(runtime, run) == 1
    await runtime.control.instances_clear("d", run.dag_run_id, ["work"])
    await runtime.control.run_wait(run.run_id, 60)
    assert await result(runtime, run) == 2
    assert len(set(taken)) == 2


async def test_a_durable_task_holds_no_slot_while_it_waits(start: StartRuntime) -> None:
    opened = gate("one")
    entries: list[str] = []
    with DAG("d", schedule=None, max_active_tasks=1) as dag:

        @task(durable=True)
        async def work(ctx: Context) -> list[Any]:
            entries.append("in")
            try:
                await ctx.sleep(0.01)
                return [await ctx.wait_for(Gate(name="one"))]
            finally:
                entries.append("suspending" if ctx.suspending else "out")

        @task(trigger_rule="always", priority_weight=0)
        async def other() -> None: ...

        work()
        other()
    runtime = await start(dag)
    run = await began(runtime)
    await in_state(runtime, run, "deferred")
    await in_state(runtime, run, "success", "other")
    opened.set()
    assert (await runtime.control.run_wait(run.run_id, 60)).state == "success"
    assert await result(runtime, run) == ["one is open"]
    assert entries == ["in", "suspending"] * 2 + ["in", "out"]
    attempts = await runtime.control.reads.attempt_list(run.run_id, "work")
    assert {attempt.try_number for attempt in attempts} == {1}


async def test_gathered_waits_go_on_with_the_first_and_need_all(start: StartRuntime) -> None:
    gates = [gate(f"g{n}") for n in range(3)]
    taken: list[int] = []
    with DAG("d", schedule=None) as dag:

        @task(durable=True)
        async def work(ctx: Context) -> list[Any]:
            async def strand(n: int) -> str:
                got = await ctx.wait_for(Gate(name=f"g{n}"))

                async def note() -> str:
                    taken.append(n)
                    return f"{n}: {got}"

                return await ctx.step(("note", n), note)

            return await ctx.gather(*(strand(n) for n in range(3)))

        work()
    runtime = await start(dag)
    run = await began(runtime)
    await in_state(runtime, run, "deferred")
    for n in (2, 0, 1):
        gates[n].set()

        async def noted(n: int = n) -> bool:
            return n in taken

        await until(runtime, noted)
    assert (await runtime.control.run_wait(run.run_id, 60)).state == "success"
    assert await result(runtime, run) == [f"{n}: g{n} is open" for n in range(3)]
    assert taken == [2, 0, 1]


@dataclass
class Approve:
    ok: bool
    note: str = ""


async def test_a_signal_names_its_instance_of_a_mapped_task(start: StartRuntime) -> None:
    with DAG("d", schedule=None) as dag:

        @task(durable=True)
        async def work(ctx: Context, n: int) -> Any:
            return await ctx.wait_for(signal("go"))

        work.expand(n=[1, 2])
    runtime = await start(dag)
    run = await began(runtime)

    def go(map_index: int) -> Signal:
        return Signal("work", map_index, SIGNAL_KIND, "go", packed(map_index, "value"))

    async def expanded() -> bool:
        rows = await runtime.control.reads.instance_list(run.run_id)
        return [row.state.value for row in rows] == ["deferred"] * 2

    await until(runtime, expanded)
    with pytest.raises(ConflictError, match="'work' of DAG 'd' is mapped: name a map_index from 0 to 1"):
        await runtime.control.signal_send("d", run.dag_run_id, go(-1))
    for index in (1, 0):
        assert await runtime.control.signal_send("d", run.dag_run_id, go(index))
    assert (await runtime.control.run_wait(run.run_id)).state == "success"


async def test_signals_and_answers_of_people(start: StartRuntime) -> None:
    with DAG("d", schedule=None) as dag:

        @task(durable=True)
        async def work(ctx: Context) -> list[Any]:
            first = await ctx.wait_for(signal("go"))
            second = await ctx.wait_for(signal("go"))
            answer = await ctx.ask(Approve, to="team", timeout=60)
            late = await ctx.ask(Approve, name="late", timeout=0.01, default=Approve(ok=False, note="nobody"))
            return [first, second, answer.ok, answer.note, late.note]

        work()
    runtime = await start(dag)
    run = await began(runtime)
    await in_state(runtime, run, "deferred")
    said = {"ok": True, "note": "fine"}
    sent: list[tuple[str, str, Any]] = [(SIGNAL_KIND, "go", 1), (INPUT_KIND, "Approve", said)]
    sent.append((SIGNAL_KIND, "go", {"n": 2}))
    for kind, name, value in sent:  # the second comes before anybody asks
        message = Signal("work", -1, kind, name, packed(value, "value"))
        await runtime.control.signal_send("d", run.dag_run_id, message)
    assert (await runtime.control.run_wait(run.run_id, 60)).state == "success"
    assert await result(runtime, run) == [1, {"n": 2}, True, "fine", "nobody"]


@pytest.mark.parametrize("cleared", [True, False])
async def test_what_was_begun_is_undone_before_the_task_starts_anew(start: StartRuntime, cleared: bool) -> None:
    story: list[str] = []
    opened = gate("undo")
    with DAG("d", schedule=None) as dag:

        @task(durable=True)
        async def work(ctx: Context) -> None:
            async def submit() -> str:
                story.append("submit")
                return f"job {story.count('submit')}"

            async def stop(job: str) -> None:
                story.append(f"stop {job}")

            job = await ctx.step("submit", submit)
            ctx.on_cancel(stop, job)
            await ctx.wait_for(Gate(name="undo"))
            story.append(f"done {job}")

        work()
    runtime = await start(dag)
    run = await began(runtime)
    await in_state(runtime, run, "deferred")
    if cleared:
        await runtime.control.instances_clear("d", run.dag_run_id, ["work"])

        async def again() -> bool:
            return story.count("submit") == 2

        await until(runtime, again)
        opened.set()
        assert (await runtime.control.run_wait(run.run_id, 60)).state == "success"
        assert story == ["submit", "stop job 1", "submit", "done job 2"]
    else:
        await runtime.control.run_cancel("d", run.dag_run_id)
        await in_state(runtime, run, "failed")
        assert story == ["submit", "stop job 1"]


async def test_a_job_elsewhere_is_submitted_once_and_asked_until_it_is_done(start: StartRuntime) -> None:
    story: list[str] = []
    with DAG("d", schedule=None) as dag:

        @task(durable=True)
        async def work(ctx: Context) -> Any:
            async def submit(size: int) -> str:
                story.append("submit")
                return f"job of {size}"

            async def poll(job: str) -> str | None:
                story.append("poll")
                return f"{job} is done" if story.count("poll") == 4 else None

            return await ctx.submit_once(submit, 3, poll=poll, interval=0.01)

        work()
    runtime = await start(dag)
    run = await run_to_end(runtime, "d")
    assert await result(runtime, run) == "job of 3 is done"
    assert story == ["submit"] + ["poll"] * 4


@pytest.mark.parametrize("known", [None, "job 7", "never"])
async def test_a_step_that_may_run_once_only(start: StartRuntime, known: str | None) -> None:
    runs: list[int] = []
    with DAG("d", schedule=None) as dag:

        @task(retries=1, retry_delay=0)
        async def work(ctx: Context) -> str:
            async def pay() -> str:
                runs.append(1)
                if len(runs) == 1:
                    raise ConnectionError("the answer never came")
                return "paid"

            async def find() -> str | None:
                return None if known == "never" else known

            return await ctx.step("pay", pay, once=True, lookup=find if known else None)

        work()
    runtime = await start(dag)
    run = await run_to_end(runtime, "d")
    if known is None:
        assert run.state == "failed"
        assert "not known whether it was done" in await why(runtime, run, "work")
    else:
        assert await result(runtime, run) == ("paid" if known == "never" else known)
    assert len(runs) == (2 if known == "never" else 1)


async def test_mistakes_are_named(start: StartRuntime) -> None:
    said: list[str] = []
    with DAG("d", schedule=None) as dag:

        @task(retries=1, retry_delay=0)
        async def work(ctx: Context) -> None:
            async def same(n: int) -> int:
                return n

            await ctx.step("a", same, len(said))
            for call in (lambda: ctx.step("a", same, 0), lambda: ctx.wait_for(signal("x"))):
                try:
                    await call()
                except Exception as error:
                    said.append(str(error))
            raise ValueError("again")

        work()
    runtime = await start(dag)
    run = await run_to_end(runtime, "d")
    assert "step 'a' is taken twice" in said[0]
    assert "only a task with durable=True" in said[1]
    assert "was taken with other arguments before" in await why(runtime, run, "work")


async def test_the_first_strand_that_fails_ends_the_others(start: StartRuntime) -> None:
    gate("closed")
    taken: list[str] = []
    with DAG("d", schedule=None) as dag:

        @task(durable=True)
        async def work(ctx: Context) -> list[Any]:
            async def broken() -> None:
                taken.append("broken")
                raise ValueError("no luck")

            return await ctx.gather(ctx.sleep(3600), ctx.wait_for(Gate(name="closed")), ctx.step("broken", broken))

        work()
    runtime = await start(dag)
    run = await run_to_end(runtime, "d")
    assert run.state == "failed"
    assert "no luck" in await why(runtime, run, "work")
    assert taken == ["broken"]


async def _nothing() -> None: ...


async def _asked(job: object) -> None: ...


def _calls(ctx: Context) -> dict[str, Callable[[], Any]]:
    """Mistakes in calls, each under the message that is to be told."""
    no_function: Any = 5
    return {
        "step 'coro': give the function and its arguments": lambda: ctx.step("coro", cast("Any", _nothing())),
        "step 'five': a function is needed, not 5": lambda: ctx.step("five", no_function),
        "ctx.on_cancel: a function is needed": lambda: ctx.on_cancel(no_function),
        "ctx.submit_once: interval: a duration": lambda: ctx.submit_once(_nothing, poll=_asked, interval=-1),
        "ctx.submit_once: poll: a function": lambda: ctx.submit_once(_nothing, poll=no_function),
        "one by one, or *list in place of list": lambda: ctx.gather(cast("Any", [_nothing, _nothing])),
        "ctx.gather takes coroutines": lambda: ctx.gather(_nothing(), no_function),
        "ctx.sleep: a duration": lambda: ctx.sleep(-1),
        "ctx.wait_for: timeout: a duration": lambda: ctx.wait_for(signal("x"), timeout=-1),
        "make one of it: call the class": lambda: ctx.wait_for(cast("Any", Gate)),
        "the default has to be of the form Approve, not 5": lambda: ctx.ask(Approve, default=cast("Any", 5)),
    }


async def test_wrong_calls_say_what_is_wrong(start: StartRuntime) -> None:
    told: dict[str, str] = {}
    with DAG("d", schedule=None) as dag:

        @task(durable=True)
        async def work(ctx: Context) -> None:
            for said, call in _calls(ctx).items():
                try:
                    made = call()
                    if made is not None:
                        await made
                except AuthoringError as error:
                    told[said] = str(error)

        work()
    runtime = await start(dag)
    await run_to_end(runtime, "d")
    assert [said for said, error in told.items() if said not in error] == []
    assert len(told) == 11


def test_a_plain_task_cannot_be_durable() -> None:
    def plain() -> None: ...

    with pytest.raises(AuthoringError, match=r"task_id: plain\) of DAG 'd': durable=True is for async tasks"), DAG("d"):
        task(durable=True)(plain)()
    with DAG("e", default_args={"durable": True}) as dag:
        task(plain)()
    assert dag.task_ids == ["plain"]


async def test_a_wait_that_takes_too_long(start: StartRuntime) -> None:
    gate("closed")
    with DAG("d", schedule=None) as dag:

        @task(durable=True)
        async def work(ctx: Context) -> str:
            try:
                await ctx.wait_for(Gate(name="closed"), timeout=timedelta(seconds=0.05))
            except TimeoutError as late:
                return str(late)
            return "?"

        @task(durable=True, execution_timeout=timedelta(seconds=0.1))
        async def limited(ctx: Context) -> None:
            await ctx.wait_for(Gate(name="closed"))

        @task(durable=True, execution_timeout=timedelta(seconds=0.1))
        async def sleeps(ctx: Context) -> None:
            await ctx.sleep(timedelta(hours=1))

        work()
        limited()
        sleeps()
    runtime = await start(dag)
    run = await run_to_end(runtime, "d")
    assert (
        await result(runtime, run)
        == "task 'work' of DAG 'd': the event of the trigger tests.durable_gate did not come in time"
    )
    assert "execution_timeout" in await why(runtime, run, "limited")
    assert "execution_timeout" in await why(runtime, run, "sleeps")


async def test_what_takes_too_long_while_it_waits_is_undone(start: StartRuntime) -> None:
    taken: list[str] = []
    with DAG("d", schedule=None) as dag:

        @task(durable=True, execution_timeout=timedelta(seconds=0.1))
        async def work(ctx: Context) -> None:
            ctx.on_cancel(taken.append, "undone")
            try:
                await ctx.wait_for(signal("never"))
            finally:
                if not ctx.suspending:
                    taken.append("finally")

        work()
    runtime = await start(dag)
    run = await run_to_end(runtime, "d")
    assert "has passed while the task waited for the signal 'never'" in await why(runtime, run, "work")
    assert taken == ["finally", "undone"]


async def test_a_task_that_does_not_let_itself_be_suspended_fails(start: StartRuntime) -> None:
    with DAG("d", schedule=None) as dag:

        @task(durable=True)
        async def work(ctx: Context) -> str:
            with contextlib.suppress(BaseException):
                await ctx.wait_for(signal("approved"))
            return "approved"

        work()
    runtime = await start(dag)
    run = await run_to_end(runtime, "d")
    assert "has swallowed the CancelledError" in await why(runtime, run, "work")
