"""Forms that people fill in: the JSON schema of a dataclass or pydantic model, and the form with an answer in it."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time
from enum import Enum
from typing import Any, Final, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from tradewind.model.errors import AuthoringError
from tradewind.model.specs import Json

T = TypeVar("T")

_PLAIN: Final[Mapping[Any, Mapping[str, Json]]] = {
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    type(None): {"type": "null"},
    datetime: {"type": "string", "format": "date-time"},
    date: {"type": "string", "format": "date"},
    time: {"type": "string", "format": "time"},
}
_MOMENTS: Final = (datetime, date, time)
_LISTS: Final = (list, Sequence)


def schema_of(form: type[Any]) -> dict[str, Json]:
    """The JSON schema of a form. Raises AuthoringError for a class that is neither."""
    of_model: Callable[[], dict[str, Json]] | None = getattr(form, "model_json_schema", None)
    if of_model is not None:
        return of_model()
    if not (isinstance(cast("object", form), type) and dataclasses.is_dataclass(form)):
        raise AuthoringError(f"ctx.ask: the form has to be a pydantic model or a dataclass, not {form!r}")
    return _object(form)


def filled(form: type[T], answer: Any) -> T:
    """The form with a person's answer. Raises what the model raises."""
    validate: Any = getattr(form, "model_validate", None)
    if validate is not None:
        return cast("T", validate(answer))
    return cast("T", _made(form, answer))


def _object(form: type[Any]) -> dict[str, Json]:
    hints = _hints(form)
    properties: dict[str, Json] = {}
    required: list[Json] = []
    for field in dataclasses.fields(form):
        if not field.init:
            continue
        found = _schema(hints.get(field.name, Any))
        if field.default is not dataclasses.MISSING:
            found |= _default(field.default)
        elif field.default_factory is not dataclasses.MISSING:
            found |= _default(field.default_factory())
        else:
            required.append(field.name)
        properties[field.name] = found
    return {
        "type": "object",
        "title": form.__name__,
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _hints(form: type[Any]) -> dict[str, Any]:
    """The types of the fields; those that cannot be known (names of a function's own) count as anything."""
    try:
        return get_type_hints(form)
    except Exception:
        named: dict[Any, Any] = {kind.__name__: kind for kind in _PLAIN}
        return {
            field.name: named.get(field.type, Any) if isinstance(field.type, str) else field.type
            for field in dataclasses.fields(form)
        }


def _schema(hint: Any) -> dict[str, Json]:
    if hint in _PLAIN:
        return dict(_PLAIN[hint])
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return {"enum": list(inner)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [_schema(one) for one in inner]}
    if hint is list or origin in _LISTS:
        return {"type": "array", **({"items": _schema(inner[0])} if inner else {})}
    if hint is dict or origin is dict:
        return {"type": "object"}
    kind = _class(hint)
    if kind is not None and issubclass(kind, Enum):
        return {"enum": [member.value for member in kind]}
    return _object(kind) if kind is not None and dataclasses.is_dataclass(kind) else {}


def _class(hint: Any) -> type[Any] | None:
    return cast("type[Any]", hint) if isinstance(hint, type) else None


def _default(value: object) -> dict[str, Json]:
    """As the schema's default, where JSON has the value."""
    plain = value.value if isinstance(value, Enum) else value.isoformat() if isinstance(value, _MOMENTS) else value
    is_plain = plain is None or isinstance(plain, bool | int | float | str | list | dict)
    return {"default": cast("Json", plain)} if is_plain else {}


def _made(hint: Any, value: Any) -> Any:
    """What JSON says, as the type that the field has."""
    if value is None:
        return None
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        some = [one for one in inner if one is not type(None)]
        return _made(some[0], value) if len(some) == 1 else value
    if origin in _LISTS:
        return [_made(inner[0], item) for item in value]
    kind = _class(hint)
    if kind is None:
        return value
    if issubclass(kind, Enum):
        return kind(value)
    if kind in _MOMENTS and isinstance(value, str):
        return cast("Any", kind).fromisoformat(value)
    if dataclasses.is_dataclass(kind):
        hints = _hints(kind)
        return kind(**{name: _made(hints.get(name, Any), item) for name, item in dict(value).items()})
    return value
