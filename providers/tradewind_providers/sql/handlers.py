"""Functions that make a result of what a statement gave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def fetch_all_handler(cursor: Any) -> list[Any] | None:
    """All rows; None of a statement that gives none."""
    return cursor.fetchall() if _gives_rows(cursor) else None


def fetch_one_handler(cursor: Any) -> Any:
    """The first row, or None."""
    return cursor.fetchone() if _gives_rows(cursor) else None


def _gives_rows(cursor: Any) -> bool:
    if not hasattr(cursor, "description"):
        raise RuntimeError(
            "The database we interact with does not support DBAPI 2.0. Use operator and handlers that are specifically "
            "designed for your database."
        )
    return cursor.description is not None


def return_single_query_results(sql: str | Sequence[str], return_last: bool, split_statements: bool | None) -> bool:
    """Whether the result is that of the last statement alone, and no list with one for each."""
    return isinstance(sql, str) and (return_last or not split_statements)
