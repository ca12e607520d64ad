"""How watchers get on, through the API, over a real runtime."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from tests.web.conftest import ADMIN, HASHES, SECRET
from tradewind import DAG, Asset, AssetWatcher, BaseEventTrigger, Trigger, TriggerEvent, trigger
from tradewind.config import load_config
from tradewind.host import Parts, Runtime
from tradewind.model.rows import UserRow
from tradewind.store.memory import MemoryStore
from tradewind.web.server import WebServer
from tradewind.web.settings import WebConfig

pytestmark = pytest.mark.blocks_the_loop  # the start of a runtime reads small files on the loop


@trigger(kind="tests.once_then_broken")
class OnceThenBroken(Trigger, BaseEventTrigger):
    """Fires once and breaks."""

    async def run(self) -> AsyncIterator[TriggerEvent]:
        yield TriggerEvent(1, key="one")
        raise ValueError("the source is gone")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))


async def test_watchers_are_shown() -> None:
    watched = Asset("orders", "s3://lake/orders", watchers=[AssetWatcher("queue", OnceThenBroken())])
    store = MemoryStore()
    async with (
        Runtime(
            load_config(), parts=Parts(store=store, watch_files=False), dags=[DAG("d", schedule=[watched])]
        ) as runtime,
        WebServer(runtime.control, WebConfig(secret_key=SECRET, port=0)) as server,
        ClientSession(f"http://127.0.0.1:{server.port}/api/v1/", headers=ADMIN) as client,
    ):
        await store.user_set(UserRow("admin", HASHES["admin"], "Admin"))

        async def listed(**where: str) -> dict[str, Any]:
            async with client.get("assets/watchers", params=where) as answer:
                assert answer.status == 200, await answer.text()
                found: dict[str, Any] = await answer.json()
                return found

        async with asyncio.timeout(60):
            shown = await listed()
            async for event in runtime.control.live_events():  # what it missed comes again after the pause
                if event.kind == "watchers" and (shown := await listed())["watchers"][0]["state"] == "pausing":
                    break
        assert shown["total_entries"] == 1
        (row,) = shown["watchers"]
        assert (row["asset_uri"], row["name"], row["kind"]) == ("s3://lake/orders", "queue", "tests.once_then_broken")
        assert (row["dag_ids"], row["state"], row["events"]) == (["d"], "pausing", 1)
        assert "the source is gone" in row["last_error"]
        assert row["last_event_at"] <= row["last_error_at"] <= row["again_at"]
        assert (await listed(uri="other"))["watchers"] == []
        assert len((await listed(uri="s3://lake/orders"))["watchers"]) == 1
