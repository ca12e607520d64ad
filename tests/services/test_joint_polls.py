# pyright: reportUnusedExpression=false
"""Sensors with the same key share one poll."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from tests.services.conftest import StartRuntime, run_to_end, until, why
from tradewind import DAG, PokeReturnValue, PythonSensor, task
from tradewind.control_ports import TriggerRequest
from tradewind.host import Runtime
from tradewind.model.errors import AuthoringError
from tradewind.model.rows import RunRow
from tradewind.worker.joint_polls import KEPT, JointPolls


async def states(runtime: Runtime, run: RunRow) -> Counter[str]:
    return Counter(row.state.value for row in await runtime.control.reads.instance_list(run.run_id))


async def test_many_sensors_ask_once(start: StartRuntime) -> None:
    here = asyncio.Event()
    asked = Counter[str]()

    def sensing(dag_id: str) -> DAG:
        with DAG(dag_id, schedule=None, max_active_tasks=200) as dag:
            for n in range(100):

                @task.sensor(task_id=f"wait_{n}", poke_interval=600, shared_key="inbox")
                async def wait() -> PokeReturnValue:
                    asked["inbox"] += 1
                    return PokeReturnValue(here.is_set(), f"asked by {dag_id}")

                wait()

            @task.sensor(poke_interval=0.05, shared_key="in{{ 'box' }}")
            async def impatient() -> PokeReturnValue:
                asked["impatient"] += 1
                return PokeReturnValue(here.is_set(), "asked by the impatient one")

            impatient()
        return dag

    runtime = await start(sensing("one"), sensing("two"))
    runs = [await runtime.control.run_trigger(TriggerRequest(name, unpause=True)) for name in ("one", "two")]

    async def all_wait() -> bool:
        return [await states(runtime, run) for run in runs] == [Counter(deferred=101)] * 2

    await until(runtime, all_wait)
    assert asked["inbox"] <= 1
    here.set()
    for run in runs:
        assert (await runtime.control.run_wait(run.run_id, 60)).state == "success"
    assert asked["inbox"] <= 1, "those who rest are woken by the answer of another"


async def test_what_a_poll_raises_is_raised_for_all_who_wait_for_it() -> None:
    polls, gate, asked = JointPolls(), asyncio.Event(), 0

    async def poke() -> bool:
        nonlocal asked
        asked += 1
        await gate.wait()
        raise ConnectionError("no answer")

    waiting = [asyncio.ensure_future(polls.ask("k", 60, poke)) for _ in range(3)]
    await asyncio.sleep(0)
    gate.set()
    assert [type(error) for error in await asyncio.gather(*waiting, return_exceptions=True)] == [ConnectionError] * 3
    assert asked == 1
    with pytest.raises(ConnectionError):
        await polls.ask("k", 60, poke)
    assert asked == 2, "an error is no answer"


async def test_another_asks_when_the_first_is_stopped() -> None:
    polls, gate = JointPolls(), asyncio.Event()
    asked = list[str]()

    async def poke(name: str) -> str:
        asked.append(name)
        await gate.wait()
        return name

    first = asyncio.ensure_future(polls.ask("k", 60, lambda: poke("first")))
    await asyncio.sleep(0)
    second = asyncio.ensure_future(polls.ask("k", 60, lambda: poke("second")))
    third = asyncio.ensure_future(polls.ask("k", 60, lambda: poke("third")))
    await asyncio.sleep(0)
    first.cancel()
    gate.set()
    assert await second == await third == "second"
    assert asked == ["first", "second"]


async def test_keys_that_nobody_waits_for_are_forgotten() -> None:
    polls, asked = JointPolls(), 0

    async def poke() -> bool:
        nonlocal asked
        asked += 1
        return False

    for n in range(KEPT + 1):
        await polls.ask(f"k{n}", 60, poke)
    await polls.ask(f"k{KEPT}", 60, poke)
    assert asked == KEPT + 1
    await polls.ask("k0", 60, poke)
    assert asked == KEPT + 2


async def test_an_answer_that_fails_fails_the_sensors(start: StartRuntime) -> None:
    with DAG("d", schedule=None) as dag:
        for n in range(2):

            @task.sensor(task_id=f"wait_{n}", shared_key="k")
            async def wait() -> bool:
                raise ValueError("nobody is there")

            wait()
    runtime = await start(dag)
    run = await run_to_end(runtime, "d")
    assert await states(runtime, run) == Counter(failed=2)
    assert "nobody is there" in await why(runtime, run, "wait_1")


def test_keys_that_cannot_be() -> None:
    def plain() -> bool:
        return True

    async def asking() -> bool:
        return True

    cases: list[tuple[dict[str, Any], str]] = [
        ({"python_callable": plain, "shared_key": "k"}, "shared_key is for sensors whose poke is async"),
        ({"python_callable": asking, "shared_key": ""}, "a text that is not empty is needed"),
        ({"python_callable": asking, "shared_key": 5}, "a text that is not empty is needed"),
    ]
    for settings, said in cases:
        with pytest.raises(AuthoringError, match=said):
            PythonSensor(task_id="t", **settings)
