# pyright: basic, reportUnnecessaryTypeIgnoreComment=error
"""Mistakes that a type checker must find: each ignored line is reported again if it became legal.

mypy reads it too, with `warn_unused_ignores`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from tradewind import DAG, BashOperator, EmptyOperator, EventSchedule, PythonOperator, Runtime, Webhook, resource, task
from tradewind_providers.http import HttpOperator, HttpSensor


@task
def count(word: str, times: int = 1) -> int:
    return len(word) * times


@resource
async def place(name: str) -> AsyncIterator[int]:
    yield len(name)


def never_called() -> None:
    place(5)  # type: ignore[arg-type]
    place()  # type: ignore[call-arg]
    HttpOperator(task_id="a", endpont="x")  # type: ignore[call-arg]
    HttpOperator(task_id="a", method=5)  # type: ignore[arg-type]
    HttpSensor(task_id="a")  # type: ignore[call-arg]
    DAG(1)  # type: ignore[arg-type]
    DAG("d", retries=1)  # type: ignore[call-arg]
    DAG("d", max_active_runs="many")  # type: ignore[arg-type]
    EmptyOperator(task_id=1)  # type: ignore[arg-type]
    EmptyOperator()  # type: ignore[call-arg]
    EmptyOperator(task_id="a", retrys=1)  # type: ignore[call-arg]
    EmptyOperator(task_id="a", retries="1")  # type: ignore[arg-type]
    BashOperator(task_id="a")  # type: ignore[call-arg]
    PythonOperator(task_id="a", python_callable=5)  # type: ignore[arg-type]
    count.override(retries="2")  # type: ignore[arg-type]
    task(retrys=1)(len)  # type: ignore[call-overload]
    task.bash(poke_interval=5)(str)  # type: ignore[call-overload]
    task.sensor(mode="wait")(bool)  # type: ignore[call-overload]
    task.bash(len)  # type: ignore[arg-type]
    count.expand(word=5)  # type: ignore[arg-type]
    count.expand(["a"])  # type: ignore[call-arg]
    count.expand_kwargs([5])  # type: ignore[list-item]
    BashOperator.partial(task_id="a").expand(bash_command=5)  # type: ignore[arg-type]
    EventSchedule(5)  # type: ignore[arg-type]
    EventSchedule("a", debounce="5s")  # type: ignore[arg-type]
    Webhook("variable:a", style="gitlab")  # type: ignore[arg-type]
    Runtime(dags=[5])  # type: ignore[list-item]
    EmptyOperator(task_id="a") >> 5  # type: ignore[type-var]
    EmptyOperator(task_id="a") >> "b"  # type: ignore[type-var]
