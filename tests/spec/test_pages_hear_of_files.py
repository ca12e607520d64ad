"""What pages that are open hear of while DAG files come, change, break and go."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.spec.running_system import SECONDS, running_system

pytestmark = pytest.mark.blocks_the_loop

FILE = "from tradewind import DAG\nfor name in ('one', 'two'):\n    globals()[name] = DAG(name, schedule=None)\n"


async def test_of_new_dags_of_errors_and_of_what_is_gone(tmp_path: Path, database_url: str) -> None:
    async with running_system(tmp_path, database_url) as system, asyncio.timeout(SECONDS):
        events = system.runtime.control.live_events()
        waiting = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)  # it listens
        system.write(FILE)
        heard: set[tuple[str, bool]] = set()
        kinds: set[str] = set()

        async def next_one() -> None:
            nonlocal waiting
            event = await waiting
            waiting = asyncio.ensure_future(anext(events))
            kinds.add(event.kind)
            if event.dag is not None:
                heard.add((event.dag_id, event.dag.is_active))

        while heard != {("one", True), ("two", True)}:
            await next_one()
        kinds.clear()
        system.write(f"{FILE}1 / 0\n")
        while "import_errors" not in kinds:
            await next_one()
        assert len(await system.runtime.control.reads.import_error_list()) == 1
        system.write(FILE.replace("'two'", "'three'"))
        while not {("three", True), ("two", False)} <= heard:
            await next_one()
        waiting.cancel()
