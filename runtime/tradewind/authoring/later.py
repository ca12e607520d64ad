"""A stand-in for a value that is expensive to ask for: it asks when it is first used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_FORWARDED: Final = (
    "__add__", "__radd__", "__sub__", "__rsub__", "__lt__", "__le__", "__gt__", "__ge__", "__eq__", "__ne__",
    "__getitem__", "__iter__", "__len__", "__contains__", "__format__", "__call__",
)  # fmt: skip


class Later:
    """Behaves as ``source[name]``; only ``is None`` and `type()` can tell the difference."""

    __slots__ = ("_name", "_source")

    def __init__(self, source: Mapping[str, Any], name: str) -> None:
        self._source = source
        self._name = name

    @property
    def __wrapped__(self) -> Any:
        return self._source[self._name]

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self.__wrapped__, attribute)

    def __bool__(self) -> bool:
        return bool(self.__wrapped__)

    def __hash__(self) -> int:
        return hash(self.__wrapped__)

    def __str__(self) -> str:
        return str(self.__wrapped__)

    def __repr__(self) -> str:
        return repr(self.__wrapped__)


def _forward(method: str) -> Any:
    def call(self: Later, *args: Any) -> Any:
        value = self.__wrapped__
        return getattr(value, method)(*(a.__wrapped__ if isinstance(a, Later) else a for a in args))

    call.__name__ = method
    return call


for _method in _FORWARDED:
    setattr(Later, _method, _forward(_method))
