"""Brings a database to the schema of this version: numbered SQL files, forward only.

`schema.sql`, what all migrations add up to, is written by `tradewind.store.dump`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Final, NamedTuple

from tradewind.model.errors import ConfigError, SchemaMismatch, SchemaMissing
from tradewind.store.connection import Line, LineSettings, Session
from tradewind.store.statements import fragments, statement

OLDEST_SERVER: Final = 15
DEFAULT_SCHEMA: Final = "tradewind"
_FILE = re.compile(r"^(?P<number>\d{4})_(?P<name>\w+)\.sql$")
_SCHEMA = re.compile(r"^[a-z_][a-z0-9_]{0,47}$")


class Migration(NamedTuple):
    """One numbered file."""

    number: int
    name: str
    text: str
    checksum: str


def migrations() -> Sequence[Migration]:
    """All migrations of this version, in order; their numbers are 1, 2, 3 and so on."""
    return _MIGRATIONS


def _read() -> Sequence[Migration]:
    found: list[Migration] = []
    for entry in (files("tradewind.store") / "migrations").iterdir():
        match = _FILE.match(entry.name)
        if match is not None:
            text = entry.read_text(encoding="utf-8")
            checksum = hashlib.sha256(text.encode()).hexdigest()
            found.append(Migration(int(match["number"]), match["name"], text, checksum))
    found.sort()
    if [m.number for m in found] != list(range(1, len(found) + 1)):
        raise ValueError(f"migrations are not numbered without gaps: {[m.number for m in found]}")
    return tuple(found)


async def migrate(session: Session, schema: str = DEFAULT_SCHEMA) -> list[int]:
    """Applies what is missing, in one transaction; returns the numbers applied.

    Raises:
        SchemaMismatch: the server is older than PostgreSQL 15, or the schema is of a newer version
            of Tradewind, or of one whose migrations were different.
    """
    require_server(session)
    require_schema_name(schema)
    async with session.transaction():
        await _run(session, "schema_lock", schema)
        if not await _value(session, "schema_exists", schema):
            await session.execute(_ddl("schema_create", schema))
        await session.execute(_ddl("schema_path", schema))
        await session.execute(fragments("schema")["schema_version_table"])
        missing = _missing(await _applied(session), schema)
        for step in missing:
            await session.execute(step.text)
            await _run(session, "schema_version_insert", step.number, step.name, step.checksum)
    return [step.number for step in missing]


async def check(session: Session, schema: str = DEFAULT_SCHEMA) -> None:
    """Raises SchemaMismatch, naming the command that helps, unless the schema is this version's;
    SchemaMissing where there is none.
    """
    require_server(session)
    require_schema_name(schema)
    if not await _value(session, "schema_versions_exist", schema):
        raise SchemaMissing(
            f"the database has no Tradewind tables (schema {schema!r}): run `tradewind db migrate` on it first"
        )
    async with session.transaction(readonly=True):
        await session.execute(_ddl("schema_path", schema))
        missing = _missing(await _applied(session), schema)
    if missing:
        raise SchemaMismatch(
            f"the database holds an older schema (version {missing[0].number - 1} of {len(migrations())}): "
            "stop all runtimes and run `tradewind db migrate` on it"
        )


async def reset(session: Session, schema: str = DEFAULT_SCHEMA) -> None:
    """Drops everything that Tradewind keeps in this database and makes the schema anew."""
    require_server(session)
    require_schema_name(schema)
    async with session.transaction():
        await _run(session, "schema_lock", schema)
        await session.execute(_ddl("schema_drop", schema))
        await migrate(session, schema)


async def migrate_url(url: str, schema: str = DEFAULT_SCHEMA) -> list[int]:
    """`migrate` over a connection of its own. Raises StoreUnavailable and StoreError too."""
    async with _session(url, schema) as session:
        return await migrate(session, schema)


async def reset_url(url: str, schema: str = DEFAULT_SCHEMA) -> None:
    """`reset` over a connection of its own."""
    async with _session(url, schema) as session:
        await reset(session, schema)


async def check_url(url: str, schema: str = DEFAULT_SCHEMA) -> None:
    """`check` over a connection of its own."""
    async with _session(url, schema) as session:
        await check(session, schema)


@asynccontextmanager
async def _session(url: str, schema: str) -> AsyncGenerator[Session]:
    line = Line(LineSettings(url, schema, "migrate", statement_timeout=600.0))
    try:
        async with line.session() as session:
            yield session
    finally:
        await line.close()


def require_server(session: Session) -> None:
    """Raises SchemaMismatch if the server is older than the oldest supported one."""
    version = session.get_server_version()
    if version.major < OLDEST_SERVER:
        raise SchemaMismatch(
            f"the database server is PostgreSQL {version.major}.{version.minor}; Tradewind needs PostgreSQL "
            f"{OLDEST_SERVER} to 18. Upgrade the server, or set no database URL to use the built-in one"
        )


def require_schema_name(schema: str) -> None:
    """Raises ConfigError for a name that would have to be quoted."""
    if not _SCHEMA.match(schema):
        raise ConfigError(
            f"database schema {schema!r}: use lower-case letters, digits and underscores, at most 48 of them"
        )


def _missing(applied: Sequence[tuple[int, str]], schema: str) -> list[Migration]:
    known = migrations()
    if len(applied) > len(known):
        raise SchemaMismatch(
            f"the database holds schema version {applied[-1][0]}, made by a newer Tradewind; this one knows "
            f"{len(known)}: install the newer version, or run `tradewind db reset` to begin anew (all runs are lost)"
        )
    for (number, checksum), step in zip(applied, known, strict=False):
        if number != step.number or checksum != step.checksum:
            raise SchemaMismatch(
                f"migration {number} of schema {schema!r} was applied in another form than this version has it: "
                "install the version that made the database, or run `tradewind db reset` (all runs are lost)"
            )
    return list(known[len(applied) :])


async def _applied(session: Session) -> list[tuple[int, str]]:
    rows = await session.fetch(statement("schema", "schema_versions").text)
    return [(row["number"], row["checksum"]) for row in rows]


async def _run(session: Session, name: str, *values: object) -> None:
    await session.fetch(statement("schema", name).text, *values)


async def _value(session: Session, name: str, *values: object) -> bool:
    return bool(await session.fetchval(statement("schema", name).text, *values))


def _ddl(name: str, schema: str) -> str:
    return fragments("schema")[name].format(schema=f'"{schema}"')


# Read once, at import: they are first asked for on the loop, where nothing may block.
_MIGRATIONS = _read()
