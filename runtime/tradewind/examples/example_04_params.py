"""Inputs of a run: params with types, and the run's conf over them."""

from __future__ import annotations

import asyncio
from typing import Any

from tradewind import DAG, BashOperator, Param, get_current_context, task

with DAG(
    "example_04_params",
    "Inputs of a run: params and conf",
    schedule=None,
    tags=["example"],
    is_paused_upon_creation=False,
    params={
        "name": Param("world", "who is greeted", type="string", minLength=1),
        "times": Param(2, "how often", type="integer", minimum=1, maximum=10),
        "tone": Param("friendly", "how it sounds", enum=["friendly", "formal"]),
    },
    doc_md="""
### Params

The page shows a form for these when you trigger the DAG; from a shell:

    tradewind dags trigger example_04_params --conf '{"name": "crew", "times": 3}'

What does not fit (`"times": 99`) is refused with a sentence before a run exists.
""",
):

    @task
    async def greet() -> list[str]:
        """Reads params by name."""
        params: dict[str, Any] = get_current_context()["params"]
        word = {"friendly": "Hi", "formal": "Good day"}[params["tone"]]
        lines = [f"{word}, {params['name']}"] * params["times"]
        for line in lines:
            print(line)
            await asyncio.sleep(0)
        return lines

    show = BashOperator(
        task_id="show",
        bash_command='echo "$WHO was greeted {{ params.times }} times; conf was {{ dag_run.conf }}"',
        env={"WHO": "{{ params.name }}"},
        append_env=True,
    )
    greet() >> show
