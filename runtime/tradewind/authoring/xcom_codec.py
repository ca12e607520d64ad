"""Python values as JSON and back, with a mark where JSON has no such type.

Marked values look like ``{"__type__": "datetime", "value": …}``. A dict that has a key of that
name, or keys that are no texts, is marked itself, so every value comes back as it went in.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Final, cast

from tradewind.authoring.trigger_kinds import module_seen
from tradewind.authoring.xcom_classes import CLASS_READERS, write_object
from tradewind.authoring.xcom_libraries import LIBRARY_READERS, summary, write_library
from tradewind.authoring.xcom_marks import TYPE_KEY, Marked, Read, marked
from tradewind.authoring.xcom_stdlib import STDLIB_READERS, write_stdlib
from tradewind.model.errors import XComError
from tradewind.model.specs import Json

__all__ = ["TYPE_KEY", "from_json", "readable", "to_json"]

_GREATEST_INT: Final = 2**63 - 1
_DEEPEST: Final = 200


def to_json(value: object, path: str = "value", depth: int = 0) -> Json:
    """`value` as JSON; the very same object where it is plain JSON already.

    Raises XComError naming the place (`value['rows'][3].file`) and the type of what cannot be stored.
    """
    kind = type(value)
    if value is None or kind is bool:
        return value
    if kind is str:
        text = cast("str", value)
        return text if _is_text(text) else marked("str", _bytes_of(text))
    if kind is int:
        number = cast("int", value)
        return number if -_GREATEST_INT <= number <= _GREATEST_INT else marked("int", f"{number:x}")
    if kind is float:
        return value if math.isfinite(cast("float", value)) else marked("float", repr(value))
    if depth > _DEEPEST:
        raise XComError(f"{path} is nested more than {_DEEPEST} deep (or contains itself) and cannot be stored")
    if kind is list:
        return _list(cast("list[object]", value), path, depth)
    if kind is dict:
        return _dict(cast("dict[object, object]", value), path, depth)
    return _special(value, kind, path, depth)


def _is_text(text: str) -> bool:
    """Whether UTF-8 can say it: not with lone surrogates."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _bytes_of(text: str) -> str:
    return base64.b64encode(text.encode("utf-8", "surrogatepass")).decode()


def _list(items: list[object], path: str, depth: int) -> Json:
    made = [to_json(item, f"{path}[{n}]", depth + 1) for n, item in enumerate(items)]
    return items if all(new is old for new, old in zip(made, items, strict=True)) else made


def _dict(pairs: dict[object, object], path: str, depth: int) -> Json:
    if TYPE_KEY in pairs or not all(type(key) is str and _is_text(key) for key in pairs):
        listed = [
            [to_json(key, f"{path} (key {key!r})", depth + 1), to_json(item, f"{path}[{key!r}]", depth + 1)]
            for key, item in pairs.items()
        ]
        return marked("dict", listed)
    made = {key: to_json(item, f"{path}[{key!r}]", depth + 1) for key, item in pairs.items()}
    return pairs if all(made[key] is item for key, item in pairs.items()) else made


def _special(value: Any, kind: type[Any], path: str, depth: int) -> Json:
    """Values of types that JSON does not have."""

    def inner(item: object, step: str) -> Json:
        return to_json(item, f"{path}{step}", depth + 1)

    found = write_stdlib(value, kind, inner)
    if found is None:
        found = write_object(value, kind, path, inner)
    if found is None:
        found = write_library(value, kind, path, inner)
    return found if found is not None else _plainer(value, kind, path, depth)


def _plainer(value: Any, kind: type[Any], path: str, depth: int) -> Json:
    """Subclasses of plain types as these; else the error."""
    if isinstance(value, Mapping):
        return to_json(dict(cast("Mapping[object, object]", value)), path, depth + 1)
    plain: type[Any]
    for plain in (int, float, str):
        if isinstance(value, plain):
            return to_json(plain(value), path, depth + 1)
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray, memoryview)):
        return to_json(list(cast("Sequence[object]", value)), path, depth + 1)
    what = "return plain data, a dataclass or a pydantic model, or store it elsewhere and return where"
    if isinstance(value, Awaitable):
        what = "nobody has awaited it: write `await` before the call that gives it"
    elif isinstance(value, Iterator) or kind.__name__.startswith("dict_"):
        what = "make a list of it: list(…)"
    elif callable(cast("object", value)):
        what = "functions and classes cannot travel between tasks; return what they make"
    raise XComError(
        f"{path} is of type {module_seen(kind.__module__)}.{kind.__qualname__}, which cannot be stored (Object of type "
        f"{kind.__name__} is not JSON serializable); {what}"
    )


# ------------------------------------------------------------------------------- reading


def _items(value: Json) -> list[Json]:
    items: list[Json] = value
    return items


def from_json(value: Json) -> Any:
    """The Python value that `to_json` was given. Raises XComError where a class is not found or not allowed."""
    if isinstance(value, list):
        return [from_json(item) for item in _items(value)]
    if not isinstance(value, dict):
        return value
    pairs = cast("Marked", value)
    kind = pairs.get(TYPE_KEY)
    if kind is None:
        return {key: from_json(item) for key, item in pairs.items()}
    read = _READERS.get(kind)
    if read is None:
        raise XComError(f"a stored value is of the unknown kind {kind!r}; a newer version may have written it")
    try:
        return read(pairs, from_json)
    except XComError:
        raise
    except Exception as why:
        of = f" of class {str(pairs['class']).replace(':', '.')}" if "class" in pairs else ""
        raise XComError(f"a stored {kind}{of} cannot be read: {type(why).__name__}: {why}") from why


def readable(value: Json) -> Json:
    """Marked JSON as plain JSON for people: no class is imported, marks become their values."""
    if isinstance(value, list):
        return [readable(item) for item in _items(value)]
    if not isinstance(value, dict):
        return value
    pairs = cast("Marked", value)
    kind = pairs.get(TYPE_KEY)
    if kind is None:
        return {key: readable(item) for key, item in pairs.items()}
    if kind == "dict":
        return {str(readable(key)): readable(item) for key, item in pairs["value"]}
    if kind == "str":
        return _read_text(pairs["value"]).encode("utf-8", "backslashreplace").decode()
    if kind == "int":
        return _shown_number(pairs["value"])
    if kind == "enum" and pairs["value"] is None:
        return readable(pairs["raw"])
    shown = summary(pairs)
    return shown if shown is not None else readable(pairs["value"])


def _read_text(data: str) -> str:
    return base64.b64decode(data).decode("utf-8", "surrogatepass")


def _shown_number(digits: str) -> str:
    """Decimal where Python makes it in reasonable time, else hexadecimal."""
    return str(int(digits, 16)) if len(digits) < 2000 else f"0x{digits}"


_READERS: Final[Mapping[str, Callable[[Marked, Read], Any]]] = {
    "dict": lambda m, read: {read(key): read(item) for key, item in m["value"]},
    "int": lambda m, _: int(m["value"], 16),
    "float": lambda m, _: float(m["value"]),
    "str": lambda m, _: _read_text(m["value"]),
    **STDLIB_READERS,
    **CLASS_READERS,
    **LIBRARY_READERS,
}
