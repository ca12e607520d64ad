"""What a connection of type `http` says: where, as whom, and how."""

from __future__ import annotations

import ssl
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from tradewind.authoring.connection import Connection
from tradewind.model.errors import TradewindError

_OPTIONS: Final = (
    *("stream", "cert", "proxies", "timeout", "verify", "allow_redirects", "max_redirects", "trust_env"),
    "check_response",
)
"""Keys of a connection's extra that are settings of the client. All others are headers."""

DEFAULT_TIMEOUT: Final = 300.0


class HttpConnectionError(TradewindError):
    """The connection says something that no HTTP client can be made from."""


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """A connection, read."""

    base_url: str
    """Without a slash at its end."""
    login: str | None
    password: str
    headers: Mapping[str, str]
    options: Mapping[str, Any]

    @staticmethod
    def of(conn: Connection) -> HttpSettings:
        """Reads the connection. Raises HttpConnectionError."""
        host = conn.host or ""
        schema = conn.schema or ""
        usual = "https" if conn.conn_type == "https" else "http"
        base = host if "://" in host else f"{schema if schema in ('http', 'https') else usual}://{host}"
        if conn.port:
            base = f"{base}:{conn.port}"
        if schema not in ("", "http", "https"):  # of a URI such as http://host/path
            base = f"{base.rstrip('/')}/{schema.lstrip('/')}"
        if not host:
            raise HttpConnectionError(f"connection {conn.conn_id!r} names no host: set it, for example to example.com")
        extra: object = conn.extra_dejson
        if not isinstance(extra, dict):
            raise HttpConnectionError(f"connection {conn.conn_id!r}: its extra must be a JSON object, of headers")
        entries = cast("dict[str, Any]", extra)
        options = {name: value for name, value in entries.items() if name in _OPTIONS}
        headers = {name: str(value) for name, value in entries.items() if name not in _OPTIONS}
        return HttpSettings(base.rstrip("/"), conn.login or None, conn.password or "", headers, options)

    def url_of(self, endpoint: str | None) -> str:
        """The address of an endpoint: below the connection's own, or itself where it is whole."""
        if not endpoint:
            return self.base_url
        return endpoint if "://" in endpoint else f"{self.base_url}/{endpoint.lstrip('/')}"


def seconds_of(timeout: Any, default: float | None = None) -> tuple[float | None, float | None]:
    """Seconds to connect, and in all, from a number or a pair of numbers (connect, read) as `requests` has it."""
    if timeout is None:
        return None, default
    try:
        if isinstance(timeout, (tuple, list)):
            connect, read = cast("tuple[Any, Any]", timeout)
            return _seconds(connect), _seconds(read)
        return None, _seconds(timeout)
    except (TypeError, ValueError):
        raise HttpConnectionError(f"timeout: a number of seconds is needed, or two, not {timeout!r}") from None


def _seconds(value: Any) -> float | None:
    return None if value is None else float(value)


def tls_of(verify: Any, cert: Any) -> ssl.SSLContext | bool:
    """How the other side is checked: as the machine does, not at all (`verify` false), or by a file of authorities;
    `cert`: a file with a certificate of one's own, or a pair of files. Reads files.
    """
    if isinstance(verify, str) and verify.lower() in ("false", "no", "0"):
        verify = False
    if verify in (None, True, "true", "True") and not cert:
        return True
    if verify is False and not cert:
        return False
    context = ssl.create_default_context(cafile=verify if isinstance(verify, str) else None)
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if isinstance(cert, str):
        context.load_cert_chain(cert)
    elif cert:
        context.load_cert_chain(*cast("tuple[str, str]", cert))
    return context


def proxy_of(proxies: Any, url: str) -> str | None:
    """The proxy for an address, of a mapping by scheme as `requests` has it."""
    if not isinstance(proxies, dict):
        return None
    by_scheme = cast("dict[str, Any]", proxies)
    found = by_scheme.get(url.partition("://")[0]) or by_scheme.get("all")
    return str(found) if found else None


def pairs_of(data: Any) -> Any:
    """A mapping as pairs of texts, as forms and queries have them: lists give a pair for each element, None none."""
    if not isinstance(data, Mapping):
        return data
    pairs: list[tuple[str, str]] = []
    for name, value in cast("Mapping[str, Any]", data).items():
        values = cast("list[Any]", value) if isinstance(value, (list, tuple)) else [value]
        pairs += [
            (name, each.decode() if isinstance(each, bytes) else str(each)) for each in values if each is not None
        ]
    return pairs


def basic(login: str, password: str) -> str:
    """The value of the header that logs in."""
    return f"Basic {b64encode(f'{login}:{password}'.encode()).decode()}"
