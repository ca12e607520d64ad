"""Events that were acknowledged are in one run of each DAG that waits for them, however often the daemon is killed."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientError, ClientSession

from tests.acceptance.standalone import SECONDS, Standalone, standalone
from tests.web.conftest import basic

DAGS = """
from tradewind import DAG, EventSchedule, task

with DAG("each", schedule=EventSchedule("orders"), max_active_runs=4, is_paused_upon_creation=False):
    @task
    async def look(params=None):
        return params["n"]
    look()

with DAG("together", schedule=EventSchedule("orders", debounce=0.2, max_wait=1), is_paused_upon_creation=False):
    @task
    async def count(triggering_asset_events=None):
        return sum(len(found) for found in triggering_asset_events.values())
    count()
"""

EVENTS = 90
KILLED_AFTER = (20, 50)
"""How many events are acknowledged when the daemon is killed, each time with some on their way."""


class Shop:
    """Posts events, each until it is acknowledged, whatever happens to the daemon."""

    def __init__(self) -> None:
        self.to_post = list(range(EVENTS))
        self.acknowledged: set[int] = set()
        self.halt_after = 0
        self.enough = asyncio.Event()
        """Set when `halt_after` are acknowledged."""

    async def post(self, api: ClientSession) -> None:
        """Five at a time, until all are acknowledged or the daemon is gone."""

        async def one_after_the_other() -> None:
            while self.to_post:
                n = self.to_post.pop()
                try:
                    body = {"name": "orders", "key": f"order-{n}", "payload": {"n": n}}
                    async with api.post("events", json=body) as answer:
                        assert answer.status in (200, 202), await answer.text()
                except (ClientError, OSError):
                    self.to_post.append(n)
                    return
                self.acknowledged.add(n)
                if len(self.acknowledged) >= self.halt_after:
                    self.enough.set()

        await asyncio.gather(*(one_after_the_other() for _ in range(5)))


async def all_of(api: ClientSession, path: str, **query: str) -> Any:
    async with api.get(path, params=query) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def taken_by(api: ClientSession, dag_id: str) -> Counter[int]:
    """How often each event is in a run of the DAG, once nothing waits and all runs have ended well."""
    async with asyncio.timeout(SECONDS):
        while True:
            schedule = await all_of(api, f"dags/{dag_id}/eventSchedule")
            runs = (await all_of(api, f"dags/{dag_id}/dagRuns", limit="1000"))["dag_runs"]
            if schedule["waiting"] == 0 and runs and all(run["state"] == "success" for run in runs):
                break
            open_run = next((run for run in runs if run["state"] in ("queued", "running")), None)
            if open_run is not None:
                await all_of(api, f"dags/{dag_id}/dagRuns/{open_run['dag_run_id']}/wait", timeout="5")
    found: Counter[int] = Counter()
    for run in runs:
        events = await all_of(api, f"dags/{dag_id}/dagRuns/{run['dag_run_id']}/upstreamAssetEvents")
        found.update(event["extra"]["n"] for event in events["asset_events"])
    return found


async def wait_for_dags(api: ClientSession) -> None:
    async with asyncio.timeout(SECONDS):
        while True:
            if (await all_of(api, "dags"))["total_entries"] == 2:
                return


def api_of(system: Standalone, login: tuple[str, str]) -> ClientSession:
    return ClientSession(f"{system.url.rstrip('/')}/api/v1/", headers=basic(*login))


@pytest.mark.slow
async def test_events_survive_kills(own_home: Path) -> None:
    def prepare() -> None:
        (own_home / "dags").mkdir()
        (own_home / "dags" / "orders.py").write_text(DAGS)

    await asyncio.to_thread(prepare)
    variables = {"TRADEWIND__DAGS__LOAD_EXAMPLES": "false"}
    shop = Shop()
    login = ("", "")
    for limit in KILLED_AFTER:
        async with standalone(own_home, **variables) as system:
            login = login if login[0] else system.login
            async with api_of(system, login) as api:
                await wait_for_dags(api)
                shop.halt_after = limit
                shop.enough.clear()
                posting = asyncio.ensure_future(shop.post(api))
                async with asyncio.timeout(SECONDS):
                    await shop.enough.wait()
                system.process.kill()
                await system.process.wait()
                await posting
    async with standalone(own_home, **variables) as system, api_of(system, login) as api:
        await wait_for_dags(api)
        await shop.post(api)
        assert shop.acknowledged == set(range(EVENTS))
        once = Counter(range(EVENTS))
        assert await taken_by(api, "each") == once
        assert await taken_by(api, "together") == once
