"""Values of Python's own types that JSON does not have, and of pendulum's, which stand in for them."""

from __future__ import annotations

import base64
import pathlib
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePath
from typing import Any, Final, cast
from uuid import UUID
from zoneinfo import ZoneInfo

from tradewind.authoring.xcom_marks import Inner, Marked, Read, marked
from tradewind.model.errors import XComError
from tradewind.model.specs import Json


def write_stdlib(value: Any, kind: type[Any], inner: Inner) -> Marked | None:
    """The value with its mark; None if it is not of these types."""
    simple = _SIMPLE.get(kind)
    if simple is not None:
        return marked(simple[0], simple[1](value))
    if isinstance(value, datetime):
        return _datetime(value, kind)
    if isinstance(value, (set, frozenset)):
        items = cast("set[object]", value)
        listed = sorted((inner(item, " (an element)") for item in items), key=repr)
        return marked("frozenset" if isinstance(value, frozenset) else "set", listed)
    if kind is tuple:
        return marked("tuple", [inner(item, f"[{n}]") for n, item in enumerate(cast("tuple[object, ...]", value))])
    if isinstance(value, PurePath):
        return _path(value, kind)
    if isinstance(value, tzinfo):
        return _zone(value)
    return _pendulum(value, kind) if _is_pendulum(kind) else None


def _pendulum(value: object, kind: type[Any]) -> Marked | None:
    """Its dates, times and durations as those that they extend."""
    for base in (timedelta, date, time):
        if issubclass(kind, base):
            name, write = _SIMPLE[base]
            return marked(name, write(value), pendulum=True)
    return None


def _is_pendulum(kind: type[Any]) -> bool:
    return kind.__module__.partition(".")[0] == "pendulum"


def _key_of(zone: tzinfo | None) -> str | None:
    """The name under which the zone can be found again: not that of a fixed offset."""
    if zone is timezone.utc:  # noqa: UP017 - the class, not the alias
        return "UTC"
    name: object = getattr(zone, "key", None) or getattr(zone, "zone", None)
    return name if isinstance(name, str) and name and name[0] not in "+-" else None


def _datetime(value: datetime, kind: type[Any]) -> Marked | None:
    """ISO text, and the zone's name where there is one; `pendulum` says which class it was."""
    if not (kind is datetime or _is_pendulum(kind)):
        return None
    more: dict[str, Json] = {}
    zone = _key_of(value.tzinfo)
    if zone is not None:
        more["zone"] = zone
        if zone == "UTC" and not _is_pendulum(kind):
            more["by"] = "zoneinfo" if isinstance(value.tzinfo, ZoneInfo) else "datetime"
    if value.tzinfo is None and value.fold:
        more["fold"] = 1
    if _is_pendulum(kind):
        more["pendulum"] = True
    return marked("datetime", datetime.isoformat(value), **more)


def _path(value: PurePath, kind: type[Any]) -> Marked | None:
    if not kind.__module__.startswith("pathlib"):
        return None
    more: dict[str, Json] = {} if isinstance(value, Path) else {"class": kind.__name__}
    return marked("path", str(value), **more)


def _zone(value: tzinfo) -> Marked | None:
    name = _key_of(value)
    if name is not None:
        made_by = type(value).__module__.partition(".")[0]
        return marked("zone", name, by=made_by)
    if type(value) is timezone:
        offset = value.utcoffset(None)
        return marked("zone", None, seconds=offset.total_seconds())
    if _is_pendulum(type(value)):
        return marked("zone", None, seconds=cast("Any", value).offset, by="pendulum")
    return None


def _base64(value: bytes | bytearray | memoryview) -> str:
    return base64.b64encode(value).decode()


_SIMPLE: Final[dict[type[Any], tuple[str, Callable[[Any], Json]]]] = {
    date: ("date", lambda v: v.isoformat()),
    time: ("time", lambda v: _time_text(v)),
    timedelta: ("timedelta", lambda v: [v.days, v.seconds, v.microseconds]),
    Decimal: ("decimal", str),
    Fraction: ("fraction", str),
    UUID: ("uuid", str),
    bytes: ("bytes", _base64),
    bytearray: ("bytearray", _base64),
    memoryview: ("bytes", lambda v: _base64(v.tobytes())),
    complex: ("complex", lambda v: [repr(v.real), repr(v.imag)]),
    range: ("range", lambda v: [v.start, v.stop, v.step]),
    slice: ("slice", lambda v: [v.start, v.stop, v.step]),
}


def _time_text(value: time) -> Json:
    name = _key_of(value.tzinfo)
    return value.isoformat() if name is None else [value.replace(tzinfo=None).isoformat(), name]


def _named_zone(name: str, by: str | None = None) -> tzinfo:
    if name == "UTC" and by != "zoneinfo":
        return UTC
    return ZoneInfo(name)


def _read_datetime(mark: Marked) -> datetime:
    at = datetime.fromisoformat(mark["value"])
    zone = mark.get("zone")
    if zone is not None:
        at = _in_zone(at, _named_zone(zone, mark.get("by")))
    elif mark.get("fold"):
        at = at.replace(fold=1)
    if mark.get("pendulum"):
        import pendulum

        return pendulum.instance(at, tz=zone) if zone is not None else pendulum.instance(at, tz=at.tzinfo)
    return at


def _in_zone(at: datetime, zone: tzinfo) -> datetime:
    """The same wall time in the zone, with the fold whose offset was written."""
    for fold in (0, 1):
        local = at.replace(tzinfo=zone, fold=fold)
        if local.utcoffset() == at.utcoffset():
            return local
    return at.astimezone(zone)  # the zone's rules have changed since


def _read_date(mark: Marked) -> date:
    at = date.fromisoformat(mark["value"])
    if not mark.get("pendulum"):
        return at
    import pendulum

    return pendulum.Date(at.year, at.month, at.day)


def _read_time(mark: Marked) -> time:
    value: Json = mark["value"]
    at = time.fromisoformat(value) if isinstance(value, str) else time.fromisoformat(value[0])
    if not isinstance(value, str):
        at = at.replace(tzinfo=_named_zone(value[1]))
    if not mark.get("pendulum"):
        return at
    import pendulum

    return pendulum.Time(at.hour, at.minute, at.second, at.microsecond, tzinfo=at.tzinfo)


def _read_timedelta(mark: Marked) -> timedelta:
    days, seconds, microseconds = mark["value"]
    if not mark.get("pendulum"):
        return timedelta(days, seconds, microseconds)
    import pendulum

    return pendulum.duration(days=days, seconds=seconds, microseconds=microseconds)


def _read_path(mark: Marked) -> PurePath:
    kind = mark.get("class")
    if kind is None:
        return Path(mark["value"])
    found: object = getattr(pathlib, kind, None)
    if not (isinstance(found, type) and issubclass(found, PurePath)):
        raise XComError(f"a stored path names the class {kind!r}, which pathlib does not have")
    return found(mark["value"])


def _read_zone(mark: Marked) -> tzinfo:
    by, name = mark.get("by"), mark["value"]
    if by == "pendulum":
        import pendulum

        return pendulum.timezone(name if name is not None else int(mark["seconds"]))
    return timezone(timedelta(seconds=mark["seconds"])) if name is None else _named_zone(name, by)


STDLIB_READERS: Final[Mapping[str, Callable[[Marked, Read], Any]]] = {
    "set": lambda m, read: set(read(m["value"])),
    "frozenset": lambda m, read: frozenset(read(m["value"])),
    "tuple": lambda m, read: tuple(read(m["value"])),
    "datetime": lambda m, _: _read_datetime(m),
    "date": lambda m, _: _read_date(m),
    "time": lambda m, _: _read_time(m),
    "timedelta": lambda m, _: _read_timedelta(m),
    "decimal": lambda m, _: Decimal(m["value"]),
    "fraction": lambda m, _: Fraction(m["value"]),
    "uuid": lambda m, _: UUID(m["value"]),
    "bytes": lambda m, _: base64.b64decode(m["value"]),
    "bytearray": lambda m, _: bytearray(base64.b64decode(m["value"])),
    "complex": lambda m, _: complex(float(m["value"][0]), float(m["value"][1])),
    "range": lambda m, _: range(*m["value"]),
    "slice": lambda m, _: slice(*m["value"]),
    "path": lambda m, _: _read_path(m),
    "zone": lambda m, _: _read_zone(m),
}
