"""Variables and connections in files: JSON, YAML, or lines of KEY=VALUE (`.env`), as Airflow reads them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from tradewind.authoring.connection import Connection
from tradewind.model.errors import ConfigError
from tradewind.model.specs import Json

_FORMAT_OF: Final = {".json": "json", ".yaml": "yaml", ".yml": "yaml", ".env": "env"}


class VariableEntry(NamedTuple):
    """A variable of a file: its text, and what it is for (None: the file does not say)."""

    value: str
    description: str | None = None


class Entries(NamedTuple):
    """What a file holds: good entries, and why others are none, by name."""

    good: dict[str, Any]
    bad: dict[str, str]


def format_of(path: Path) -> str:
    """json, yaml or env, by the file's ending. Raises ConfigError for another."""
    found = _FORMAT_OF.get(path.suffix.lower()) or _FORMAT_OF.get(path.name.lower())
    if found is None:
        raise ConfigError(f"{path}: a file of variables or connections ends in .json, .yaml, .yml or .env")
    return found


def read_variables(path: Path) -> Entries:
    """`VariableEntry` by key. Raises ConfigError where the file as a whole cannot be read."""
    return _each(_read(path), variable_of)


def read_connections(path: Path) -> Entries:
    """`Connection` by id. Raises ConfigError where the file as a whole cannot be read."""
    return _each(_read(path), connection_of)


def variable_of(key: str, given: Json) -> VariableEntry:
    """A text, any JSON value, or an object with `value` and `description`."""
    given = _single(key, given)
    if isinstance(given, dict) and "value" in given and set(cast("dict[str, Json]", given)) <= {"value", "description"}:
        fields = cast("dict[str, Json]", given)
        about = fields.get("description")
        return VariableEntry(_text_of(fields["value"]), None if about is None else str(about))
    return VariableEntry(_text_of(given))


def connection_of(conn_id: str, given: Json) -> Connection:
    """A URI, JSON text or an object of fields. Raises ValueError saying what is wrong."""
    given = _single(conn_id, given)
    if isinstance(given, str):
        if given.lstrip().startswith("{"):
            return Connection.from_json(given, conn_id)
        return Connection(conn_id, uri=given.strip())
    if not isinstance(given, dict):
        raise ValueError("a connection is a URI or an object of its fields")
    fields = dict(cast("dict[str, Json]", given))
    if "extra_dejson" in fields:
        if fields.get("extra"):
            raise ValueError("give `extra` or `extra_dejson`, not both")
        fields["extra"] = fields.pop("extra_dejson")
    named = fields.get("conn_id")
    if named not in (None, conn_id):
        raise ValueError(f"it says conn_id {named!r} and stands under {conn_id!r}")
    uri = fields.pop("uri", None)
    if uri:
        if set(fields) - {"conn_id", "description"}:
            raise ValueError("give a uri or the single fields, not both")
        return Connection(conn_id, uri=str(uri), description=cast("str | None", fields.get("description")))
    return Connection.from_json(json.dumps(fields), conn_id)


def _each(found: Mapping[str, Json], make: Callable[[str, Json], Any]) -> Entries:
    entries = Entries({}, {})
    for name, given in found.items():
        try:
            entries.good[name] = make(name, given)
        except (ValueError, TypeError) as error:
            entries.bad[name] = str(error)
    return entries


def _read(path: Path) -> dict[str, Json]:
    kind = format_of(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    if kind == "env":
        return _read_lines(path, text)
    try:
        found: object = json.loads(text, object_pairs_hook=_unique) if kind == "json" else _read_yaml(text)
    except ValueError as error:
        raise ConfigError(f"{path} is not {kind.upper()}: {error}") from error
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ConfigError(f'{path} holds no object such as {{"name": "value"}}')
    return {str(name): value for name, value in cast("dict[object, Json]", found).items()}


def _read_lines(path: Path, text: str) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        name, equals, value = stripped.partition("=")
        if not equals or not name.strip():
            raise ConfigError(f"{path}, line {number}: write NAME=VALUE")
        if name in found:
            raise ConfigError(f"{path}, line {number}: {name} stands there twice")
        found[name.strip()] = value
    return found


def _read_yaml(text: str) -> object:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} stands there twice")
    return found


def _single(name: str, given: Json) -> Json:
    """Files may hold a list of one for each name."""
    if not isinstance(given, list):
        return given
    items = cast("list[object]", given)
    if len(items) != 1:
        raise ValueError(f"{name!r} has {len(items)} values; exactly one is possible")
    return cast("Json", items[0])


def _text_of(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value)
