# pyright: reportUnusedExpression=false
"""What people can wish of a running runtime, and what it does by itself."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.services.conftest import StartRuntime, run_to_end, until
from tradewind import DAG, task
from tradewind.config import load_config
from tradewind.control_ports import TriggerRequest
from tradewind.host import Parts, Runtime
from tradewind.model.errors import ConflictError, DagPausedError, NotFoundError, ParamValidationError
from tradewind.model.rows import PoolRow
from tradewind.ports import RunFilter
from tradewind.store.memory import MemoryStore
from tradewind_executors.inline import InlineExecutor


async def finished(runtime: Runtime, dag_id: str, **wish: Any) -> str:
    """Triggers a run and returns its final state."""
    return (await run_to_end(runtime, dag_id, **wish)).state.value


async def states(runtime: Runtime, dag_id: str, dag_run_id: str) -> dict[str, str]:
    run = await runtime.control.reads.run_get(dag_id, dag_run_id)
    assert run is not None
    return {row.task_id: row.state.value for row in await runtime.control.reads.instance_list(run.run_id)}


@pytest.mark.spec("1:C6", "3:G06")
async def test_values_flow_between_sync_and_async_tasks(start: StartRuntime) -> None:
    seen: list[object] = []
    with DAG("flow", schedule=None) as dag:

        @task
        async def one() -> int:
            return 1

        @task
        def two(value: int) -> list[int]:
            return [value, 2]

        @task
        async def three(values: list[int]) -> None:
            seen.extend(values)

        three(two(one()))
    runtime = await start(dag)
    assert await finished(runtime, "flow") == "success"
    assert seen == [1, 2]


async def test_a_wish_that_cannot_be_says_why(start: StartRuntime) -> None:
    with DAG("d", schedule=None, params={"n": 1}, is_paused_upon_creation=True) as dag:

        @task
        async def nothing() -> None: ...

        nothing()
    control = (await start(dag)).control
    with pytest.raises(NotFoundError, match="'nowhere'"):
        await control.run_trigger(TriggerRequest("nowhere"))
    with pytest.raises(DagPausedError, match="'d' is paused"):
        await control.run_trigger(TriggerRequest("d"))
    await control.dag_pause("d", paused=False)
    await control.run_trigger(TriggerRequest("d", dag_run_id="once"))
    with pytest.raises(ConflictError, match="'once'"):
        await control.run_trigger(TriggerRequest("d", dag_run_id="once"))
    with pytest.raises(NotFoundError, match="no run 'twice'"):
        await control.run_cancel("d", "twice")
    with pytest.raises(NotFoundError, match="no task 'other'"):
        await control.instances_clear("d", "once", ["other"])


async def test_a_conf_that_does_not_fit_the_params_makes_no_run(start: StartRuntime) -> None:
    from tradewind import Param

    with DAG("d", schedule=None, params={"n": Param(1, type="integer")}) as dag:

        @task
        async def nothing() -> None: ...

        nothing()
    control = (await start(dag)).control
    with pytest.raises(ParamValidationError, match="'n'"):
        await control.run_trigger(TriggerRequest("d", {"n": "many"}, unpause=True))
    assert await control.reads.run_list(RunFilter("d")) == ([], 0)


@pytest.mark.spec("3:B19")
async def test_a_paused_dag_starts_nothing_and_goes_on_when_unpaused(start: StartRuntime) -> None:
    gate = asyncio.Event()
    began = asyncio.Event()
    with DAG("d", schedule=None) as dag:

        @task
        async def first() -> None:
            began.set()
            await gate.wait()

        @task
        async def second() -> None: ...

        first() >> second()
    runtime = await start(dag)
    run = await runtime.control.run_trigger(TriggerRequest("d", unpause=True))
    await began.wait()
    await runtime.control.dag_pause("d", paused=True)
    gate.set()
    with pytest.raises(TimeoutError):
        await runtime.control.run_wait(run.run_id, 0.3)
    assert (await runtime.control.why_waiting("d", run.dag_run_id, "second"))[0] == "the DAG is paused"
    assert (await states(runtime, "d", run.dag_run_id))["first"] == "success"
    await runtime.control.dag_pause("d", paused=False)
    assert (await runtime.control.run_wait(run.run_id, 60)).state == "success"


@pytest.mark.spec("1:H3", "2:B-20", "2:B-25")
async def test_clear_runs_a_task_and_what_follows_again(start: StartRuntime) -> None:
    fail = True
    calls: list[str] = []
    with DAG("d", schedule=None) as dag:

        @task
        async def before() -> None:
            calls.append("before")

        @task
        async def flaky() -> None:
            calls.append("flaky")
            if fail:
                raise ValueError("not yet")

        @task
        async def after() -> None:
            calls.append("after")

        before() >> flaky() >> after()
    runtime = await start(dag)
    assert await finished(runtime, "d", dag_run_id="r") == "failed"
    assert await states(runtime, "d", "r") == {"before": "success", "flaky": "failed", "after": "upstream_failed"}
    fail = False
    cleared = await runtime.control.instances_clear("d", "r", ["flaky"])
    assert sorted(row.task_id for row in cleared) == ["after", "flaky"]
    run = await runtime.control.reads.run_get("d", "r")
    assert run is not None
    assert (await runtime.control.run_wait(run.run_id, 60)).state == "success"
    assert calls == ["before", "flaky", "flaky", "after"]
    attempts = await runtime.control.reads.attempt_list(run.run_id, "flaky")
    assert [a.try_number for a in attempts] == [1, 2]


async def test_cancel_ends_what_runs_and_skips_the_rest(start: StartRuntime) -> None:
    began = asyncio.Event()
    ended: list[str] = []
    with DAG("d", schedule=None) as dag:

        @task
        async def forever() -> None:
            began.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("forever")

        @task
        async def never() -> None:
            ended.append("never")

        forever() >> never()
    runtime = await start(dag)
    run = await runtime.control.run_trigger(TriggerRequest("d", unpause=True))
    await began.wait()
    assert (await runtime.control.run_cancel("d", run.dag_run_id)).state == "failed"

    async def has_ended() -> bool:
        return (await states(runtime, "d", run.dag_run_id))["forever"] == "failed"

    await until(runtime, has_ended)
    assert ended == ["forever"]
    assert await states(runtime, "d", run.dag_run_id) == {"forever": "failed", "never": "skipped"}


@pytest.mark.spec("2:B-30", "2:B-32", "2:U22", "3:S04", "3:UC9")
async def test_a_pool_is_never_exceeded(start: StartRuntime) -> None:
    running = most = 0
    with DAG("d", schedule=None) as dag:
        for k in range(12):

            @task(task_id=f"t{k}", pool="narrow")
            async def step() -> None:
                nonlocal running, most
                running += 1
                most = max(most, running)
                for _ in range(5):
                    await asyncio.sleep(0)
                running -= 1

            step()
    runtime = await start(dag)
    await runtime.pool_set(PoolRow("narrow", 3))
    assert await finished(runtime, "d") == "success"
    assert most == 3


@pytest.mark.spec("1:S10", "1:S13")
async def test_missed_intervals_are_caught_up_in_order(start: StartRuntime) -> None:
    began = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=5)
    order: list[str] = []
    last = began + timedelta(days=4)  # also when midnight comes meanwhile
    with DAG("daily", schedule="@daily", start_date=began, end_date=last, catchup=True, max_active_runs=1) as dag:

        @task(depends_on_past=True)
        async def note(ds: Any = None) -> None:
            order.append(ds)

        note()
    runtime = await start(dag)
    await runtime.control.dag_pause("daily", paused=False)

    async def all_ran() -> bool:
        return len(order) == 5

    await until(runtime, all_ran)
    assert order == [(began + timedelta(days=k)).strftime("%Y-%m-%d") for k in range(5)]
    runs, total = await runtime.control.reads.run_list(RunFilter("daily", order_by="logical_date"))
    assert total == 5
    assert {run.run_type.value for run in runs} == {"scheduled"}


@pytest.mark.spec("3:G11", "3:B08")
async def test_a_run_that_failed_holds_up_the_next_one_until_it_is_cleared(start: StartRuntime) -> None:
    good = False
    with DAG("d", schedule=None) as dag:

        @task(depends_on_past=True)
        async def careful() -> None:
            if not good:
                raise ValueError("not good")

        careful()
    runtime = await start(dag)
    days = [datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2)]
    assert await finished(runtime, "d", logical_date=days[0], dag_run_id="one") == "failed"
    second = await runtime.control.run_trigger(TriggerRequest("d", logical_date=days[1]))
    with pytest.raises(TimeoutError):
        await runtime.control.run_wait(second.run_id, 0.3)
    good = True
    await runtime.control.instances_clear("d", "one", ["careful"])
    assert (await runtime.control.run_wait(second.run_id, 60)).state == "success"


async def test_another_runtime_goes_on_where_one_died(start: StartRuntime) -> None:
    began = asyncio.Event()
    gate = asyncio.Event()
    tries: list[int] = []
    with DAG("d", schedule=None) as dag:

        @task
        async def first() -> int:
            return 7

        @task
        async def second(value: int, ti: Any = None) -> int:
            tries.append(ti.try_number)
            began.set()
            await gate.wait()
            return value + 1

        second(first())
    dying = await start(dag)
    run = await dying.control.run_trigger(TriggerRequest("d", unpause=True))
    await began.wait()
    heir = await start(dag)
    lease = heir.services.scheduler.lease
    (peer,) = (await heir.services.store.runtime_beat(lease)).peers
    assert await heir.services.store.runtime_bury(peer.runtime_id, peer.beat)
    gate.set()
    ended = await heir.control.run_wait(run.run_id, 60)
    assert ended.state == "success"
    assert tries == [1, 1]  # a try whose runtime died uses up no retry
    attempts = await heir.control.reads.attempt_list(run.run_id, "second")
    assert [str(a.kind) for a in attempts] == ["lost", "success"]


async def test_wishes_for_another_runtimes_dag_go_by_mail(start: StartRuntime) -> None:
    with DAG("d", schedule=None) as dag:

        @task
        async def nothing() -> None: ...

        nothing()
    owner = await start(dag)
    other = await start()
    assert owner.services.scheduler.book.dags
    assert not other.services.scheduler.book.dags
    run = await other.control.run_trigger(TriggerRequest("d", {"n": 1}, unpause=True))
    assert (await other.control.run_wait(run.run_id, 60)).state == "success"
    with pytest.raises(ConflictError):
        await other.control.run_trigger(TriggerRequest("d", dag_run_id=run.dag_run_id))
    assert await other.control.why_waiting("d", run.dag_run_id, "nothing") == ("its run has ended: success",)
    assert (await other.control.dag_pause("d", paused=True)).is_paused
    with pytest.raises(DagPausedError):
        await other.control.run_trigger(TriggerRequest("d"))


async def test_a_wish_about_a_run_that_ends_meanwhile_is_carried_out(start_on_each: StartRuntime) -> None:
    """However many turns of the loop lie between the run's begin and the wish."""
    with DAG("empty", schedule=None) as dag:
        pass
    runtime = await start_on_each(dag)
    for turns in range(30):
        run = await runtime.control.run_trigger(TriggerRequest("empty", unpause=True))
        await asyncio.sleep(turns / 5000)
        await runtime.control.run_cancel("empty", run.dag_run_id)


@pytest.mark.blocks_the_loop  # the configuration is read on it
async def test_the_time_to_drain_is_one_for_all_executors(tmp_path: Path) -> None:
    """Each lets its attempts end while the others do."""
    stopping = asyncio.Barrier(2)

    class Meeting(InlineExecutor):
        async def stop(self, *, drain: timedelta | None) -> None:
            async with asyncio.timeout(30):
                await stopping.wait()
            await super().stop(drain=drain)

    parts = Parts(store=MemoryStore(), executors={"inline": Meeting(), "local": Meeting()}, watch_files=False)
    async with Runtime(load_config(tmp_path, environ={}), parts=parts):
        pass
    assert stopping.n_waiting == 0
