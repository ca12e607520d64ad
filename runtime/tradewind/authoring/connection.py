"""`Connection`: how to reach an outside system, as fields, as a URI and as JSON, each into the others."""

from __future__ import annotations

import json
from collections.abc import Callable
from threading import get_ident
from typing import Any, Final, cast
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from tradewind.authoring.access import current_attempt
from tradewind.authoring.look_ups import asks_system_first, from_environment, reads
from tradewind.authoring.masking import mask_secret
from tradewind.model.errors import AuthoringError, NotFoundError

_EXTRA_KEY: Final = "__extra__"
"""The query parameter that holds an extra which plain parameters cannot express."""

_JSON_FIELDS: Final = frozenset(
    {"conn_id", "conn_type", "description", "host", "login", "password", "schema", "port", "extra"}
)


class Connection:
    """Address and credentials of a system. `extra` is JSON text; what it stands for is `extra_dejson`.

    Give a `uri` or the single fields. Raises AuthoringError for both, and ValueError for a URI that
    cannot be read.
    """

    EXTRA_KEY = _EXTRA_KEY

    def __init__(  # noqa: PLR0913 - the fields of a connection, by the names that existing DAG files use
        self,
        conn_id: str | None = None,
        conn_type: str | None = None,
        description: str | None = None,
        host: str | None = None,
        login: str | None = None,
        password: str | None = None,
        schema: str | None = None,
        port: int | None = None,
        extra: str | dict[str, Any] | list[Any] | None = None,
        uri: str | None = None,
    ) -> None:
        self.conn_id = conn_id
        self.conn_type = conn_type
        self.description = description
        self.host = host
        self.login = login
        self.password = password or None
        self.schema = schema
        self.port = port
        self.extra: str | None = (
            json.dumps(extra) if extra and not isinstance(extra, str) else cast("str | None", extra)
        )
        if uri:
            if any(value for value in (conn_type, host, login, password, schema, port, extra)):
                raise AuthoringError(
                    f"connection {conn_id!r}: give a uri or the single fields (conn_type, host, login, password, "
                    "schema, port, extra), not both"
                )
            self._read_uri(uri)

    # ------------------------------------------------------------------ look-up

    @classmethod
    def get(cls, conn_id: str) -> Connection:
        """The connection of that id. Raises NotFoundError, and ValueError where its text cannot be read."""
        found = from_environment("CONN", conn_id)
        if found is not None and not asks_system_first():
            return _from_text(conn_id, found[0], f"environment variable {found[1]}")
        running = reads()
        text = None if running is None else running.connection_get(conn_id)
        return _required(conn_id, text, found)

    get_connection_from_secrets = get

    @classmethod
    async def aget(cls, conn_id: str) -> Connection:
        """`get` for code on an event loop."""
        running = current_attempt.get(None)
        if running is None or running.thread != get_ident():  # of a loop other than the attempt's
            import asyncio  # not at the top: DAG files do without

            return await asyncio.to_thread(cls.get, conn_id)
        found = from_environment("CONN", conn_id)
        if found is not None and not asks_system_first():
            return _from_text(conn_id, found[0], f"environment variable {found[1]}")
        return _required(conn_id, await running.services.connection_get(conn_id), found)

    @classmethod
    def from_text(cls, conn_id: str, text: str) -> Connection:
        """The connection that a URI or JSON text describes. Raises ValueError."""
        if text.lstrip().startswith("{"):
            return cls.from_json(text, conn_id)
        return cls(conn_id, uri=text.strip())

    @classmethod
    def from_json(cls, value: str, conn_id: str | None = None) -> Connection:
        """The connection that a JSON object describes. Raises ValueError naming what is wrong."""
        data: Any = json.loads(value)
        if not isinstance(data, dict):
            raise ValueError('a connection is a JSON object such as {"conn_type": "http", "host": "example.com"}')
        fields = cast("dict[str, Any]", data)
        if "uri" in fields and fields.keys() <= {"uri", "conn_id", "description"}:
            return cls(conn_id or fields.get("conn_id"), uri=fields["uri"], description=fields.get("description"))
        unknown = fields.keys() - _JSON_FIELDS
        if unknown:
            raise ValueError(f"unknown fields {', '.join(sorted(unknown))}; known: {', '.join(sorted(_JSON_FIELDS))}")
        fields["conn_id"] = conn_id or fields.get("conn_id")
        fields["extra"] = fields.get("extra") or None
        if not isinstance(fields.get("conn_type"), str | None):
            raise ValueError(f"conn_type is a text such as 'http', not {fields['conn_type']!r}")
        if fields.get("conn_type"):
            fields["conn_type"] = _type_of(fields["conn_type"])
        port = fields.pop("port", None)
        if port:
            try:
                fields["port"] = int(port)
            except (TypeError, ValueError) as error:
                raise ValueError(f"Expected integer value for `port`, but got {port!r} instead.") from error
        return cls(**fields)

    # ------------------------------------------------------------------ use

    def get_hook(self, *, hook_params: dict[str, Any] | None = None) -> Any:
        """The hook for this type. Raises NotFoundError where no installed package has one."""
        import pkgutil

        hook_of: Callable[..., Any] = pkgutil.resolve_name("tradewind.authoring.hook:hook_of")  # which imports this
        return hook_of(self, hook_params, packages_first=True)

    def test_connection(self) -> tuple[bool, str]:
        """Whether the system can be reached with this, and what it said. Blocks."""
        import pkgutil

        test: Callable[[Connection], tuple[bool, str]] = pkgutil.resolve_name(
            "tradewind.services.try_connection:try_blocking"  # by name: it stands above, beside the clients it needs
        )
        return test(self)

    # ------------------------------------------------------------------ forms

    @property
    def extra_dejson(self) -> Any:
        """What `extra` stands for; empty where there is none or it is no JSON."""
        if not self.extra:
            return {}
        try:
            return json.loads(self.extra)
        except ValueError:
            return {}

    def get_password(self) -> str | None:
        """The password."""
        return self.password

    def get_extra(self) -> str | None:
        """The extra as text."""
        return self.extra

    def get_uri(self) -> str:
        """The connection as a URI, everything percent-encoded, that reads back as the same connection."""
        scheme = f"{self.conn_type.lower().replace('_', '-')}://" if self.conn_type else "//"
        protocol, host = self.host.split("://", 1) if self.host and "://" in self.host else (None, self.host)
        authority = "" if self.login is None else quote(self.login, safe="")
        if self.password is not None:
            authority += ":" + quote(self.password, safe="")
        if authority:
            authority += "@"
        place = quote(host, safe="") if host else ""
        if self.port:
            place += f":{self.port}" if place or authority else f"@:{self.port}"
        if self.schema:
            place += "/" + quote(self.schema, safe="")
        return scheme + (f"{protocol}://" if protocol else "") + authority + place + self._query()

    def as_json(self) -> str:
        """The connection as JSON, without its id and without what is not set."""
        names = ("conn_type", "description", "host", "login", "password", "schema", "port")
        fields: dict[str, Any] = {name: getattr(self, name) for name in names}
        kept = {name: value for name, value in fields.items() if value is not None}
        if self.extra_dejson:
            kept["extra"] = self.extra_dejson
        return json.dumps(kept)

    def stored_text(self) -> str:
        """The connection as JSON in which nothing is lost: `extra` stays the text that it is."""
        names = ("conn_type", "description", "host", "login", "password", "schema", "port", "extra")
        fields: dict[str, Any] = {name: getattr(self, name) for name in names}
        return json.dumps({name: value for name, value in fields.items() if value is not None})

    def __repr__(self) -> str:
        return f"<Connection {self.conn_id!r} of type {self.conn_type!r}>"

    def __str__(self) -> str:
        return str(self.conn_id)

    # ------------------------------------------------------------------ reading

    def _query(self) -> str:
        if not self.extra:
            return ""
        opening = "?" if self.schema else "/?"
        value = self.extra_dejson
        if isinstance(value, dict) and value:
            plain = urlencode(cast("dict[str, Any]", value))
            if dict(parse_qsl(plain, keep_blank_values=True)) == value:
                return opening + plain
        return opening + urlencode({_EXTRA_KEY: self.extra})

    def _read_uri(self, uri: str) -> None:
        schemes = uri.partition("?")[0].count("://")  # values of the query may hold addresses
        scheme = urlsplit(uri).scheme
        if not scheme:
            raise ValueError(
                f"connection {self.conn_id!r}: the URI has no valid scheme; it begins with the connection's type, "
                "for example postgres://user:password@host:5432/database"
            )
        if schemes > 2:
            raise ValueError(f"connection {self.conn_id!r}: the URI has more than two schemes")
        self.conn_type = _type_of(scheme)
        rest = uri[len(scheme) + 1 :]
        protocol: str | None = None
        if schemes == 2 and rest.startswith("//"):
            protocol, rest = rest[2:].split("://", 1)
            if "@" in protocol or ":" in protocol:
                raise ValueError(
                    f"connection {self.conn_id!r}: a second scheme stands directly before the host's address, "
                    "for example ssh://tcp://user:password@host"
                )
            rest = "//" + rest
        parts = urlsplit(rest)
        host = _host_of(parts)
        self.host = f"{protocol}://{host}" if protocol and host else protocol or host
        self.schema = unquote(parts.path[1:])
        self.login = unquote(parts.username) if parts.username else parts.username
        self.password = (unquote(parts.password) if parts.password else None) or None
        self.port = parts.port
        if parts.query:
            query = dict(parse_qsl(parts.query, keep_blank_values=True))
            self.extra = query[_EXTRA_KEY] if _EXTRA_KEY in query else json.dumps(query)


class ConnectionAccessor:
    """`conn` of templates: `conn.my_db.host`, `conn.get('my_db', default)`."""

    __slots__ = ()

    def __getattr__(self, conn_id: str) -> Connection:
        if conn_id.startswith("__"):
            raise AttributeError(conn_id)
        return Connection.get(conn_id)

    def __getitem__(self, conn_id: str) -> Connection:
        return Connection.get(conn_id)

    def get(self, conn_id: str, default_conn: Any = None) -> Any:
        """The connection, or the default where there is none."""
        try:
            return Connection.get(conn_id)
        except NotFoundError:
            return default_conn

    def __repr__(self) -> str:
        return "<connections>"


def _required(conn_id: str, text: str | None, found: tuple[str, str] | None) -> Connection:
    """From what the system has, else from the environment variable that was found."""
    if text is None and found is not None:
        return _from_text(conn_id, found[0], f"environment variable {found[1]}")
    if text is None:
        raise NotFoundError(
            f"The conn_id `{conn_id}` isn't defined: set AIRFLOW_CONN_{conn_id.upper()} (or TRADEWIND_CONN_…) in the "
            "environment, or store the connection (tradewind connections add)"
        )
    return _from_text(conn_id, text, "the stored text")


def _from_text(conn_id: str, text: str, source: str) -> Connection:
    try:
        connection = Connection.from_text(conn_id, text)
    except ValueError as error:
        raise ValueError(f"connection {conn_id!r}: {source} cannot be read: {error}") from error
    mask_secret(connection.password)
    if connection.extra:
        mask_secret(connection.extra_dejson)
    return connection


def _type_of(scheme: str) -> str:
    return "postgres" if scheme == "postgresql" else scheme.replace("-", "_")


def _host_of(parts: SplitResult) -> str:
    """The host, unquoted. A host that is a path (a socket) keeps its case, which `hostname` would lower."""
    host = unquote(parts.hostname or "")
    if "/" not in host:
        return host
    place = parts.netloc.rsplit("@", 1)[-1]
    return unquote(place.split(":", 1)[0])
