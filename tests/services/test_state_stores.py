"""State stores: what a task instance keeps across its tries, and an asset across runs and DAGs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.services.conftest import StartRuntime, run_to_end, why
from tradewind import DAG, task
from tradewind.authoring.assets import Asset, AssetRef
from tradewind.authoring.state_stores import NEVER_EXPIRE
from tradewind.model.states import RunState

ORDERS = Asset("orders", uri="s3://lake/orders")


async def test_a_task_keeps_what_it_knows_across_its_tries(start_on_each: StartRuntime) -> None:
    seen: list[Any] = []
    with DAG("jobs", schedule=None) as dag:

        @task(retries=2, retry_delay=timedelta(0))
        def submit(number: int, task_state_store: Any = None) -> None:
            seen.append((number, task_state_store.get("job", default="none")))
            task_state_store.set("job", {"id": number}, retention=NEVER_EXPIRE)
            task_state_store.set("soon", 1, retention=timedelta(microseconds=1))
            assert task_state_store.get("soon") is None
            if seen.count((number, {"id": number})) == 0:
                raise RuntimeError("the first try ends in the middle")

        submit.expand(number=[7, 8])

    runtime = await start_on_each(dag)
    run = await run_to_end(runtime, "jobs")
    assert run.state is RunState.SUCCESS
    assert sorted(seen, key=repr) == [(7, "none"), (7, {"id": 7}), (8, "none"), (8, {"id": 8})]
    seen.clear()
    await run_to_end(runtime, "jobs")
    assert (7, "none") in seen, "another run begins with nothing"


async def test_an_asset_keeps_what_tasks_of_all_dags_say(start_on_each: StartRuntime) -> None:
    seen: list[Any] = []
    with DAG("load", schedule=None) as load:

        @task(outlets=[ORDERS])
        async def produce(asset_state_store: Any = None) -> None:
            mark = await asset_state_store.aget("mark", default=0)
            await asset_state_store[ORDERS].aset("mark", mark + 1)

        produce()
    with DAG("report", schedule=None) as report:

        @task(inlets=[AssetRef(uri="s3://lake/orders")])
        def read(asset_state_store: Any = None) -> None:
            seen.append(asset_state_store.get("mark"))
            asset_state_store[ORDERS].delete("mark")
            seen.append(asset_state_store[AssetRef(uri="s3://lake/orders")].get("mark", "gone"))

        read()

    runtime = await start_on_each(load, report)
    for dag_id in ("load", "load", "report"):
        assert (await run_to_end(runtime, dag_id)).state is RunState.SUCCESS
    assert seen == [2, "gone"]


async def test_what_cannot_be_kept_is_said(start: StartRuntime) -> None:
    with DAG("wrong", schedule=None) as dag:

        @task
        def dates(task_state_store: Any = None, ts: Any = None) -> None:
            task_state_store.set("at", {"at": timedelta(1)})

        @task
        def nothing(task_state_store: Any = None) -> None:
            task_state_store.set("at", None)

        @task
        def huge(task_state_store: Any = None) -> None:
            task_state_store.set("text", "x" * 2_000_000)

        @task
        def unnamed(asset_state_store: Any = None) -> None:
            asset_state_store.get("x")

        @task(inlets=[ORDERS])
        def other(asset_state_store: Any = None) -> None:
            asset_state_store[Asset("clients")].get("x")

        @task
        async def blocks(task_state_store: Any = None) -> None:
            task_state_store.get("x")

        for each in (dates, nothing, huge, unnamed, other, blocks):
            each()

    runtime = await start(dag)
    run = await run_to_end(runtime, "wrong")
    expected = {
        "dates": "task_state_store['at']: Object of type timedelta is not JSON serializable. Values are texts",
        "nothing": "None cannot be kept; delete the key instead",
        "huge": "are too many for a state store (at most 1,048,576)",
        "unnamed": "this task has 0 assets among its inlets and outlets",
        "other": "is not among this task's inlets and outlets",
        "blocks": "an async task cannot wait for state_get without await",
    }
    for task_id, said in expected.items():
        assert said in await why(runtime, run, task_id)
