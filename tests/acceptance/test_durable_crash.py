"""A durable task whose system is killed where it waits, and where it takes a step."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from tests.acceptance.standalone import standalone

WAITS = """
from pathlib import Path

from tradewind import DAG, task
from tradewind.standard.file_triggers import FileTrigger

HERE = Path(__file__).parent.parent


def say(word):
    with (HERE / "said").open("w") as pipe:
        pipe.write(word + "\\n")
    return word


def end(context):
    say("end")


with DAG("waits", schedule=None, is_paused_upon_creation=False, on_success_callback=end):

    @task(durable=True)
    async def work(ctx):
        first = await ctx.step("first", say, "first")
        await ctx.wait_for(FileTrigger(filepath=str(HERE / "go")))
        second = await ctx.step("second", say, "second")
        await ctx.sleep(0.1)
        return [first, second, await ctx.step("third", say, "third")]

    work()
"""


async def _said(pipe: Path) -> str:
    """The next word of the task, which waits until it is read."""
    return await asyncio.to_thread(lambda: pipe.read_text().strip())


async def test_it_goes_on_where_it_stood(own_home: Path) -> None:
    """Each step is taken once, but for the one that was cut off before its result was kept."""
    pipe = own_home / "said"

    def prepare() -> None:
        (own_home / "dags").mkdir()
        (own_home / "dags" / "waits.py").write_text(WAITS)
        os.mkfifo(pipe)

    await asyncio.to_thread(prepare)
    async with asyncio.timeout(270):
        async with standalone(own_home) as system:
            done = await system.tradewind("dags", "trigger", "waits", "--run-id", "it")
            assert done.code == 0, done.errors
            assert await _said(pipe) == "first"
            system.process.kill()
            await system.process.wait()
        async with standalone(own_home) as system:
            await asyncio.to_thread((own_home / "go").touch)
            word = await _said(pipe)
            if word == "first":  # killed before its result was kept
                word = await _said(pipe)
            assert word == "second"
            system.process.kill()
            await system.process.wait()
        async with standalone(own_home) as system:
            word = await _said(pipe)
            if word == "second":
                word = await _said(pipe)
            assert word == "third"
            assert await _said(pipe) == "end"
            done = await system.tradewind("tasks", "states-for-dag-run", "waits", "it")
            assert "success" in done.output, done.output + done.errors
