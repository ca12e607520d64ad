"""Questions of an attempt about events of assets, as they travel."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import Any

from tradewind.authoring.access import TaskServices
from tradewind.model.assets import AssetEvent, AssetEventFilter

_INSTANTS = ("at", "source_interval_start", "source_interval_end")


def plain_filter(where: AssetEventFilter) -> dict[str, Any]:
    """A filter without what holds its default."""
    fields = dataclasses.fields(where)
    return {f.name: value for f in fields if (value := getattr(where, f.name)) != f.default}


def event_of(plain: dict[str, Any]) -> AssetEvent:
    """An event from what `answer_events` sent."""
    names = {f.name for f in dataclasses.fields(AssetEvent)}
    data = {name: value for name, value in plain.items() if name in names}
    for name in _INSTANTS:
        if data.get(name) is not None:
            data[name] = datetime.fromisoformat(data[name])
    data["aliases"] = tuple(data.get("aliases", ()))
    return AssetEvent(**data)


async def answer_events(services: TaskServices, args: list[Any]) -> Any:
    """The runtime's side of `asset_events`."""
    known = {f.name for f in dataclasses.fields(AssetEventFilter)}
    where = AssetEventFilter(**{name: value for name, value in args[0].items() if name in known})
    events = await services.asset_events(where)
    return [{f.name: getattr(event, f.name) for f in dataclasses.fields(event)} for event in events]
