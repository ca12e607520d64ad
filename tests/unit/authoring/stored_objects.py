"""More classes whose values tests store: of attrs and pydantic, and one that writes itself."""

from __future__ import annotations

import enum
from datetime import date
from typing import Any

import attrs
import pydantic

from tradewind.authoring.xcom import BaseXCom, StoredXCom


@attrs.define
class Cargo:
    name: str
    tonnes: float
    parts: tuple[int, ...] = ()


class Crew(pydantic.BaseModel):
    name: str = pydantic.Field(alias="callsign")
    born: date
    badge: bytes = b""


class Mission(pydantic.BaseModel):
    title: str
    crew: list[Crew]


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


class Money:
    """Writes and reads itself, as Airflow's protocol has it."""

    __version__ = 2

    def __init__(self, cents: int) -> None:
        self.cents = cents

    def serialize(self) -> dict[str, Any]:
        return {"cents": self.cents}

    @staticmethod
    def deserialize(data: dict[str, Any], version: int) -> Money:
        assert version == 2
        return Money(data["cents"])


class Opaque:
    """Neither data nor writable."""

    def __init__(self, text: str) -> None:
        self.text = text


class InAFolder(BaseXCom):
    """A back end that keeps values elsewhere and stores where, with the keyword arguments that Airflow hands over."""

    kept: dict[str, Any] = {}  # noqa: RUF012 - shared on purpose: it is the folder

    @staticmethod
    def serialize_value(
        value: Any,
        *,
        key: str | None = None,
        task_id: str | None = None,
        dag_id: str | None = None,
        run_id: str | None = None,
        map_index: int | None = None,
    ) -> Any:
        place = f"{dag_id}/{run_id}/{task_id}/{map_index}/{key}"
        InAFolder.kept[place] = value
        return BaseXCom.serialize_value(place)

    @staticmethod
    def deserialize_value(result: StoredXCom) -> Any:
        return InAFolder.kept[BaseXCom.deserialize_value(result)]

    @staticmethod
    def purge(xcom: StoredXCom, *more: Any, **also: Any) -> None:
        del InAFolder.kept[BaseXCom.deserialize_value(xcom)]
