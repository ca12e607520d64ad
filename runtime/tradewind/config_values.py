"""How the raw value of an option becomes the value: types, limits, choices, addresses and paths."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit, urlunsplit

from tradewind.config_options import Option
from tradewind.model.errors import ConfigError
from tradewind.model.specs import Json

MASK: Final = "***"

SourceKind = Literal[
    "command line",
    "environment",
    "environment command",
    "environment secret",
    "file",
    "file command",
    "file secret",
    "default",
]

_TRUE: Final = frozenset({"true", "t", "yes", "y", "on", "1"})
_FALSE: Final = frozenset({"false", "f", "no", "n", "off", "0"})


@dataclass(frozen=True, slots=True)
class Source:
    """Where a value comes from; `detail` is the variable's name or the file's path."""

    kind: SourceKind
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.detail}".rstrip()


def database_url(raw: str) -> str:
    """The URL as asyncpg takes it: `postgres://` and SQLAlchemy's `postgresql+driver://` are understood.

    Raises:
        ConfigError: another kind of database.
    """
    scheme, separator, rest = raw.partition("://")
    base = scheme.partition("+")[0]
    if not separator or base not in ("postgresql", "postgres"):
        raise ConfigError(
            f"{without_password(raw)!r} is not the address of a PostgreSQL database. Write "
            "postgresql://user:password@host:port/name, or set nothing to use the one that Tradewind brings along."
        )
    return f"postgresql://{rest}"


def show(value: Json, *, secret: bool = False) -> str:
    """A value as text for people. Of a secret address only the password is hidden."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if secret:
        return without_password(str(value)) if "://" in str(value) else MASK
    return str(value)


def parse(name: str, option: Option, raw: Json, source: Source, home: Path) -> Json:
    """The value of option `name`. Raises ConfigError naming source, option and what is possible."""
    text = raw.strip() if isinstance(raw, str) else raw
    if option.nullable and text in ("", None):
        return None
    value: Json = None
    match option.kind:
        case "bool":
            value = _boolean(text)
        case "int" | "seconds":
            value = _number(text, whole=option.kind == "int")
            if value is not None and not _fits(value, option):
                value = None
        case "path":
            value = _folder(text, home if source.kind in ("file", "file command") else None)
        case "text":
            value = _text(name, option, text)
    if value is None:
        shown = MASK if option.secret else repr(raw)
        raise ConfigError(f"{source}: {name} = {shown} is not possible. It must be {_wanted(option)}. ({option.doc})")
    return value


def _boolean(raw: Json) -> bool | None:
    if isinstance(raw, bool):
        return raw
    word = str(raw).lower()
    return True if word in _TRUE else False if word in _FALSE else None


def _number(raw: Json, *, whole: bool) -> float | int | None:
    if isinstance(raw, bool):
        return None
    try:
        return int(raw) if whole and not isinstance(raw, float) else None if whole else float(raw)
    except (TypeError, ValueError):
        return None


def _fits(value: float, option: Option) -> bool:
    low = -math.inf if option.minimum is None else option.minimum
    high = math.inf if option.maximum is None else option.maximum
    return low <= value <= high and math.isfinite(value)


def _folder(raw: Json, base: Path | None) -> Path | None:
    if not isinstance(raw, (str, Path)) or not str(raw):
        return None
    try:
        path = Path(os.path.expandvars(raw)).expanduser()
    except RuntimeError:  # ~somebody, whom the system does not know
        return None
    return Path(os.path.abspath(path if base is None else base / path))  # noqa: PTH100 - resolve() would follow links


def _text(name: str, option: Option, raw: Json) -> str | None:
    if not isinstance(raw, str):
        return None
    if option.choices:
        return next((choice for choice in option.choices if choice.lower() == raw.lower()), None)
    return database_url(raw) if name.startswith("database.") else raw


def _wanted(option: Option) -> str:
    if option.choices:
        return "one of " + ", ".join(option.choices)
    if option.kind in ("int", "seconds"):
        noun = "a whole number" if option.kind == "int" else "a number of seconds"
        limits = f" from {option.minimum:g}" if option.minimum is not None else ""
        return noun + limits + (f" to {option.maximum:g}" if option.maximum is not None else "")
    return {"bool": "true or false", "path": "a path", "text": "a text"}[option.kind]


def without_password(url: str) -> str:
    """The address with its password hidden."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return MASK
    if not parts.password:
        return url
    user = parts.username or ""
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{user}:{MASK}@{place}"))
