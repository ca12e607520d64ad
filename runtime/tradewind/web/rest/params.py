"""What a route takes in the path, the query and the body: declared once, checked here, documented
from the same declaration.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, cast

from tradewind.model.specs import Json
from tradewind.web.problems import Problem, bad_request

LONGEST_TEXT: Final = 10_000
_INTEGER: Final = re.compile(r"-?[0-9]{1,15}")
_MISSING: Final = object()


class Kind(StrEnum):
    """Type of a value."""

    TEXT = "text"
    TEXTS = "texts"
    INTEGER = "integer"
    NUMBER = "number"
    FLAG = "flag"
    INSTANT = "instant"
    OBJECT = "object"
    ANYTHING = "anything"


Value = str | int | float | bool | datetime | list[str] | dict[str, Json] | None


@dataclass(frozen=True, slots=True)
class Param:
    """One value that a route takes. `minimum` and `maximum` bound numbers, and lengths of texts."""

    name: str
    kind: Kind = Kind.TEXT
    doc: str = ""
    default: Value = None
    required: bool = False
    nullable: bool = False
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    pattern: str | None = None

    def read_text(self, raw: list[str]) -> Value:
        """The value written in an address. Raises Problem 400."""
        if self.kind is Kind.TEXTS:
            return [self._checked(part) for text in raw for part in text.split(",") if part]
        if len(raw) > 1:
            raise bad_request(f"{self.name} is given {len(raw)} times; give it once")
        return self._from_text(raw[0])

    def read_json(self, value: Json) -> Value:
        """The value of a body's field. Raises Problem 400."""
        if self.kind is Kind.ANYTHING:
            return cast("Value", value)
        if value is None:
            if self.nullable:
                return None
            raise bad_request(f"{self.name} must not be null")
        match self.kind, value:
            case Kind.TEXT, str():
                return self._checked(value)
            case Kind.FLAG, bool():
                return value
            case ((Kind.INTEGER | Kind.NUMBER), int()) if not isinstance(value, bool):
                return self._bounded(value)
            case Kind.NUMBER, float():
                return self._bounded(value)
            case Kind.INSTANT, str():
                return self._instant(value)
            case Kind.OBJECT, dict():
                return cast("dict[str, Json]", value)
            case Kind.TEXTS, list():
                return [self._item(item) for item in cast("list[object]", value)]
            case _:
                raise bad_request(f"{self.name} must be {_NAMES[self.kind]}, not {_name_of(value)}")

    def schema(self) -> dict[str, Json]:
        """JSON Schema of the value."""
        schema: dict[str, Json] = dict(_SCHEMAS[self.kind])
        target: dict[str, Json] = schema
        if self.kind is Kind.TEXTS:
            target = schema["items"] = {"type": "string"}
        if self.choices:
            target["enum"] = list(self.choices)
        if self.pattern:
            target["pattern"] = f"^(?:{self.pattern})$"
        low, high = ("minLength", "maxLength") if self.kind in (Kind.TEXT, Kind.TEXTS) else ("minimum", "maximum")
        if self.minimum is not None:
            target[low] = self.minimum
        if self.maximum is not None:
            target[high] = self.maximum
        if self.nullable:
            schema["type"] = [schema["type"], "null"]
            if "enum" in schema:
                schema["enum"] = [*schema["enum"], None]
        if self.default is not None:
            schema["default"] = self.default
        return schema

    def _item(self, item: Json) -> str:
        if not isinstance(item, str):
            raise bad_request(f"{self.name} must be a list of texts, but holds {_name_of(item)}")
        return self._checked(item)

    def _from_text(self, text: str) -> Value:
        match self.kind:
            case Kind.INTEGER:
                if not _INTEGER.fullmatch(text):
                    raise bad_request(f"{self.name} must be an integer, not {text[:50]!r}")
                return self._bounded(int(text))
            case Kind.NUMBER:
                return self._bounded(self._number(text))
            case Kind.FLAG:
                if text.lower() not in _FLAGS:
                    raise bad_request(f"{self.name} must be true or false, not {text[:50]!r}")
                return _FLAGS[text.lower()]
            case Kind.INSTANT:
                return self._instant(text)
            case _:
                return self._checked(text)

    def _number(self, text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = float("nan")
        if number != number or abs(number) == float("inf"):
            raise bad_request(f"{self.name} must be a number, not {text[:50]!r}")
        return number

    def _checked(self, text: str) -> str:
        if "\0" in text or not _is_unicode(text):
            raise bad_request(f"{self.name} holds a character that no text may hold (NUL or half a surrogate pair)")
        if self.choices and text not in self.choices:
            raise bad_request(f"{self.name} must be one of {', '.join(self.choices)}, not {text[:50]!r}")
        if self.minimum is not None and len(text) < self.minimum:
            raise bad_request(f"{self.name} must not be empty")
        if len(text) > (self.maximum if self.maximum is not None else LONGEST_TEXT):
            raise bad_request(f"{self.name} is too long: {len(text)} characters")
        if self.pattern and not re.fullmatch(self.pattern, text):
            raise bad_request(f"{self.name} {text[:50]!r} does not match {self.pattern}")
        return text

    def _bounded(self, number: float) -> int | float:
        if self.minimum is not None and number < self.minimum:
            raise bad_request(f"{self.name} must be at least {self.minimum:g}, not {number:g}")
        if self.maximum is not None and number > self.maximum:
            raise bad_request(f"{self.name} must be at most {self.maximum:g}, not {number:g}")
        return number

    def _instant(self, text: str) -> datetime:
        # In an address an unescaped + arrives as a space.
        try:
            instant = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
        except ValueError:
            example = "an ISO 8601 time such as 2026-01-31T12:00:00Z"
            raise bad_request(f"{self.name} must be {example}, not {text[:50]!r}") from None
        if instant.tzinfo is None:
            raise bad_request(f"{self.name} {text[:50]!r} has no time zone; add Z or an offset such as +01:00")
        try:
            return instant.astimezone(UTC)
        except OverflowError:
            raise bad_request(f"{self.name} {text[:50]!r} is out of range") from None


def read_query(params: tuple[Param, ...], given: Mapping[str, list[str]]) -> dict[str, Value]:
    """Values of all query parameters. Raises Problem 400, naming those that are not known."""
    known = {param.name: param for param in params}
    unknown = sorted(name for name in given if name not in known)
    if unknown:
        takes = ", ".join(sorted(known)) or "none"
        raise bad_request(f"unknown query parameter {', '.join(map(repr, unknown))}; this address takes: {takes}")
    values: dict[str, Value] = {}
    for param in params:
        raw = given.get(param.name)
        if raw is not None:
            values[param.name] = param.read_text(raw)
        elif param.required:
            raise bad_request(f"the query parameter {param.name} is missing")
        else:
            values[param.name] = [] if param.kind is Kind.TEXTS else param.default
    return values


def read_body(params: tuple[Param, ...], given: Json) -> dict[str, Value]:
    """Values of the fields that a JSON body holds, defaults for the others. Raises Problem 400."""
    if not isinstance(given, dict):
        raise bad_request(f"the body must be a JSON object, not {_name_of(given)}")
    body = cast("dict[str, Any]", given)
    known = {param.name for param in params}
    unknown = sorted(name for name in body if name not in known)
    if unknown:
        raise bad_request(f"unknown field {', '.join(map(repr, unknown))}; known are: {', '.join(sorted(known))}")
    values: dict[str, Value] = {}
    for param in params:
        raw = body.get(param.name, _MISSING)
        if raw is not _MISSING:
            values[param.name] = param.read_json(raw)
        elif param.required:
            raise bad_request(f"the field {param.name} is missing")
        else:
            values[param.name] = param.default
    return values


def read_path(params: tuple[Param, ...], given: Mapping[str, str]) -> dict[str, Value]:
    """Values of the path. A value that cannot be is an address where nothing is: Problem 404."""
    try:
        return {param.name: param.read_text([given[param.name]]) for param in params}
    except Problem as problem:
        raise Problem(404, "Not Found", problem.detail) from None


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text) if not text.isascii() else True


def _name_of(value: Json) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "a list"
        case _:
            return "an object"


_FLAGS: Final = {"true": True, "1": True, "false": False, "0": False}
_NAMES: Final = {
    Kind.TEXT: "a text",
    Kind.TEXTS: "a list of texts",
    Kind.INTEGER: "an integer",
    Kind.NUMBER: "a number",
    Kind.FLAG: "true or false",
    Kind.INSTANT: "an ISO 8601 time (a text)",
    Kind.OBJECT: "an object",
    Kind.ANYTHING: "a JSON value",
}
_SCHEMAS: Final[dict[Kind, dict[str, Json]]] = {
    Kind.TEXT: {"type": "string"},
    Kind.TEXTS: {"type": "array"},
    Kind.INTEGER: {"type": "integer"},
    Kind.NUMBER: {"type": "number"},
    Kind.FLAG: {"type": "boolean"},
    Kind.INSTANT: {"type": "string", "format": "date-time"},
    Kind.OBJECT: {"type": "object"},
    Kind.ANYTHING: {},
}
