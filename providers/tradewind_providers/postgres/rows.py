"""What a statement has given, with the names of a DB-API cursor."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from asyncpg import Connection as Session
    from asyncpg.pool import PoolConnectionProxy

_COUNT: Final = re.compile(r" (\d+)$")
_JSON: Final = frozenset({"json", "jsonb"})


class Column(NamedTuple):
    """A column of a result, in the order of DB-API descriptions."""

    name: str
    type_code: int
    display_size: None = None
    internal_size: None = None
    precision: None = None
    scale: None = None
    null_ok: None = None


class Rows:
    """All rows of a statement, read one after the other."""

    arraysize = 1

    def __init__(self, columns: Sequence[Column], rows: Sequence[tuple[Any, ...]], statusmessage: str) -> None:
        self.description = list(columns) or None
        """None of a statement that gives no rows."""
        self.statusmessage = statusmessage
        """Such as `INSERT 0 3`."""
        count = _COUNT.search(statusmessage)
        self.rowcount = int(count[1]) if count else len(rows) if columns else -1
        self._rows = iter(rows)

    def fetchone(self) -> tuple[Any, ...] | None:
        """The next row, or None."""
        return next(self._rows, None)

    def fetchmany(self, size: int | None = None) -> list[tuple[Any, ...]]:
        """The next rows, at most `size` of them."""
        return list(islice(self._rows, size or self.arraysize))

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All that are left."""
        return list(self._rows)

    def close(self) -> None:
        """Nothing is held."""

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return self._rows


async def rows_of(session: Session[Any] | PoolConnectionProxy[Any], statement: str) -> Rows:
    """Runs one statement and reads all that it gives; JSON columns as what they stand for."""
    prepared = await session.prepare(statement)
    attributes = prepared.get_attributes()
    records = await prepared.fetch()
    columns = [Column(attribute.name, attribute.type.oid) for attribute in attributes]
    decoded = [n for n, attribute in enumerate(attributes) if attribute.type.name in _JSON]
    rows = [tuple(record.values()) for record in records]
    if decoded:
        rows = [_with_json(row, decoded) for row in rows]
    return Rows(columns, rows, prepared.get_statusmsg() or "")


def _with_json(row: tuple[Any, ...], places: Sequence[int]) -> tuple[Any, ...]:
    values = list(row)
    for place in places:
        if values[place] is not None:
            values[place] = json.loads(values[place])
    return tuple(values)
