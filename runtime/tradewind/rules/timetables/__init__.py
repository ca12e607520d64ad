"""Schedule arithmetic: pure functions over `TimetableSpec`.

A spec names a *kind* and its arguments; `timetable_of` makes the timetable that answers for it.
Kinds of ours: cron_data_interval, cron_trigger, multiple_cron_trigger, delta_data_interval,
delta_trigger, once, continuous, none, events, assets, assets_or_time,
outside_events, and custom, which only a process of
its own can answer for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType

import orjson

from tradewind.model.errors import AuthoringError
from tradewind.model.specs import Json, TimetableSpec
from tradewind.rules.timetables.assets import Assets, AssetsOrTime, OutsideEvents
from tradewind.rules.timetables.base import DataInterval, RunInfo, TimeRestriction, Timetable
from tradewind.rules.timetables.custom import Custom
from tradewind.rules.timetables.interval import CronDataInterval, DeltaDataInterval
from tradewind.rules.timetables.simple import Continuous, Events, NoSchedule, Once
from tradewind.rules.timetables.trigger import CronTrigger, DeltaTrigger, MultipleCronTrigger

__all__ = ["KINDS", "DataInterval", "RunInfo", "TimeRestriction", "Timetable", "timetable_of"]


def _assets_or_time(args: Mapping[str, Json]) -> Timetable:
    return AssetsOrTime(args, lambda kind, own: timetable_of(TimetableSpec(kind, own)))


KINDS: Mapping[str, Callable[[Mapping[str, Json]], Timetable]] = MappingProxyType(
    {
        "cron_data_interval": CronDataInterval,
        "cron_trigger": CronTrigger,
        "multiple_cron_trigger": MultipleCronTrigger,
        "delta_data_interval": DeltaDataInterval,
        "delta_trigger": DeltaTrigger,
        "once": Once,
        "continuous": Continuous,
        "none": NoSchedule,
        "events": Events,
        "assets": Assets,
        "assets_or_time": _assets_or_time,
        "custom": Custom,
        "cron_partition": CronTrigger,
        "partitioned_assets": Assets,
        "outside_events": OutsideEvents,
    }
)
"""What the scheduler can evaluate by itself."""


def timetable_of(spec: TimetableSpec) -> Timetable:
    """The timetable of a spec; equal specs give the same object.

    Raises:
        AuthoringError: the kind is unknown, or its arguments cannot be read.
    """
    return _made(spec.kind, orjson.dumps(dict(spec.args), option=orjson.OPT_SORT_KEYS))


@lru_cache(maxsize=4096)
def _made(kind: str, args: bytes) -> Timetable:
    make = KINDS.get(kind)
    if make is None:
        raise AuthoringError(f"there is no timetable of the kind {kind!r}; known kinds: {', '.join(KINDS)}")
    try:
        return make(orjson.loads(args))
    except AuthoringError:
        raise
    except Exception as error:  # whatever a stored schedule holds, it is that schedule's error
        raise AuthoringError(f"timetable of the kind {kind!r}: its arguments cannot be read ({error!r})") from error
