"""Airflow's names for partitions: schedules, mappers of keys, windows and policies of waiting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tradewind.compat.more_names import names_of

_HOME: Final = "authoring.timetables.partitions"
_UNITS: Final = {
    "Hour": "Hourly",
    "Day": "Daily",
    "Week": "Weekly",
    "Month": "Monthly",
    "Quarter": "Quarterly",
    "Year": "Yearly",
}

_BY_FILE: Final[Mapping[str, Mapping[str, str]]] = {
    "allowed_key": names_of(_HOME, "AllowedKeyMapper"),
    "base": names_of(_HOME, "PartitionMapper", "RollupMapper"),
    "chain": names_of(_HOME, "ChainMapper"),
    "fixed_key": names_of(_HOME, "FixedKeyMapper"),
    "identity": names_of(_HOME, "IdentityMapper"),
    "product": names_of(_HOME, "ProductMapper"),
    "temporal": {
        **names_of(_HOME, "FanOutMapper", *(f"StartOf{unit}Mapper" for unit in _UNITS)),
        "_BaseTemporalMapper": f"tradewind.{_HOME}:TimeMapper",
    },
    "wait_policy": names_of(_HOME, "WaitPolicy", "WaitForAll", "MinimumCount"),
    "window": names_of(_HOME, "Window", "SegmentWindow", *(f"{unit}Window" for unit in _UNITS)),
}
_MAPPERS: Final = {
    name: place for names in _BY_FILE.values() for name, place in names.items() if not name.startswith("_")
}
_TIMES: Final = names_of(_HOME, "PartitionedAssetTimetable", "PartitionedAtRuntime")
_CRON: Final = names_of(_HOME, "CronPartitionTimetable")

PARTITIONS: Final[Mapping[str, Mapping[str, str]]] = {
    "airflow.sdk": {
        **_MAPPERS,
        **_TIMES,
        **_CRON,
        **{f"{older}Mapper": f"tradewind.{_HOME}:StartOf{unit}Mapper" for unit, older in _UNITS.items()},
    },
    "airflow.partition_mappers": _MAPPERS,
    **{f"airflow.partition_mappers.{file}": names for file, names in _BY_FILE.items()},
    **{f"airflow.sdk.definitions.partition_mappers.{file}": names for file, names in _BY_FILE.items()},
    "airflow.sdk.definitions.timetables.assets": _TIMES,
    "airflow.sdk.definitions.timetables.trigger": _CRON,
    "airflow.timetables.simple": _TIMES,
    "airflow.timetables.trigger": _CRON,
}
