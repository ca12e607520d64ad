"""Schedules by events from outside: what is posted to the API, what webhooks bring, what other tasks send."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

from tradewind.authoring.assets import Asset, AssetAny, BaseAsset
from tradewind.authoring.timetables.base import Timetable
from tradewind.authoring.webhook import WEBHOOK, Webhook
from tradewind.model.errors import AuthoringError
from tradewind.model.specs import Json
from tradewind.rules.event_policy import EVENT_KIND, EventPolicy


class EventSchedule(Timetable):
    """Runs for events with this name, or one of these names; each event goes into one run, and none is lost while the
    DAG is paused or has all the runs that it may have.

    An event is one of the asset with its name: tasks send it with ``outlets=[Asset("orders")]``, programs with
    ``POST /api/v1/events``. Without more arguments each event is a run of its own, with the event's payload as conf.

    Args:
        names: names of events, or assets.
        batch: the most events of one run. By default 1, or all that wait where `debounce` or `throttle` is given.
        max_wait: how long the first event waits at most for others to fill the batch, or for silence.
        debounce: the run begins when no event has come for this long.
        throttle: at least so long lies between the beginnings of two runs; what comes in between goes together.
        key: a field of the payload, as in ``"user"`` or ``"user.id"``: events go together, and wait for silence or a
            full batch, only with those that have the same value there. The run's `partition_key` is the value.
        webhook: takes the event in at ``POST /api/v1/webhooks/NAME`` too, signed as it says; for a single name.

    Raises:
        AuthoringError: no name, or a policy that cannot be.
    """

    kind: ClassVar[str] = EVENT_KIND

    def __init__(
        self,
        *names: str | Asset,
        batch: int | None = None,
        max_wait: timedelta | float | None = None,
        debounce: timedelta | float | None = None,
        throttle: timedelta | float | None = None,
        key: str | None = None,
        webhook: Webhook | None = None,
    ) -> None:
        if not names:
            raise AuthoringError("EventSchedule: name at least one event, as in EventSchedule('orders')")
        try:
            self.policy = EventPolicy(
                _count(batch),
                _seconds("max_wait", max_wait),
                _seconds("debounce", debounce),
                _seconds("throttle", throttle),
                _field(key),
            )
        except AuthoringError as error:
            raise AuthoringError(f"EventSchedule({names[0]!r}): {error.message}") from error
        if webhook is not None and len(names) > 1:
            raise AuthoringError(f"EventSchedule({names[0]!r}, …): a webhook brings one event; give it a single name")
        assets = [_asset(name, webhook) for name in names]
        self.asset_condition: BaseAsset = assets[0] if len(assets) == 1 else AssetAny(*assets)

    def arguments(self) -> dict[str, Json]:
        """See Timetable."""
        said = self.policy.to_json()
        return {"condition": self.asset_condition.condition(), "policy": self.policy.summary(), **said}


def _asset(name: object, webhook: Webhook | None) -> Asset:
    if isinstance(name, str):
        asset = Asset(name, group="event")
    elif isinstance(name, Asset):
        asset = name
    else:
        raise AuthoringError(f"EventSchedule: {name!r} is neither the name of an event nor an asset")
    if webhook is not None:
        extra = {**asset.extra, WEBHOOK: webhook.to_json()}
        asset = Asset(asset.name, asset.uri, group=asset.group, extra=extra, watchers=asset.watchers)
    return asset


def _field(key: Any) -> str | None:
    if key is not None and not isinstance(key, str):
        raise AuthoringError(f"key has to be the name of a field of the payload, not {key!r}")
    return key


def _count(batch: Any) -> int | None:
    if batch is not None and (isinstance(batch, bool) or not isinstance(batch, int)):
        raise AuthoringError(f"batch has to be a whole number, not {batch!r}")
    return batch


def _seconds(name: str, value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise AuthoringError(f"{name} has to be a timedelta or a number of seconds, not {value!r}")
    return float(value)
