"""Python values as JSON and back, with a mark where JSON has no such type.

Marked values look like ``{"__type__": "datetime", "value": …}``. A dict that has a key of that
name, or keys that are no texts, is marked itself, so every value comes back as it went in.
"""

from __future__ import annotations

import base64
import dataclasses
import enum
import importlib
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import PurePath
from typing import Any, Final, cast
from uuid import UUID
from zoneinfo import ZoneInfo

from tradewind.authoring.instants import zone_name
from tradewind.model.errors import XComError
from tradewind.model.specs import Json

TYPE_KEY: Final = "__type__"
_GREATEST_INT: Final = 2**63 - 1
_DEEPEST: Final = 200


def to_json(value: object, path: str = "value", depth: int = 0) -> Json:
    """`value` as JSON; the very same object where it is plain JSON already.

    Raises XComError naming the place (`value['rows'][3].file`) and the type of what cannot be stored.
    """
    kind = type(value)
    if value is None or kind is str or kind is bool:
        return value
    if kind is int:
        number = cast("int", value)
        return number if -_GREATEST_INT <= number <= _GREATEST_INT else _marked("int", str(number))
    if kind is float:
        return value if math.isfinite(cast("float", value)) else _marked("float", repr(value))
    if depth > _DEEPEST:
        raise XComError(f"{path} is nested more than {_DEEPEST} deep (or contains itself) and cannot be stored")
    if kind is list:
        return _list(cast("list[object]", value), path, depth)
    if kind is dict:
        return _dict(cast("dict[object, object]", value), path, depth)
    return _special(value, kind, path, depth)


def _list(items: list[object], path: str, depth: int) -> Json:
    made = [to_json(item, f"{path}[{n}]", depth + 1) for n, item in enumerate(items)]
    return items if all(new is old for new, old in zip(made, items, strict=True)) else made


def _dict(pairs: dict[object, object], path: str, depth: int) -> Json:
    if TYPE_KEY in pairs or not all(type(key) is str for key in pairs):
        listed = [
            [to_json(key, f"{path} (key {key!r})", depth + 1), to_json(item, f"{path}[{key!r}]", depth + 1)]
            for key, item in pairs.items()
        ]
        return _marked("dict", listed)
    made = {key: to_json(item, f"{path}[{key!r}]", depth + 1) for key, item in pairs.items()}
    return pairs if all(made[key] is item for key, item in pairs.items()) else made


def _marked(kind: str, value: Json) -> Json:
    return {TYPE_KEY: kind, "value": value}


def _special(value: Any, kind: type[Any], path: str, depth: int) -> Json:
    """Values of types that JSON does not have."""
    if isinstance(value, enum.Enum):
        return {TYPE_KEY: "enum", "class": _class_path(kind, path), "value": value.name}
    simple = _SIMPLE.get(kind)
    if simple is not None:
        return _marked(simple[0], simple[1](value))
    if isinstance(value, datetime):
        return _datetime(value)
    if isinstance(value, (set, frozenset)):
        return _marked(
            "frozenset" if isinstance(value, frozenset) else "set",
            sorted((to_json(v, f"{path} (an element)", depth + 1) for v in cast("set[object]", value)), key=repr),
        )
    if isinstance(value, tuple):
        items = [to_json(item, f"{path}[{n}]", depth + 1) for n, item in enumerate(cast("tuple[object, ...]", value))]
        if hasattr(kind, "_fields"):
            return {TYPE_KEY: "namedtuple", "class": _class_path(kind, path), "value": items}
        return _marked("tuple", items)
    if isinstance(value, PurePath):
        return _marked("path", str(value))
    if dataclasses.is_dataclass(kind):
        names = [f.name for f in dataclasses.fields(kind)]
        fields = {name: to_json(getattr(value, name), f"{path}.{name}", depth + 1) for name in names}
        return {TYPE_KEY: "dataclass", "class": _class_path(kind, path), "value": fields}
    return _foreign(value, kind, path, depth)


def _datetime(value: datetime) -> Json:
    """ISO text, and the zone's name where there is one; `pendulum` says which class it was."""
    marked: dict[str, Json] = {TYPE_KEY: "datetime", "value": datetime.isoformat(value)}
    if value.tzinfo is not None:
        name = zone_name(value.tzinfo)
        if "/" in name or name == "UTC":
            marked["zone"] = name
    if type(value).__module__.partition(".")[0] == "pendulum":
        marked["pendulum"] = True
    return marked


def _foreign(value: Any, kind: type[Any], path: str, depth: int) -> Json:
    """Values of well-known libraries, and subclasses of plain types; else the error."""
    if hasattr(kind, "model_validate") and hasattr(value, "model_dump"):
        return {TYPE_KEY: "pydantic", "class": _class_path(kind, path), "value": value.model_dump(mode="json")}
    package = kind.__module__.partition(".")[0]
    if package == "numpy":
        if hasattr(value, "tolist") and int(getattr(value, "ndim", 0)):
            return {TYPE_KEY: "ndarray", "dtype": str(value.dtype), "value": to_json(value.tolist(), path, depth + 1)}
        if hasattr(value, "item"):
            return to_json(value.item(), path, depth + 1)
    if isinstance(value, Mapping):
        return to_json(dict(cast("Mapping[object, object]", value)), path, depth + 1)
    plain: type[Any]
    for plain in (int, float, str):
        if isinstance(value, plain):
            return to_json(plain(value), path, depth + 1)
    if isinstance(value, list):
        return to_json(list(cast("list[object]", value)), path, depth + 1)
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray, memoryview)):
        return to_json(list(cast("Sequence[object]", value)), path, depth + 1)
    raise XComError(
        f"{path} is of type {kind.__module__}.{kind.__qualname__}, which cannot be stored (Object of type "
        f"{kind.__name__} is not JSON serializable); return plain data, a dataclass or a pydantic model, "
        "or store it elsewhere and return where"
    )


def _class_path(kind: type[Any], path: str) -> str:
    if "<locals>" in kind.__qualname__:
        raise XComError(
            f"{path} is of type {kind.__qualname__}, a class defined inside a function: it could not be found again "
            "when the value is read; define the class at the top of a module"
        )
    return f"{kind.__module__}:{kind.__qualname__}"


_SIMPLE: Final[dict[type[Any], tuple[str, Callable[[Any], Json]]]] = {
    date: ("date", lambda v: v.isoformat()),
    time: ("time", lambda v: v.isoformat()),
    timedelta: ("timedelta", lambda v: [v.days, v.seconds, v.microseconds]),
    Decimal: ("decimal", str),
    UUID: ("uuid", str),
    bytes: ("bytes", lambda v: base64.b64encode(v).decode()),
    bytearray: ("bytearray", lambda v: base64.b64encode(v).decode()),
    complex: ("complex", lambda v: [repr(v.real), repr(v.imag)]),
}


def _items(value: Json) -> list[Json]:
    items: list[Json] = value
    return items


def from_json(value: Json) -> Any:
    """The Python value that `to_json` was given. Raises XComError where a class cannot be found."""
    if isinstance(value, list):
        return [from_json(item) for item in _items(value)]
    if not isinstance(value, dict):
        return value
    pairs = cast("dict[str, Json]", value)
    kind = pairs.get(TYPE_KEY)
    if kind is None:
        return {key: from_json(item) for key, item in pairs.items()}
    read = _READERS.get(kind)
    if read is None:
        raise XComError(f"a stored value is of the unknown kind {kind!r}; a newer version may have written it")
    return read(pairs)


def readable(value: Json) -> Json:
    """Marked JSON as plain JSON for people: no class is imported, marks become their values."""
    if isinstance(value, list):
        return [readable(item) for item in _items(value)]
    if not isinstance(value, dict):
        return value
    pairs = cast("dict[str, Json]", value)
    if TYPE_KEY not in pairs:
        return {key: readable(item) for key, item in pairs.items()}
    if pairs[TYPE_KEY] == "dict":
        return {str(readable(key)): readable(item) for key, item in pairs["value"]}
    return readable(pairs["value"])


def _read_datetime(marked: dict[str, Json]) -> datetime:
    at = datetime.fromisoformat(marked["value"])
    zone = marked.get("zone")
    if zone is not None:
        at = at.astimezone(ZoneInfo(zone) if zone != "UTC" else timezone.utc)  # noqa: UP017 - the class, not the alias
    if marked.get("pendulum"):
        import pendulum

        return pendulum.instance(at)
    return at


def _class_of(marked: dict[str, Json]) -> Any:
    """The class of a marked value: only dataclasses, named tuples, enums and pydantic models are accepted."""
    module_name, _, qualname = str(marked["class"]).partition(":")
    try:
        found: object = sys.modules.get(module_name) or importlib.import_module(module_name)
        for part in qualname.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as why:
        raise XComError(f"a stored value is of class {module_name}.{qualname}, which cannot be found: {why}") from why
    if not _is_storable_class(found):
        raise XComError(f"a stored value names {module_name}.{qualname}, which is no class for stored values")
    return found


def _is_storable_class(found: object) -> bool:
    if not isinstance(found, type):
        return False
    made_for_data = hasattr(found, "_fields") or hasattr(found, "model_validate") or issubclass(found, enum.Enum)
    return made_for_data or dataclasses.is_dataclass(cast("object", found))


def _read_dataclass(marked: dict[str, Json]) -> Any:
    kind = _class_of(marked)
    values = from_json(marked["value"])
    made = object.__new__(kind)
    names = {f.name for f in dataclasses.fields(kind)}
    missing = names - values.keys()
    if missing:
        return kind(**{name: item for name, item in values.items() if name in names})
    for name in names:
        object.__setattr__(made, name, values[name])
    return made


def _read_ndarray(marked: dict[str, Json]) -> Any:
    numpy = importlib.import_module("numpy")
    return numpy.array(from_json(marked["value"]), dtype=marked["dtype"])


_READERS: Final[dict[str, Callable[[dict[str, Json]], Any]]] = {
    "dict": lambda m: {from_json(key): from_json(item) for key, item in m["value"]},
    "int": lambda m: int(m["value"]),
    "float": lambda m: float(m["value"]),
    "set": lambda m: set(from_json(m["value"])),
    "frozenset": lambda m: frozenset(from_json(m["value"])),
    "tuple": lambda m: tuple(from_json(m["value"])),
    "datetime": _read_datetime,
    "date": lambda m: date.fromisoformat(m["value"]),
    "time": lambda m: time.fromisoformat(m["value"]),
    "timedelta": lambda m: timedelta(days=m["value"][0], seconds=m["value"][1], microseconds=m["value"][2]),
    "decimal": lambda m: Decimal(m["value"]),
    "uuid": lambda m: UUID(m["value"]),
    "bytes": lambda m: base64.b64decode(m["value"]),
    "bytearray": lambda m: bytearray(base64.b64decode(m["value"])),
    "complex": lambda m: complex(float(m["value"][0]), float(m["value"][1])),
    "path": lambda m: _path(m["value"]),
    "enum": lambda m: _class_of(m)[m["value"]],
    "namedtuple": lambda m: _class_of(m)(*from_json(m["value"])),
    "dataclass": _read_dataclass,
    "pydantic": lambda m: _class_of(m).model_validate(m["value"]),
    "ndarray": _read_ndarray,
}


def _path(text: str) -> PurePath:
    from pathlib import Path

    return Path(text)
