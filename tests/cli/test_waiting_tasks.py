"""Tasks that wait, tried out on the command line: their waits are carried out in the command's own process."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run

pytestmark = pytest.mark.blocks_the_loop  # a command has the loop for itself

WAITS = """
from tradewind import DAG, signal, task
from tradewind.authoring.triggers import Trigger, TriggerEvent, trigger

asked = []


@trigger(kind="tests.cli.at_once")
class AtOnce(Trigger):
    word: str

    async def run(self):
        yield TriggerEvent(self.word)


with DAG("waits", schedule=None):

    @task(durable=True)
    async def durable(ctx):
        first = await ctx.step("first", lambda: print("stepping") or 1)
        await ctx.sleep(0.01)
        word = await ctx.wait_for(AtOnce(word="hello"))
        print(f"{word} after {first}")

    @task.sensor(poke_interval=0.01, timeout=10)
    async def sensor():
        asked.append(1)
        return len(asked) == 3

    @task(durable=True)
    async def alone(ctx):
        await ctx.wait_for(signal("go"))

    @task(durable=True)
    async def late(ctx):
        await ctx.wait_for(signal("go"), timeout=0.01)

    durable(), sensor(), alone(), late()
"""


@pytest.fixture(autouse=True)
def dag_file(home: Path) -> None:
    (home / "dags" / "waits.py").write_text(WAITS)


def test_steps_sleeps_and_triggers(run: Run) -> None:
    result = run("tasks", "test", "waits", "durable")
    assert result.exit_code == 0
    assert "hello after 1" in result.output
    assert result.output.count("stepping") == 1
    assert result.output.count("Pausing task as DEFERRED") == 2
    assert "Going on with attempt 1 of 1 after its wait" in result.output


def test_a_sensor_is_waited_for(run: Run) -> None:
    result = run("tasks", "test", "waits", "sensor")
    assert result.exit_code == 0
    assert "Marking task as SUCCESS" in result.output


def test_what_only_people_could_answer_fails(run: Run) -> None:
    result = run("tasks", "test", "waits", "alone")
    assert result.exit_code == 1
    assert "which nobody can answer while it is tried out" in result.output
    assert "TimeoutError" in run("tasks", "test", "waits", "late").output
