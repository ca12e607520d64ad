"""Which ids are allowed."""

from __future__ import annotations

import re

from tradewind.model.errors import AuthoringError

_KEY = re.compile(r"[\w.-]+")
_GROUP = re.compile(r"[\w-]+")
MAX_LENGTH = 250


def check_key(value: object, what: str) -> str:
    """A DAG or task id: letters, digits, dashes, dots and underscores, at most 250 of them.

    Returns it. Raises AuthoringError, opening with `what`.
    """
    return _check(value, what, _KEY, "letters, digits, dashes, dots and underscores (alphanumeric characters)")


def check_group_key(value: object, what: str) -> str:
    """A group id that prefixes others: letters, digits, dashes and underscores."""
    return _check(value, what, _GROUP, "letters, digits, dashes and underscores (alphanumeric characters)")


def _check(value: object, what: str, pattern: re.Pattern[str], allowed: str) -> str:
    if not isinstance(value, str):
        raise AuthoringError(f"{what} has to be a text, not {type(value).__name__} {value!r}")
    if len(value) > MAX_LENGTH:
        raise AuthoringError(f"{what} {value!r} has {len(value)} characters; {MAX_LENGTH} are allowed")
    if not pattern.fullmatch(value):
        raise AuthoringError(f"{what} {value!r} has to be made of {allowed} only")
    return value


class IdBook:
    """All ids of one DAG, of tasks and groups, and the next free number for ids used several times."""

    __slots__ = ("_highest", "_used")

    def __init__(self) -> None:
        self._used: set[str] = set()
        self._highest: dict[str, int] = {}

    def __contains__(self, node_id: str) -> bool:
        return node_id in self._used

    def add(self, node_id: str) -> None:
        """Notes an id as used."""
        self._used.add(node_id)
        core, mark, number = node_id.rpartition("__")
        if mark and number.isdecimal():
            self._highest[core] = max(self._highest.get(core, 0), int(number))

    def free(self, label: str, prefix: str) -> str:
        """`label` where `prefix + label` is free, else the label with the next number, such as `label__1`."""
        if prefix + label not in self._used:
            return label
        core, mark, number = label.rpartition("__")
        if not (mark and number.isdecimal()):
            core = label
        return f"{core}__{self._highest.get(prefix + core, 0) + 1}"
