"""The named SQL statements of `sql/*.sql`: the only place where SQL is kept.

A file is a list of statements, each introduced by ``-- name: SUBJECT_VERB`` and a comment that
says what it does. ``{NAME}`` stands for another text of the same file. Parameters are written
``:name`` and numbered in the order of their first use; callers give them by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import NamedTuple

_NAME = re.compile(r"^-- name: (?P<name>[a-z_.]+)\s*$", re.MULTILINE)
_INSERTION = re.compile(r"\{(?P<name>[a-z_]+)\}")
_OPTIONAL = re.compile(r":[a-z0-9_]+::[a-z0-9\[\]]+ IS NULL OR ")
_PARAMETER = re.compile(r"(?<![:\w]):(?P<name>[a-z][a-z0-9_]*)")


class Statement(NamedTuple):
    """A statement ready for the server: `text` with $1, $2 … for `parameters` in this order."""

    name: str
    text: str
    parameters: tuple[str, ...]
    has_optional_conditions: bool = False
    """Whether a null parameter stands for no condition: a plan that fits all values could use no index for it."""

    def values(self, given: Mapping[str, object]) -> list[object]:
        """The arguments in the statement's order. Raises KeyError for one that is missing."""
        return [given[name] for name in self.parameters]


def fragments(file: str) -> Mapping[str, str]:
    """Name to raw text (parameters still ``:name``) of ``sql/FILE.sql``, comments left out."""
    return _FILES[file]


@cache
def statement(file: str, name: str, **choices: str) -> Statement:
    """The statement `name` of ``sql/FILE.sql``; `choices` fill ``{word}`` where it is no fragment."""
    return bind(name, expanded(file, name, **choices))


def expanded(file: str, name: str, **choices: str) -> str:
    """Its text, with ``{fragment}`` replaced by the fragments of the same file."""
    known = fragments(file)

    def insert(match: re.Match[str]) -> str:
        word = match["name"]
        return choices[word] if word in choices else expanded(file, word, **choices)

    return _INSERTION.sub(insert, known[name])


def bind(name: str, text: str) -> Statement:
    """Numbers the parameters of a text."""
    order: dict[str, int] = {}

    def number(match: re.Match[str]) -> str:
        return f"${order.setdefault(match['name'], len(order) + 1)}"

    return Statement(name, _PARAMETER.sub(number, text), tuple(order), _OPTIONAL.search(text) is not None)


def _read(source: str, where: str) -> Mapping[str, str]:
    found: dict[str, str] = {}
    marks = list(_NAME.finditer(source))
    for mark, following in zip(marks, [*marks[1:], None], strict=True):
        body = source[mark.end() : following.start() if following else len(source)]
        lines = [line for line in body.splitlines() if line.strip() and not line.lstrip().startswith("--")]
        name = mark["name"]
        if name in found:
            raise ValueError(f"sql/{where} names {name} twice")
        found[name] = "\n".join(lines).rstrip()
    return found


def _read_all() -> Mapping[str, Mapping[str, str]]:
    folder = files("tradewind.store") / "sql"
    return {
        entry.name.removesuffix(".sql"): _read(entry.read_text(encoding="utf-8"), entry.name)
        for entry in folder.iterdir()
        if entry.name.endswith(".sql")
    }


# Read once, at import: a statement is first asked for on the loop, where nothing may block.
_FILES = _read_all()
