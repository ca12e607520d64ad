"""A whole runtime over its own PostgreSQL: what a user would see when things die."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.pipes import pipe_at
from tradewind.config import load_config
from tradewind.control_ports import TriggerRequest
from tradewind.host import Runtime

CHAIN = """
import asyncio, os, signal
from pathlib import Path
from tradewind import DAG, task

PID_FILE = Path(__file__).parents[1] / "postgres" / "data" / "postmaster.pid"

with DAG("chain", schedule=None, is_paused_upon_creation=False):
    before = None
    for k in range(30):
        @task(task_id=f"t{k:02}")
        async def step(number=k):
            if number == 10:
                text = await asyncio.to_thread(PID_FILE.read_text)
                os.kill(int(text.split()[0]), signal.SIGKILL)  # in the midst of the run
            await asyncio.sleep(0.01)
        now = step()
        if before is not None:
            before >> now
        before = now
"""

CALLBACKS = """
import os, signal
from pathlib import Path
from tradewind import DAG, task

SAID = Path(__file__).parent.parent / "said"

def note(context):
    with SAID.open("w") as out:
        print(context["dag_run"].run_id, context.get("reason") or context["ti"].task_id, file=out)

with DAG("doomed", schedule=None, is_paused_upon_creation=False, on_failure_callback=note):
    @task(on_failure_callback=note)
    def shot():
        os.kill(os.getpid(), signal.SIGKILL)
    shot()
"""


@asynccontextmanager
async def running(home: Path, **files: str) -> AsyncGenerator[Runtime]:
    """A runtime with these DAG files (name to text) loaded."""

    def prepare() -> None:
        (home / "dags").mkdir(exist_ok=True)
        for name, text in files.items():
            (home / "dags" / f"{name}.py").write_text(text)

    await asyncio.to_thread(prepare)
    config = await asyncio.to_thread(load_config, home, overrides={"dags.load_examples": False}, environ={})
    async with Runtime(config) as runtime:
        await runtime.files_loaded()
        yield runtime


async def test_a_killed_database_is_a_pause(own_home: Path) -> None:
    """The server comes back, the run goes on, and every task has run once."""
    async with running(own_home, chain=CHAIN) as runtime:
        run = await runtime.control.run_trigger(TriggerRequest("chain"))
        ended = await runtime.control.run_wait(run.run_id, 60)
        assert ended.state == "success"
        assert runtime.services.scheduler.committer.outages >= 1
        attempts = await runtime.control.reads.attempt_list(run.run_id)
        assert sorted(a.task_id for a in attempts) == [f"t{k:02}" for k in range(30)]
        assert {str(a.kind) for a in attempts} == {"success"}


@pytest.mark.parametrize("again", [False, True], ids=["at once", "at the next start"])
async def test_callbacks_run_where_the_task_could_not(own_home: Path, again: bool) -> None:
    """A task that was shot cannot run its own callback, nor can a run: both come from the outbox."""
    async with pipe_at(own_home / "said") as said:
        async with running(own_home, doomed=CALLBACKS) as runtime:
            if again:
                runtime.services.scheduler.on_outbox = lambda: None
            run = await runtime.control.run_trigger(TriggerRequest("doomed"))
            assert (await runtime.control.run_wait(run.run_id, 60)).state == "failed"
            text = "" if again else await _two_lines(said)
        if again:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await said.readline()
            async with running(own_home):
                text = await _two_lines(said)
    assert text.count(run.dag_run_id) == 2
    assert "killed by signal 9 (SIGKILL)" in text  # the task's own callback
    assert "a final task failed" in text  # the run's


async def _two_lines(said: asyncio.StreamReader) -> str:
    async with asyncio.timeout(60):
        return ((await said.readline()) + (await said.readline())).decode()
