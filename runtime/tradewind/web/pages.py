"""The built pages: read once into memory, served with the right base path, cached by hashed names."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio.to_thread
from aiohttp import hdrs, web

from tradewind.web.keys import CONFIG, mount_path
from tradewind.web.problems import not_found

INDEX: Final = "index.html"
FOR_EVER: Final = "public, max-age=31536000, immutable"
ASK_AGAIN: Final = "no-cache"
_HASHED: Final = re.compile(r"-[A-Za-z0-9_-]{8,}\.\w+$")
_BASE: Final = re.compile(rb"<base\b[^>]*>")
_COMPRESSIBLE: Final = ("text/", "application/javascript", "application/json", "image/svg+xml")

_UNBUILT: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><base href="{base}"><title>Tradewind</title></head>
<body><h1>Tradewind is running</h1>
<p>Its pages are not built. In the source folder, with Node.js installed:</p>
<pre>cd runtime/tradewind/web/ui
npm install
npm run build</pre>
<p>then load this page again. The REST API works without them: <a href="api/v1/ui">what it can do</a>,
<a href="api/v1/health">health</a>.</p></body></html>
"""


@dataclass(frozen=True, slots=True)
class PageFile:
    """A file as it is sent. `packed` is None where gzip gains nothing."""

    content_type: str
    raw: bytes
    packed: bytes | None
    etag: str
    is_hashed: bool


class PageFolder:
    """The files of the built pages. A new build is seen with the next request for the index."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, PageFile] = {}
        self._built_at: int | None = None

    async def find(self, path: str) -> PageFile | None:
        """The file at `path`; None if the build has none, or nothing is built."""
        if path == INDEX or not self._files:
            await anyio.to_thread.run_sync(self._refresh)
        return self._files.get(path)

    def _refresh(self) -> None:
        try:
            built_at = (self._folder / INDEX).stat().st_mtime_ns
        except OSError:
            self._files, self._built_at = {}, None
            return
        if built_at == self._built_at:
            return
        # Old files stay: a page that is open still asks for them.
        self._files = {**self._files, **_read_all(self._folder)}
        self._built_at = built_at


def _read_all(folder: Path) -> dict[str, PageFile]:
    return {
        path.relative_to(folder).as_posix(): _page_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink() and path.suffix != ".map"
    }


def _page_file(path: Path) -> PageFile:
    content_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    if path.suffix == ".js":
        content_type = "text/javascript"
    return make_file(path.read_bytes(), content_type, is_hashed=bool(_HASHED.search(path.name)))


def make_file(raw: bytes, content_type: str, *, is_hashed: bool = False) -> PageFile:
    """A file from its bytes, with its packed form where that is smaller."""
    packed = gzip.compress(raw, mtime=0) if content_type.startswith(_COMPRESSIBLE) else None
    if packed is not None and len(packed) >= len(raw):
        packed = None
    return PageFile(content_type, raw, packed, hashlib.sha256(raw).hexdigest()[:32], is_hashed)


PAGES: Final = web.AppKey("tradewind_pages", PageFolder)


async def serve_page(request: web.Request) -> web.StreamResponse:
    """A file of the build; the index for every address of the pages."""
    path = request.match_info.get("path", "")
    if path.split("/", 1)[0] in ("api", "auth"):
        raise not_found("Not Found", "There is nothing at this address.")
    pages = request.app[PAGES]
    if path not in ("", INDEX):
        found = await pages.find(path)
        if found is not None:
            return _answer(request, found)
        if path.startswith("assets/"):
            raise not_found("Not Found", "The pages have been built anew; load them again.")
    return _answer(request, await _index(request, pages))


async def _index(request: web.Request, pages: PageFolder) -> PageFile:
    base = mount_path(request.app)
    index = await pages.find(INDEX)
    if index is None:
        return make_file(_UNBUILT.format(base=base).encode(), "text/html")
    tag = f'<base href="{base}" />'.encode()
    raw, count = _BASE.subn(lambda _: tag, index.raw, count=1)
    if not count:
        raw = index.raw.replace(b"<head>", b"<head>" + tag, 1)
    return make_file(raw, "text/html")


def _answer(request: web.Request, page: PageFile) -> web.Response:
    headers = {
        hdrs.ETAG: f'"{page.etag}"',
        hdrs.CACHE_CONTROL: FOR_EVER if page.is_hashed else ASK_AGAIN,
        hdrs.VARY: "Accept-Encoding",
    }
    known = request.if_none_match
    if known is not None and any(tag.value in (page.etag, "*") for tag in known):
        return web.Response(status=304, headers=headers)
    body = page.raw
    if page.packed is not None and "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, ""):
        body = page.packed
        headers[hdrs.CONTENT_ENCODING] = "gzip"
    charset = "utf-8" if page.content_type.startswith("text/") else None
    return web.Response(body=body, content_type=page.content_type, charset=charset, headers=headers)


def add_routes(app: web.Application) -> None:
    """Registers the pages: every address that nothing else has."""
    app[PAGES] = PageFolder(app[CONFIG].ui_folder)
    app.router.add_get("/", serve_page, name="index")
    app.router.add_get("/{path:.*}", serve_page, name="pages")
