"""DAGs that are paused after so many failed runs in a row."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.services.conftest import StartRuntime, run_to_end, until
from tradewind import DAG, task
from tradewind.authoring.defaults import use_defaults
from tradewind.config import load_config
from tradewind.control_ports import TriggerRequest
from tradewind.host import Runtime
from tradewind.model.errors import AuthoringError
from tradewind.model.states import RunState


def failing(most: int | None) -> DAG:
    """A DAG whose runs end as their conf says. None: it does not say how many may fail."""
    settings: Any = {} if most is None else {"max_consecutive_failed_dag_runs": most}
    with DAG("fails", schedule=None, **settings) as dag:

        @task
        async def end(dag_run: Any = None) -> None:
            conf: dict[str, Any] = dag_run.conf or {}
            if not conf.get("well"):
                raise RuntimeError("no")

        end()
    return dag


async def is_paused(runtime: Runtime) -> bool:
    row = await runtime.control.reads.dag_get("fails")
    assert row is not None
    return row.is_paused


async def planned(runtime: Runtime) -> None:
    """What has ended has been looked at: a run that is asked for now is made after that, under the same lock."""
    ended = await run_to_end(runtime, "fails", conf={"well": True})
    assert ended.state is RunState.SUCCESS


async def test_a_dag_is_paused_after_so_many_failed_runs(start_on_each: StartRuntime) -> None:
    runtime = await start_on_each(failing(2))
    assert (await run_to_end(runtime, "fails")).state is RunState.FAILED
    await planned(runtime)
    assert not await is_paused(runtime), "one failure is not two"
    for _ in range(2):
        assert (await run_to_end(runtime, "fails")).state is RunState.FAILED
    await until(runtime, lambda: is_paused(runtime))
    await runtime.control.dag_pause("fails", paused=False)
    await planned(runtime)
    assert not await is_paused(runtime), "whoever unpauses it knows why"


async def test_the_configuration_says_how_many_where_the_dag_does_not(start: StartRuntime, tmp_path: Path) -> None:
    environ = {"AIRFLOW__CORE__MAX_CONSECUTIVE_FAILED_DAG_RUNS_PER_DAG": "2"}
    config = await asyncio.to_thread(load_config, tmp_path, environ=environ)
    with use_defaults(config.authoring_defaults()):
        assert failing(5).max_consecutive_failed_dag_runs == 5
        assert failing(0).max_consecutive_failed_dag_runs == 2
        runtime = await start(failing(None))
    for _ in range(2):
        assert (await run_to_end(runtime, "fails")).state is RunState.FAILED
    await until(runtime, lambda: is_paused(runtime))


async def test_without_a_limit_it_goes_on(start: StartRuntime) -> None:
    runtime = await start(failing(0))
    for _ in range(3):
        run = await runtime.control.run_trigger(TriggerRequest("fails"))
        assert (await runtime.control.run_wait(run.run_id, 60)).state is RunState.FAILED
    await planned(runtime)
    assert not await is_paused(runtime)


def test_the_limit_is_a_number() -> None:
    with pytest.raises(AuthoringError, match="max_consecutive_failed_dag_runs"):
        failing(-1)
