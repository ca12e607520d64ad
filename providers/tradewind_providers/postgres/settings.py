"""What a connection of type `postgres` says, as asyncpg and psycopg take it."""

from __future__ import annotations

import re
import shlex
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from tradewind.authoring.connection import Connection
from tradewind.model.errors import TradewindError

_TLS_FILES: Final = ("sslrootcert", "sslcert", "sslkey", "sslcrl", "sslpassword")
_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_SETTING: Final = re.compile(r"(?:-c\s*|--)(?P<name>[\w.]+)=(?P<value>.*)", re.DOTALL)
POOL_SIZE: Final = 10


class PostgresConnectionError(TradewindError):
    """The connection says something that no client can be made from."""


@dataclass(frozen=True, slots=True)
class PostgresSettings:
    """A connection, read."""

    host: str
    port: int
    user: str | None
    password: str | None
    database: str | None
    """None: of the user's name."""
    sslmode: str
    tls: Mapping[str, str]
    """Files, by the names that libpq has for them."""
    pool_size: int = POOL_SIZE
    """Connections of one client at most."""
    connect_timeout: float = 30.0
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    """Of the server's sessions, such as statement_timeout."""

    @staticmethod
    def of(conn: Connection, database: str | None = None, options: str | None = None) -> PostgresSettings:
        """Reads the connection; `database` and `options` (`-c name=value …`) go before its own.

        Raises PostgresConnectionError naming what is wrong.
        """
        loaded: object = conn.extra_dejson
        if not isinstance(loaded, dict):
            raise PostgresConnectionError(f"connection {conn.conn_id!r}: its extra must be a JSON object")
        extra = cast("dict[str, Any]", loaded)
        host = str(extra.get("host") or conn.host or "localhost")
        near = host in ("localhost", "127.0.0.1", "::1") or host.startswith("/")
        mode = str(extra.get("sslmode") or ("disable" if near else "prefer"))
        if mode not in _MODES:
            raise PostgresConnectionError(
                f"connection {conn.conn_id!r}: sslmode {mode!r} is none of {', '.join(_MODES)}"
            )
        settings = _server_settings(conn, options or str(extra.get("options") or ""))
        if extra.get("application_name"):
            settings["application_name"] = str(extra["application_name"])
        return PostgresSettings(
            host=host,
            port=conn.port or 5432,
            user=conn.login or None,
            password=conn.password,
            database=database or conn.schema or None,
            sslmode=mode,
            tls={name: str(extra[name]) for name in _TLS_FILES if extra.get(name)},
            pool_size=int(_number(conn, extra, "pool_size", POOL_SIZE)),
            connect_timeout=_number(conn, extra, "connect_timeout", 30.0),
            settings=settings,
        )

    def for_asyncpg(self) -> dict[str, Any]:
        """Arguments of `asyncpg.connect`. Reads the files of certificates."""
        return {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.password,
            "database": self.database or self.user,
            "timeout": self.connect_timeout,
            "server_settings": {"application_name": "tradewind", **self.settings},
            "ssl": self._tls_context(),
        }

    def for_psycopg(self) -> dict[str, Any]:
        """Arguments of `psycopg.connect`."""
        given: dict[str, Any] = {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.password,
            "dbname": self.database,
            "sslmode": self.sslmode,
            "connect_timeout": max(round(self.connect_timeout), 1),
            **self.tls,
        }
        if self.settings:
            given["options"] = " ".join(f"-c {name}={_spared(value)}" for name, value in self.settings.items())
        return {name: value for name, value in given.items() if value is not None}

    def _tls_context(self) -> ssl.SSLContext | str | bool:
        if self.sslmode == "disable":
            return False
        if self.sslmode in ("allow", "prefer"):
            return self.sslmode
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = self.sslmode == "verify-full"
        context.set_alpn_protocols(["postgresql"])
        authorities = self.tls.get("sslrootcert")
        if authorities == "system" or (authorities is None and self.sslmode != "require"):
            context.load_default_certs()
        elif authorities is not None:
            context.load_verify_locations(cafile=authorities)
        else:
            context.verify_mode = ssl.CERT_NONE
        if "sslcrl" in self.tls:
            context.load_verify_locations(cafile=self.tls["sslcrl"])
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
        if "sslcert" in self.tls:
            context.load_cert_chain(self.tls["sslcert"], self.tls.get("sslkey"), self.tls.get("sslpassword"))
        return context


def _server_settings(conn: Connection, options: str) -> dict[str, str]:
    """`-c name=value --other=value` as a mapping."""
    words = shlex.split(options)
    texts: list[str] = []
    while words:
        word = words.pop(0)
        texts.append(f"-c {words.pop(0)}" if word == "-c" and words else word)
    settings: dict[str, str] = {}
    for text in texts:
        found = _SETTING.fullmatch(text)
        if found is None:
            raise PostgresConnectionError(
                f"connection {conn.conn_id!r}: options {text!r} cannot be read; write -c name=value"
            )
        settings[found["name"]] = found["value"]
    return settings


def _number(conn: Connection, extra: Mapping[str, Any], name: str, default: float) -> float:
    value = extra.get(name, default)
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = 0.0
    if number <= 0:
        raise PostgresConnectionError(f"connection {conn.conn_id!r}: {name} must be a number above 0, not {value!r}")
    return number


def _spared(value: str) -> str:
    return value.replace("\\", "\\\\").replace(" ", "\\ ")
