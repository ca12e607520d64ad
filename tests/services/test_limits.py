"""Limits as people meet them: within a DAG, over DAGs, over runs, by priority."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime

import pytest

from tests.services.conftest import StartRuntime
from tradewind import DAG, task
from tradewind.control_ports import TriggerRequest
from tradewind.host import Runtime
from tradewind.model.keys import RunId
from tradewind.model.rows import DagRow, PoolRow
from tradewind.model.specs import DagSource, DagSpec, TaskSpec
from tradewind.rules.admission import Place, pool_limit
from tradewind.services.run_book import RunBook
from tradewind.store.memory import MemoryStore, new_database

AT = datetime(2026, 1, 1, tzinfo=UTC)


class Gauge:
    """How many bodies run at once, by name, and the most there ever were."""

    def __init__(self, full: int) -> None:
        self._lock = threading.Lock()
        self._full = full
        self._was_full = threading.Event()
        self.now: dict[str, int] = {}
        self.most: dict[str, int] = {}

    def hold(self, *names: str) -> None:
        """A body under these names: it ends when, once, as many as may be have been running together."""
        self._change(names, 1)
        self._was_full.wait(60)
        self._change(names, -1)

    def _change(self, names: tuple[str, ...], by: int) -> None:
        with self._lock:
            for name in names:
                self.now[name] = self.now.get(name, 0) + by
                self.most[name] = max(self.most.get(name, 0), self.now[name])
            if self.now["all"] == self._full:
                self._was_full.set()


def wide(dag_id: str, gauge: Gauge, width: int) -> DAG:
    """A DAG of so many tasks side by side, in threads."""
    with DAG(dag_id, schedule=None) as dag:
        for number in range(width):

            @task(task_id=f"t{number}", pool="wide")
            def body() -> None:
                gauge.hold(dag_id, "all")

            body()
    return dag


async def run_all(runtime: Runtime, *dag_ids: str) -> list[str]:
    runs = [await runtime.control.run_trigger(TriggerRequest(dag_id, unpause=True)) for dag_id in dag_ids]
    return [(await runtime.control.run_wait(run.run_id, 60)).state.value for run in runs]


@pytest.mark.spec("1:H7", "1:N9", "3:S01", "3:UC9")
async def test_sixteen_a_dag_and_thirty_two_in_all(start: StartRuntime) -> None:
    gauge = Gauge(full=32)
    names = ("first", "second", "third")
    runtime = await start(*(wide(name, gauge, 40) for name in names))
    await runtime.pool_set(PoolRow("wide", 500))
    assert await run_all(runtime, *names) == ["success"] * 3
    assert max(gauge.most[name] for name in names) == 16
    assert gauge.most["all"] == 32


@pytest.mark.spec("3:S02")
async def test_the_default_pool_has_128_slots_and_counts_everything(start: StartRuntime) -> None:
    with DAG("d", schedule=None) as dag:

        @task
        async def body() -> None: ...

        body()
    runtime = await start(dag)
    pools = {pool.name: pool.slots for pool in await runtime.control.reads.pool_list()}
    assert pools == {"default_pool": 128}
    assert dag.to_spec().tasks[0].pool == "default_pool"


@pytest.mark.spec("3:S05", "3:UC9")
async def test_a_task_may_be_capped_over_all_runs(start: StartRuntime) -> None:
    running = most = 0
    two = asyncio.Event()
    with DAG("d", schedule=None) as dag:

        @task(max_active_tis_per_dag=2)
        async def body() -> None:
            nonlocal running, most
            running += 1
            most = max(most, running)
            if running == 2:
                two.set()
            await asyncio.wait_for(two.wait(), 60)
            running -= 1

        body()
    runtime = await start(dag)
    runs = [
        await runtime.control.run_trigger(TriggerRequest("d", unpause=True, dag_run_id=f"run {number}"))
        for number in range(8)
    ]
    ends = [(await runtime.control.run_wait(run.run_id, 60)).state.value for run in runs]
    assert ends == ["success"] * 8
    assert most == 2


@pytest.mark.spec("3:S07", "3:B09")
async def test_the_weightiest_goes_first_when_slots_are_few(start: StartRuntime) -> None:
    order: list[str] = []
    with DAG("d", schedule=None) as dag:
        for name, weight in (("light", 1), ("heavy", 9), ("medium", 5)):

            @task(task_id=name, priority_weight=weight, weight_rule="absolute", pool="one")
            async def body(name: str = name) -> None:
                order.append(name)
                await asyncio.sleep(0)

            body()
    runtime = await start(dag)
    await runtime.pool_set(PoolRow("one", 1))
    assert await run_all(runtime, "d") == ["success"]
    assert order == ["heavy", "medium", "light"]


def test_a_new_version_changes_how_many_of_a_task_may_run() -> None:
    book = RunBook(MemoryStore(new_database()))
    for name in ("executor 'inline'", pool_limit("default_pool")):
        book.admission.resize(name, -1)
    admitted: list[int] = []
    for version, (limit, in_all) in enumerate(((1, 1), (3, 3), (2, 3), (None, 5))):
        task = TaskSpec("t", executor="inline", max_active_tis_per_dag=limit)
        row = DagRow("d", False, True, str(version), version, DagSource("b", "1", "d.py", "d.py"), None, None, AT)
        book.own(row, DagSpec("d", tasks=(task,)))
        if version == 0:
            for n in range(5):
                book.admission.offer(Place(RunId(n), 0), task, "d", float(n))
        admitted += [place.run_id for place in book.admission.admit()]
        assert len(admitted) == in_all
