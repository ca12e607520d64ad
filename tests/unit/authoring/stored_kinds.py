"""Classes whose values tests store as XComs."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from tradewind.authoring.xcom import BaseXCom, StoredXCom


@dataclass(frozen=True)
class Launch:
    name: str
    at: datetime
    images: list[str] = field(default_factory=list[str])


class Place(NamedTuple):
    x: int
    y: int


class Colour(enum.Enum):
    RED = "r"


class Reversed(BaseXCom):
    """A back end as the book writes it: no facts, `.value` on the way back."""

    @staticmethod
    def serialize_value(value: Any) -> Any:
        return BaseXCom.serialize_value(value)[::-1]

    @staticmethod
    def deserialize_value(result: StoredXCom) -> Any:
        return BaseXCom.deserialize_value(StoredXCom(result.value[::-1]))


class WithFacts(BaseXCom):
    """A back end that names its values."""

    @staticmethod
    def serialize_value(value: Any, **facts: Any) -> Any:
        return f"{facts['task_id']}/{facts['key']}={value}"

    @staticmethod
    def deserialize_value(result: StoredXCom) -> Any:
        return result.value.decode()
