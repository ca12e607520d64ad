"""A web server on a port of its own, in a thread: what it is asked is kept, what it answers is a function's doing."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit


class Asked(NamedTuple):
    """One request."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: str

    @property
    def fields(self) -> dict[str, Any]:
        """The body's fields, as JSON or as a form has them."""
        return json.loads(self.body) if self.body.startswith("{") else dict(parse_qsl(self.body))


class Said(NamedTuple):
    """One answer; what is no text is sent as JSON."""

    body: Any
    status: int = 200


Answer = Callable[[Asked], Said]


@dataclass(frozen=True, slots=True)
class WebServer:
    """A running server."""

    port: int
    asked: list[Asked]

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def asked_at(self, path: str) -> list[Asked]:
        """The requests to one path."""
        return [request for request in self.asked if request.path == path]


@contextmanager
def web_server(answer: Answer) -> Generator[WebServer]:
    """Serves inside the `with` block."""
    asked: list[Asked] = []

    class Handler(BaseHTTPRequestHandler):
        def serve(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            headers = {name.lower(): text for name, text in self.headers.items()}
            request = Asked(self.command, parts.path, dict(parse_qsl(parts.query)), headers, body)
            asked.append(request)
            said = answer(request)
            is_text = isinstance(said.body, str)
            payload = (said.body if is_text else json.dumps(said.body)).encode()
            self.send_response(said.status)
            self.send_header("Content-Type", "text/plain" if is_text else "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        do_GET = do_POST = do_HEAD = serve  # noqa: N815 - the names that the base class asks for

        def log_message(self, format: str, *args: Any) -> None:
            """Keeps quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield WebServer(server.server_address[1], asked)
        finally:
            server.shutdown()
            thread.join()
