"""Statements that hooks write themselves."""

from __future__ import annotations

from collections.abc import Sequence


def insert(table: str, fields: Sequence[str], rows: Sequence[str]) -> str:
    """Rows, each the text of its values in brackets, into a table."""
    columns = [f"({', '.join(fields)})"] if fields else []
    return " ".join(["INSERT INTO", table, *columns, "VALUES", ", ".join(rows)])


def on_conflict(fields: Sequence[str], index: Sequence[str]) -> str:
    """What follows an insert that replaces rows of the same index."""
    changed = [f"{field} = excluded.{field}" for field in fields if field not in index]
    action = f"UPDATE SET {', '.join(changed)}" if changed else "NOTHING"
    return f" ON CONFLICT ({', '.join(index)}) DO {action}"


def copy_in(table: str) -> str:
    """Lines of the client into a table."""
    return f"COPY {table} FROM STDIN"


def copy_out(table: str) -> str:
    """A table as lines to the client."""
    return f"COPY {table} TO STDOUT"
