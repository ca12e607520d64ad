"""An answer over HTTP that has been read whole, with the names that users of `requests` know."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tradewind.model.errors import TradewindError


class HttpStatusError(TradewindError):
    """The answer's status says that the request failed. The message begins with it: `404:Not Found`."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status}:{reason}")
        self.status = status
        self.reason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.status, self.reason)


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """Status, headers and body."""

    url: str
    """Where it came from, after redirects."""
    status_code: int
    reason: str
    headers: Mapping[str, str]
    """Names in any case."""
    content: bytes
    encoding: str
    """Of the body as text."""
    elapsed: float
    """Seconds from the request to the last byte."""
    history: tuple[str, ...] = ()
    """Addresses that led here by redirects."""

    @property
    def ok(self) -> bool:
        """Whether the status is below 400."""
        return self.status_code < 400

    @property
    def text(self) -> str:
        """The body as text; what cannot be read is replaced."""
        return self.content.decode(self.encoding, "replace")

    def json(self, **options: Any) -> Any:
        """What the body stands for. Raises ValueError where it is no JSON."""
        return json.loads(self.content if not options else self.text, **options)

    def raise_for_status(self) -> None:
        """Raises HttpStatusError unless `ok`."""
        if not self.ok:
            raise HttpStatusError(self.status_code, self.reason)

    def iter_lines(self) -> Iterator[bytes]:
        """The lines of the body."""
        yield from self.content.splitlines()

    def __bool__(self) -> bool:
        return self.ok

    def __repr__(self) -> str:
        return f"<HttpResponse [{self.status_code}]>"
