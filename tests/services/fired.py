"""Looks at what watchers have fired."""

from __future__ import annotations

from typing import Any

import orjson

from tests.services.conftest import until
from tradewind import DAG, Asset, AssetWatcher, BaseEventTrigger, EmptyOperator, Runtime
from tradewind.model.assets import AssetEventFilter


def watching(trigger: BaseEventTrigger, dag_id: str = "d", asset: str = "orders") -> DAG:
    """A DAG that is scheduled on an asset that this trigger watches."""
    with DAG(dag_id, schedule=[Asset(asset, watchers=[AssetWatcher("w", trigger)])], catchup=False) as dag:
        EmptyOperator(task_id="t")
    return dag


async def payloads(runtime: Runtime) -> list[Any]:
    """Of all events, oldest first."""
    events, _ = await runtime.control.reads.asset_event_list(AssetEventFilter())
    return [orjson.loads(event.extra)["payload"] for event in events]


async def fired(runtime: Runtime, count: int) -> list[Any]:
    """The same, once there are so many."""

    async def so_many() -> bool:
        return len(await payloads(runtime)) >= count

    await until(runtime, so_many)
    return await payloads(runtime)
