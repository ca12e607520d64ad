"""Where a request comes from: its address, scheme, host and site, through proxies that are trusted."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

CSRF_HEADER: Final = "X-Tradewind-CSRF"
READING_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


def client_address(request: web.Request, hops: int) -> str:
    """The caller's address. With `hops` proxies in front: what the outermost of them saw."""
    return _forwarded(request, "X-Forwarded-For", hops) or request.remote or "unknown"


def scheme(request: web.Request, hops: int) -> str:
    """`http` or `https`, as the caller sees it."""
    return _forwarded(request, "X-Forwarded-Proto", hops) or request.scheme


def host(request: web.Request, hops: int) -> str:
    """Host and port, as the caller sees them."""
    return _forwarded(request, "X-Forwarded-Host", hops) or request.host


def _forwarded(request: web.Request, header: str, hops: int) -> str:
    if not hops:
        return ""
    parts = [part.strip() for value in request.headers.getall(header, []) for part in value.split(",")]
    parts = [part for part in parts if part]
    return parts[-min(hops, len(parts))] if parts else ""


def is_from_elsewhere(request: web.Request, hops: int) -> bool:
    """Whether a browser says that another site's page makes this request."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = request.headers.get("Origin")
    return origin is not None and not _is_own(origin, request, hops)


def is_surely_own(request: web.Request, hops: int) -> bool:
    """Whether our own page makes this request: a browser says so, or it carries the header that no
    other site's page can set.
    """
    if is_from_elsewhere(request, hops):
        return False
    return any(name in request.headers for name in ("Sec-Fetch-Site", "Origin", CSRF_HEADER))


def _is_own(origin: str, request: web.Request, hops: int) -> bool:
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return False
    own_scheme = scheme(request, hops)
    default = {"http": 80, "https": 443}.get(parts.scheme)
    named = f"{parts.hostname}:{port or default}"
    own = host(request, hops).lower()
    if ":" not in own.rsplit("]", 1)[-1]:
        own = f"{own}:{ {'http': 80, 'https': 443}.get(own_scheme, 0) }"
    return parts.scheme == own_scheme and named == own.replace("[", "").replace("]", "")
