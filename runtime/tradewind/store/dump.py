"""`schema.sql`: the schema as it stands after all migrations, for people to read.

Written from the catalog, so that it is the same on every supported server version.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import Final

from tradewind.store.connection import LineSettings, Row, Session, connect
from tradewind.store.migrate import DEFAULT_SCHEMA, migrate
from tradewind.store.statements import statement

_HEAD: Final = """\
-- The schema after all migrations, written by `python -m tradewind.store.dump URL`.
-- For reading; a test compares it with what the migrations make. What each part is for stands in
-- the migrations.
"""
_STORAGE: Final = {"e": "EXTERNAL", "x": "EXTENDED", "m": "MAIN", "p": "PLAIN"}
FILE: Final = Path(__file__).with_name("schema.sql")


async def dump(session: Session, schema: str = DEFAULT_SCHEMA) -> str:
    """The text of `schema.sql` for the schema as it is in this database."""
    parts: list[str] = []
    for row in await _fetch(session, "dump_types", schema):
        labels = ", ".join(f"'{label}'" for label in row["labels"])
        parts.append(f"CREATE TYPE {row['name']} AS ENUM ({labels});\n")
    parts.extend(f"{row['definition'].strip()};\n" for row in await _fetch(session, "dump_functions", schema))
    parts += [await _table(session, table) for table in await _fetch(session, "dump_tables", schema)]
    return "\n".join([_HEAD, "\n".join(parts).replace(f"{schema}.", "")])


async def _table(session: Session, table: Row) -> str:
    lines = [_column(row) for row in await _fetch(session, "dump_columns", table["oid"])]
    lines += [
        f"CONSTRAINT {row['name']} {row['definition']}"
        for row in await _fetch(session, "dump_constraints", table["oid"])
    ]
    body = ",\n".join(f"    {line}" for line in lines)
    options = f" WITH ({', '.join(sorted(table['options']))})" if table["options"] else ""
    text = f"CREATE TABLE {table['name']} (\n{body}\n){options};\n"
    for row in await _fetch(session, "dump_indexes", table["oid"]):
        text += f"{row['definition']};\n"
    return text


def _column(row: Row) -> str:
    words = [str(row["name"]), str(row["type"])]
    if row["storage"]:
        words.append(f"STORAGE {_STORAGE[row['storage']]}")
    if row["collation_name"]:
        words.append(f'COLLATE "{row["collation_name"]}"')
    if row["is_identity"]:
        words.append("GENERATED ALWAYS AS IDENTITY")
    elif row["default_value"] is not None:
        words.append(f"DEFAULT {row['default_value']}")
    if row["not_null"]:
        words.append("NOT NULL")
    return " ".join(words)


async def _fetch(session: Session, name: str, *values: object) -> list[Row]:
    return await session.fetch(statement("schema", name).text, *values)


async def _dump_of(url: str) -> str:
    session = await connect(LineSettings(url, "tradewind_dump", "dump"))
    try:
        transaction = session.transaction()
        await transaction.start()
        try:
            await migrate(session, "tradewind_dump")
            return await dump(session, "tradewind_dump")
        finally:
            await transaction.rollback()
    finally:
        await session.close()


def main() -> None:
    """Writes the file from a scratch schema of the database named; nothing stays in it."""
    parser = argparse.ArgumentParser(prog="python -m tradewind.store.dump", description=__doc__)
    parser.add_argument("url", metavar="URL", help="a PostgreSQL in which a scratch schema may be made")
    parser.add_argument("--output", type=Path, default=FILE)
    options = parser.parse_args()
    options.output.write_text(asyncio.run(_dump_of(options.url)), encoding="utf-8")


if __name__ == "__main__":
    main()
