"""Many waits at once: as tasks of their own, and inside one task."""

from __future__ import annotations

import asyncio
import time

from tradewind import DAG, task

with DAG(
    "example_02_fan_out",
    "Many waits at once, on one event loop",
    schedule=None,
    max_active_tasks=32,
    tags=["example"],
    is_paused_upon_creation=False,
    doc_md="""
### Fan-out

Twenty `async def` tasks wait half a second each, all at the same time: the run takes little more than half a
second. `ask_many` does the same inside one task with `asyncio.gather`. Use separate tasks where each piece should
have its own state, log and retries, and one task where only the whole matters.
""",
):

    @task
    async def ask(number: int) -> int:
        """Stands for a question to some service that takes half a second to answer."""
        await asyncio.sleep(0.5)
        return number * number

    @task
    async def ask_many(count: int) -> int:
        """The same questions inside one task, at most ten at a time."""
        free = asyncio.Semaphore(10)

        async def one(number: int) -> int:
            async with free:
                await asyncio.sleep(0.1)
                return number * number

        began = time.monotonic()
        answers = await asyncio.gather(*(one(number) for number in range(count)))
        print(f"{count} answers after {time.monotonic() - began:.1f} s")
        return sum(answers)

    @task
    async def add_up(answers: list[int], together: int) -> int:
        """Both ways come to the same sum."""
        print(f"tasks of their own: {sum(answers)}, one task: {together}")
        if sum(answers) != together:
            raise ValueError(f"{sum(answers)} and {together} should be equal")
        return together

    add_up([ask(number) for number in range(20)], ask_many(20))
