"""Addresses of databases, in every spelling that people bring along."""

from __future__ import annotations

from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from tradewind.model.errors import ConfigError

_SPELLINGS = frozenset({"postgres", "postgresql"})
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def normalise_url(url: str) -> str:
    """The address as asyncpg takes it: ``postgresql://user:password@host:port/name?options``.

    ``postgres://`` and driver suffixes such as ``postgresql+psycopg2://`` are understood.

    Raises:
        ConfigError: the address is of another database, or not an address.
    """
    parts = urlsplit(url.strip())
    scheme, _, _driver = parts.scheme.partition("+")
    if scheme not in _SPELLINGS:
        kind = f"is an address of {scheme!r}" if scheme else "is not an address of a database"
        raise ConfigError(
            f"database URL {redact_url(url)!r} {kind}; Tradewind keeps its state in PostgreSQL 15 to 18: "
            "use postgresql://USER:PASSWORD@HOST:PORT/NAME, or set no URL for the built-in server"
        )
    try:
        _ = parts.port
    except ValueError as error:
        raise ConfigError(f"database URL {redact_url(url)!r}: {error}") from None
    return _written("postgresql", parts.netloc, parts)


def redact_url(url: str) -> str:
    """The address without its password, for messages and logs."""
    parts = urlsplit(url.strip())
    if "@" not in parts.netloc:
        return url.strip()
    login, _, place = parts.netloc.rpartition("@")
    user = login.partition(":")[0]
    return _written(parts.scheme, f"{user}:***@{place}" if ":" in login else f"{user}@{place}", parts)


def wants_no_tls(url: str) -> bool:
    """Whether TLS is not to be tried: a loopback address or socket folder that asks for no `sslmode`.

    (Looking for client keys raises where the home folder cannot be read.)
    """
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    if "sslmode" in query or "ssl" in query:
        return False
    host = query.get("host", [parts.hostname or ""])[0]
    return host in _LOOPBACK or unquote(host).startswith("/")


def _written(scheme: str, netloc: str, parts: SplitResult) -> str:
    """The address; unlike `urlunsplit` this keeps the slashes of one without a host."""
    return f"{scheme}://{netloc}{parts.path}" + (f"?{parts.query}" if parts.query else "")
