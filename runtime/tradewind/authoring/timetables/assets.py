"""Schedules by assets, alone or beside the clock."""

from __future__ import annotations

from typing import Any, ClassVar

from tradewind.authoring.assets import BaseAsset, asset_schedule, same_kind
from tradewind.authoring.timetables.base import Timetable
from tradewind.model.errors import AuthoringError
from tradewind.model.specs import Json
from tradewind.rules.timetables import Timetable as Arithmetic
from tradewind.rules.timetables import timetable_of
from tradewind.rules.timetables.custom import is_custom


class AssetTriggeredTimetable(Timetable):
    """A run whenever the assets of a condition have changed since the run before."""

    kind: ClassVar[str] = "assets"

    def __init__(self, assets: object) -> None:
        self.asset_condition = _condition(type(self).__name__, assets)

    def arguments(self) -> dict[str, Json]:
        """See Timetable."""
        word = same_kind(self.asset_condition.leaves())
        return {"condition": self.asset_condition.condition(), "word": word}


class AssetOrTimeSchedule(AssetTriggeredTimetable):
    """A run whenever the timetable says so, and whenever the assets have changed."""

    kind: ClassVar[str] = "assets_or_time"

    def __init__(self, *, timetable: Timetable, assets: object) -> None:
        super().__init__(assets)
        given: Any = timetable
        if not isinstance(given, Timetable):
            raise AuthoringError(f"{type(self).__name__}: timetable= has to be a timetable, not {given!r}")
        self.timetable = timetable

    def arguments(self) -> dict[str, Json]:
        """See Timetable."""
        inner = self.timetable.to_spec()
        return {**super().arguments(), "timetable": {"kind": inner.kind, "args": dict(inner.args)}}

    @property
    def arithmetic(self) -> Arithmetic:
        """What computes the runs by the clock: where the timetable is a class of one's own, that class."""
        return self.timetable.arithmetic if is_custom(self.to_spec()) else timetable_of(self.to_spec())

    @property
    def summary(self) -> str:
        """The short text of lists."""
        return self.to_spec().summary

    @property
    def description(self) -> str:
        """A sentence."""
        return self.to_spec().description


class DatasetOrTimeSchedule(AssetOrTimeSchedule):
    """`AssetOrTimeSchedule` by its older name."""

    def __init__(self, *, timetable: Timetable, datasets: object) -> None:
        super().__init__(timetable=timetable, assets=datasets)


def _condition(owner: str, assets: object) -> BaseAsset:
    condition = asset_schedule(assets)
    if condition is None:
        raise AuthoringError(f"{owner}: assets= has to be an asset, a list of assets or a condition, not {assets!r}")
    return condition
