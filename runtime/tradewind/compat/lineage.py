"""`airflow.lineage`: words for inlets and outlets of tasks. They are kept with the task and used for nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

AUTO: Final = "auto"
"""In `inlets`: the outlets of the tasks before."""


@dataclass(frozen=True)
class File:
    """A file by its URL."""

    template_fields: ClassVar[tuple[str, ...]] = ("url",)
    url: str
    type_hint: str | None = None


@dataclass(frozen=True)
class User:
    """A person."""

    email: str
    first_name: str | None = None
    last_name: str | None = None


@dataclass(frozen=True)
class Tag:
    """A word about data."""

    tag_name: str


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    name: str
    description: str | None = None
    data_type: str | None = None
    tags: list[Tag] = field(default_factory=list[Tag])


@dataclass(frozen=True)
class Table:
    """A table of a database."""

    template_fields: ClassVar[tuple[str, ...]] = (
        "database",
        "cluster",
        "name",
        "tags",
        "description",
        "columns",
        "owners",
    )
    database: str
    cluster: str
    name: str
    tags: list[Tag] = field(default_factory=list[Tag])
    description: str | None = None
    columns: list[Column] = field(default_factory=list[Column])
    owners: list[User] = field(default_factory=list[User])
    extra: dict[str, Any] = field(default_factory=dict[str, Any])
    type_hint: str | None = None
