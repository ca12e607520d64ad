"""Mappers that cut times: a key that is a time becomes the hour, day, week, month, quarter or year that it lies in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta, tzinfo
from typing import ClassVar, Final

from tradewind.model.errors import AuthoringError
from tradewind.model.specs import Json
from tradewind.rules.partition_mappers import PartitionMapper
from tradewind.rules.timetables.zones import zone_of

KEY_FORMAT: Final = "%Y-%m-%dT%H:%M:%S"


class TimeMapper(PartitionMapper):
    """A time as the part of the calendar that it lies in. A class of your own defines `normalize`."""

    expected_decoded_type: ClassVar[type] = datetime
    unit: ClassVar[str] = ""
    default_output_format: ClassVar[str] = KEY_FORMAT

    def __init__(
        self,
        timezone: str | tzinfo = "UTC",
        input_format: str = KEY_FORMAT,
        output_format: str | None = None,
        *,
        max_downstream_keys: int | None = None,
    ) -> None:
        """`input_format` is that of the keys of events, read in `timezone`; `output_format` that of the runs'."""
        super().__init__(max_downstream_keys=max_downstream_keys)
        self.timezone = str(timezone)
        self.input_format = input_format
        self.output_format = output_format or self.default_output_format

    def normalize(self, at: datetime) -> datetime:
        """Where the part of the calendar begins that a moment lies in."""
        raise AuthoringError(f"{type(self).__qualname__} cuts times without normalize(self, at): define it")

    def to_downstream(self, key: str) -> str | None:
        """See PartitionMapper. None for what is no time in `input_format`."""
        try:
            at = datetime.strptime(key, self.input_format)  # noqa: DTZ007 - the next line says which zone
        except ValueError:
            return None
        return self.format(self.normalize(self._local(at)))

    def format(self, at: datetime) -> str:
        """The key of a run, for where its part begins."""
        return at.strftime(self.output_format)

    def decode_downstream(self, downstream_key: str) -> datetime:
        """Where the part begins that a run's key names. Raises AuthoringError."""
        try:
            return datetime.strptime(downstream_key, self.output_format)  # noqa: DTZ007 - by the wall clock
        except ValueError as error:
            raise self._unreadable(downstream_key, "such a time") from error

    def encode_upstream(self, decoded: datetime) -> str:
        """See PartitionMapper."""
        return self._local(decoded).strftime(self.input_format)

    def to_partition_date(self, downstream_key: str) -> datetime:
        """See PartitionMapper."""
        at = self.normalize(self.decode_downstream(downstream_key))
        return at if at.tzinfo is not None else self._local(at)

    def to_json(self) -> dict[str, Json]:
        """See PartitionMapper."""
        names = {"timezone": self.timezone, "input": self.input_format, "output": self.output_format}
        return self.limited({"kind": self.unit, **names})

    def _local(self, at: datetime) -> datetime:
        zone = zone_of(self.timezone)
        return at.replace(tzinfo=zone) if at.tzinfo is None else at.astimezone(zone)

    def _unreadable(self, key: str, what: str) -> AuthoringError:
        where = f"the key {key!r} by output_format {self.output_format!r}"
        return AuthoringError(f"{type(self).__qualname__}: {what} cannot be read from {where}")


class StartOfHourMapper(TimeMapper):
    """A time as the hour that it lies in."""

    unit: ClassVar[str] = "hour"
    default_output_format: ClassVar[str] = "%Y-%m-%dT%H"

    def normalize(self, at: datetime) -> datetime:
        """See TimeMapper."""
        return at.replace(minute=0, second=0, microsecond=0)


class StartOfDayMapper(TimeMapper):
    """A time as its day."""

    unit: ClassVar[str] = "day"
    default_output_format: ClassVar[str] = "%Y-%m-%d"

    def normalize(self, at: datetime) -> datetime:
        """See TimeMapper."""
        return at.replace(hour=0, minute=0, second=0, microsecond=0)


class StartOfWeekMapper(StartOfDayMapper):
    """A time as the Monday of its week."""

    unit: ClassVar[str] = "week"
    default_output_format: ClassVar[str] = "%Y-%m-%d (W%V)"

    def normalize(self, at: datetime) -> datetime:
        """See TimeMapper."""
        return super().normalize(at) - timedelta(days=at.weekday())

    def decode_downstream(self, downstream_key: str) -> datetime:
        """See TimeMapper. Year, month and day have to be in the key."""
        found = _read(self.output_format, downstream_key)
        if not found.keys() >= {"Y", "m", "d"}:
            raise self._unreadable(downstream_key, "%Y, %m and %d")
        return datetime(found["Y"], found["m"], found["d"])  # noqa: DTZ001 - by the wall clock


class StartOfMonthMapper(StartOfDayMapper):
    """A time as its month."""

    unit: ClassVar[str] = "month"
    default_output_format: ClassVar[str] = "%Y-%m"

    def normalize(self, at: datetime) -> datetime:
        """See TimeMapper."""
        return super().normalize(at).replace(day=1)


class StartOfQuarterMapper(StartOfMonthMapper):
    """A time as its quarter."""

    unit: ClassVar[str] = "quarter"
    default_output_format: ClassVar[str] = "%Y-Q{quarter}"

    def normalize(self, at: datetime) -> datetime:
        """See TimeMapper."""
        return super().normalize(at.replace(day=1, month=(at.month - 1) // 3 * 3 + 1))

    def format(self, at: datetime) -> str:
        """See TimeMapper."""
        return at.strftime(self.output_format.replace("{quarter}", str((at.month + 2) // 3)))

    def decode_downstream(self, downstream_key: str) -> datetime:
        """See TimeMapper. The year and `{quarter}` have to be in the key."""
        found = _read(self.output_format, downstream_key)
        if not found.keys() >= {"Y", "quarter"}:
            raise self._unreadable(downstream_key, "%Y and {quarter}")
        return datetime(found["Y"], found["quarter"] * 3 - 2, 1)  # noqa: DTZ001 - by the wall clock


class StartOfYearMapper(StartOfDayMapper):
    """A time as its year."""

    unit: ClassVar[str] = "year"
    default_output_format: ClassVar[str] = "%Y"

    def normalize(self, at: datetime) -> datetime:
        """See TimeMapper."""
        return super().normalize(at).replace(month=1, day=1)


TIMES: Final[Mapping[str, type[TimeMapper]]] = {
    kind.unit: kind
    for kind in (
        *(StartOfHourMapper, StartOfDayMapper, StartOfWeekMapper),
        *(StartOfMonthMapper, StartOfQuarterMapper, StartOfYearMapper),
    )
}

_FIELDS: Final[Mapping[str, str]] = {
    "%Y": r"(?P<Y>\d{4})",
    "{quarter}": r"(?P<quarter>[1-4])",
    **{f"%{letter}": rf"(?P<{letter}>\d{{2}})" for letter in "mdHMSVUW"},
    "%%": "%",
}
_FIELD: Final = re.compile(r"%.|\{quarter\}")


def _read(shape: str, key: str) -> dict[str, int]:
    """The numbers in a key of that shape; nothing for a key of another. `strptime` knows neither quarters nor a week
    beside a day.
    """
    pattern, end, seen = "", 0, set[str]()
    for field in _FIELD.finditer(shape):
        name = field.group()
        known = _FIELDS.get(name, ".*?") if name not in seen else ".*?"
        pattern += re.escape(shape[end : field.start()]) + known
        seen.add(name)
        end = field.end()
    found = re.fullmatch(pattern + re.escape(shape[end:]), key)
    return {} if found is None else {name: int(text) for name, text in found.groupdict().items()}
