"""The hook of HTTP connections: one `aiohttp.ClientSession` for each connection and loop."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from tradewind.authoring.async_hook import AsyncHook
from tradewind.authoring.connection import Connection
from tradewind.authoring.loop_clients import run_alone
from tradewind.model.errors import TradewindError
from tradewind_providers.http.response import HttpResponse, HttpStatusError
from tradewind_providers.http.settings import (
    DEFAULT_TIMEOUT,
    HttpSettings,
    basic,
    pairs_of,
    proxy_of,
    seconds_of,
    tls_of,
)

if TYPE_CHECKING:
    from aiohttp import ClientHandlerType, ClientRequest, ClientResponse, ClientSession

AuthType = Callable[[str, str], Any]

_OF_CLIENTS: Final = frozenset({"accept", "accept-encoding", "accept-language", "content-type", "user-agent"})
"""Headers that clients set themselves where nobody does, and that tell no secrets."""


class HttpClientHook(AsyncHook["ClientSession"]):
    """`async with` it for the session; `send` makes a request and reads its answer.

    The session has the connection's address as base, its login as basic authentication, and its extra as headers,
    which go to the host of the connection only. It keeps no cookies: it is shared.
    """

    conn_name_attr: ClassVar[str] = "http_conn_id"
    default_conn_name: ClassVar[str] = "http_default"
    conn_type: ClassVar[str] = "http"
    also_takes: ClassVar[tuple[str, ...]] = ("https",)
    hook_name: ClassVar[str] = "HTTP"

    def __init__(self, http_conn_id: str | None = None, *, auth_type: AuthType | None = None) -> None:
        super().__init__(http_conn_id)
        self.http_conn_id = self.conn_id
        self.auth_type = auth_type
        self.base_url = ""
        """The address of the connection, once a request was made."""

    def options(self) -> object:
        """Another way to log in is another session."""
        return self.auth_type

    @asynccontextmanager
    async def connect(self, conn: Connection) -> AsyncGenerator[ClientSession]:
        """Opens a session; that sends nothing."""
        from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector

        settings = HttpSettings.of(conn)
        options = settings.options
        connect, total = seconds_of(options.get("timeout"), DEFAULT_TIMEOUT)
        tls = await asyncio.to_thread(tls_of, options.get("verify"), options.get("cert"))
        async with ClientSession(
            f"{settings.base_url}/",
            connector=TCPConnector(ssl=tls),
            cookie_jar=DummyCookieJar(),
            headers={name: value for name, value in settings.headers.items() if name.lower() in _OF_CLIENTS},
            middlewares=(_own_headers(settings, self._authorization(settings)),),
            proxy=proxy_of(options.get("proxies"), settings.base_url),
            timeout=ClientTimeout(total=total, connect=connect),
            trust_env=bool(options.get("trust_env", True)),
        ) as session:
            yield session

    async def send(
        self,
        endpoint: str | None = None,
        data: Any = None,
        headers: Mapping[str, Any] | None = None,
        extra_options: Mapping[str, Any] | None = None,
        *,
        method: str = "POST",
        **request: Any,
    ) -> HttpResponse:
        """Makes a request and reads the answer. `data` is the query of a GET, else the body.

        `extra_options`: `timeout`, `verify`, `cert`, `proxies`, `allow_redirects`, `max_redirects`,
        `check_response`; what else is given goes to `aiohttp` as it is, such as `json` and `params`. Raises
        HttpStatusError unless `check_response` is off, and what aiohttp raises where nobody answers.
        """
        wanted = HttpSettings.of(await self.connection())
        options = {**wanted.options, **(extra_options or {})}
        self.base_url = wanted.base_url
        given = await _arguments(options, wanted.url_of(endpoint))
        given |= {"headers": {name: str(value) for name, value in (headers or {}).items()}, **request}
        method = method.upper()
        if data and method != "HEAD":
            given.setdefault("params" if method == "GET" else "data", pairs_of(data))
        began = monotonic()
        async with self as session, session.request(method, wanted.url_of(endpoint), **given) as answer:
            response = await _read(answer, began)
        if options.get("check_response", True):
            self.check_response(response)
        return response

    async def try_out(self) -> tuple[bool, str]:
        """Whether the connection's address answers a GET, and with what."""
        as_it_is = {"check_response": False, "allow_redirects": False}
        answer = await self.send(extra_options=as_it_is, method="GET")
        return answer.ok, f"{answer.url} answers {answer.status_code} {answer.reason}".rstrip()

    def check_response(self, response: HttpResponse) -> None:
        """Raises HttpStatusError where the status says so, after the body was logged."""
        if not response.ok:
            self.log.error("HTTP error: %s", response.reason)
            self.log.error("%s", response.text)
            raise HttpStatusError(response.status_code, response.reason)

    def _authorization(self, settings: HttpSettings) -> dict[str, str]:
        """The header that logs in, if the connection or the `auth_type` says so."""
        if self.auth_type is None:
            return {"Authorization": basic(settings.login, settings.password)} if settings.login else {}
        made: Any = self.auth_type(settings.login or "", settings.password)
        if hasattr(made, "username"):  # such as that of requests
            return {"Authorization": basic(str(made.username), str(made.password))}
        if hasattr(made, "login") and hasattr(made, "encode"):  # such as that of aiohttp
            return {"Authorization": str(made.encode())}
        raise TradewindError(
            f"auth_type: {made!r} is no basic authentication; for others give the header, in `headers` or in the "
            "extra of the connection"
        )


class HttpHook(HttpClientHook):
    """As `HttpClientHook`, and `run` for code that does not await: it uses a session of its own for each call."""

    shares_with: ClassVar[type[Any] | None] = HttpClientHook

    def __init__(
        self,
        method: str = "POST",
        http_conn_id: str | None = None,
        auth_type: AuthType | None = None,
        **_of_sockets: Any,
    ) -> None:
        """`_of_sockets`: `tcp_keep_alive` and its kin are accepted; connections are kept alive anyway."""
        super().__init__(http_conn_id, auth_type=auth_type)
        self.method = method.upper()

    def run(
        self,
        endpoint: str | None = None,
        data: Any = None,
        headers: Mapping[str, Any] | None = None,
        extra_options: Mapping[str, Any] | None = None,
        **request_kwargs: Any,
    ) -> HttpResponse:
        """Makes the request and waits for its answer, see `send`. On an event loop use `await hook.run_async(…)`."""
        connection = self.known_connection()
        self.base_url = HttpSettings.of(connection).base_url
        hook = self.using(connection)

        async def work() -> HttpResponse:
            return await hook.send(endpoint, data, headers, extra_options, method=self.method, **request_kwargs)

        return run_alone(work, "hook.run_async(…)")

    async def run_async(
        self,
        endpoint: str | None = None,
        data: Any = None,
        headers: Mapping[str, Any] | None = None,
        extra_options: Mapping[str, Any] | None = None,
        **request_kwargs: Any,
    ) -> HttpResponse:
        """`run` for code on an event loop, with the session that all on it share."""
        return await self.send(endpoint, data, headers, extra_options, method=self.method, **request_kwargs)

    def get_conn(self, headers: Mapping[str, Any] | None = None) -> Any:
        """A `requests.Session` with login and headers of the connection. Raises TradewindError without `requests`."""
        if importlib.util.find_spec("requests") is None:
            raise TradewindError(
                "HttpHook.get_conn gives a session of `requests`, which is not installed: install it, or use "
                "hook.run(…), or `async with hook as session`"
            )
        settings = HttpSettings.of(self.known_connection())
        self.base_url = settings.base_url
        session: Any = importlib.import_module("requests").Session()
        if self.auth_type is not None:
            session.auth = self.auth_type(settings.login or "", settings.password)
        elif settings.login:
            session.auth = (settings.login, settings.password)
        session.headers.update({**settings.headers, **(headers or {})})
        return session

    def url_from_endpoint(self, endpoint: str | None) -> str:
        """The address of an endpoint."""
        return HttpSettings.of(self.known_connection()).url_of(endpoint)

    def test_connection(self) -> tuple[bool, str]:
        """Whether the connection's address answers a GET, and with what. Blocks, and raises nothing."""
        try:
            return run_alone(self.using(self.known_connection()).try_out, "hook.try_out()")
        except Exception as error:
            return False, f"{type(error).__name__}: {error}"


class HttpAsyncHook(HttpClientHook):
    """The hook whose `run` is a coroutine."""

    shares_with: ClassVar[type[Any] | None] = HttpClientHook

    def __init__(
        self,
        method: str = "POST",
        http_conn_id: str | None = None,
        auth_type: AuthType | None = None,
        **_of_retries: Any,
    ) -> None:
        """`_of_retries`: `retry_limit` and `retry_delay` are accepted; retries are the task's."""
        super().__init__(http_conn_id, auth_type=auth_type)
        self.method = method.upper()

    async def run(
        self,
        endpoint: str | None = None,
        data: Any = None,
        headers: Mapping[str, Any] | None = None,
        extra_options: Mapping[str, Any] | None = None,
        **request_kwargs: Any,
    ) -> HttpResponse:
        """Makes the request and reads its answer, see `send`."""
        return await self.send(endpoint, data, headers, extra_options, method=self.method, **request_kwargs)


def http(conn_id: str = HttpClientHook.default_conn_name) -> HttpClientHook:
    """Gives the shared session of a connection.

    Write `async with http("launch_api") as session:`.
    """
    return HttpClientHook(conn_id)


async def _arguments(options: Mapping[str, Any], url: str) -> dict[str, Any]:
    """What a single request is told beside its method, address, headers and body."""
    from aiohttp import ClientTimeout

    given: dict[str, Any] = {"allow_redirects": bool(options.get("allow_redirects", True))}
    if options.get("max_redirects") is not None:
        given["max_redirects"] = int(options["max_redirects"])
    if options.get("timeout") is not None:
        connect, total = seconds_of(options["timeout"])
        given["timeout"] = ClientTimeout(total=total, connect=connect)
    if options.get("verify") is not None or options.get("cert"):
        given["ssl"] = await asyncio.to_thread(tls_of, options.get("verify"), options.get("cert"))
    proxy = proxy_of(options.get("proxies"), url)
    if proxy:
        given["proxy"] = proxy
    return given


def _own_headers(settings: HttpSettings, login: Mapping[str, str]) -> Any:
    """Adds the connection's headers and login to requests for its own host, redirected ones included."""
    from yarl import URL

    origin = URL(settings.base_url).origin()
    headers = {**login, **settings.headers}
    own = {name: value for name, value in headers.items() if name.lower() not in _OF_CLIENTS}

    async def add(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        if request.url.origin() == origin:
            for name, value in own.items():
                request.headers.setdefault(name, value)
        return await handler(request)

    return add


async def _read(answer: ClientResponse, began: float) -> HttpResponse:
    content = await answer.read()
    return HttpResponse(
        url=str(answer.url),
        status_code=answer.status,
        reason=answer.reason or "",
        headers=cast("Mapping[str, str]", answer.headers),
        content=content,
        encoding=answer.charset or "utf-8",
        elapsed=monotonic() - began,
        history=tuple(str(earlier.url) for earlier in answer.history),
    )
