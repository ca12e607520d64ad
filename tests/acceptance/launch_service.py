"""A web service with a list of rocket launches and their pictures, on this machine, for the tests of the main job."""

from __future__ import annotations

import contextlib
import socket
import struct
import zlib
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.test_utils import TestServer

PICTURES = ("falcon.png", "ariane.png", "electron.png")


@dataclass(frozen=True, slots=True)
class LaunchService:
    """A running service. `asked` holds the path of every request, in order."""

    url: str
    dead: str
    """An address at which nobody listens."""
    asked: list[str] = field(default_factory=list[str])

    @property
    def address(self) -> str:
        """Address of the list."""
        return f"{self.url}/2.0.0/launch/upcoming/"

    @property
    def missing(self) -> str:
        """Address of a picture that the service does not have."""
        return f"{self.url}/pictures/gone.png"


def png(colour: int) -> bytes:
    """The smallest picture: one grey pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes([0, colour]))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@contextlib.contextmanager
def closed_port() -> Generator[int]:
    """A port of this machine at which nobody listens, and nobody else can meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])


@contextlib.asynccontextmanager
async def launch_service() -> AsyncGenerator[LaunchService]:
    """Seven launches: three pictures (one twice, one moved), a missing one, a dead host, no address, none."""
    asked: list[str] = []

    async def launches(request: web.Request) -> web.Response:
        asked.append(request.path)
        images = [
            f"{service.url}/pictures/falcon.png",
            f"{service.url}/pictures/ariane.png",
            f"{service.url}/pictures/falcon.png",
            f"{service.url}/old/electron.png",
            service.missing,
            service.dead,
            "not an address",
            None,
        ]
        results = [{"name": f"Launch {number}", "image": image} for number, image in enumerate(images)]
        return web.json_response({"count": len(results), "next": None, "results": results})

    async def picture(request: web.Request) -> web.Response:
        asked.append(request.path)
        name = request.match_info["name"]
        if name not in PICTURES:
            raise web.HTTPNotFound
        return web.Response(body=png(PICTURES.index(name)), content_type="image/png")

    async def moved(request: web.Request) -> web.Response:
        asked.append(request.path)
        raise web.HTTPFound(f"/pictures/{request.match_info['name']}")

    async def empty(request: web.Request) -> web.Response:
        return web.json_response({"detail": "Request was throttled."})

    site = web.Application()
    site.router.add_get("/2.0.0/launch/upcoming/", launches)
    site.router.add_get("/pictures/{name}", picture)
    site.router.add_get("/old/{name}", moved)
    site.router.add_get("/throttled", empty)
    async with TestServer(site) as server:
        with closed_port() as port:
            url = str(server.make_url("/")).rstrip("/")
            service = LaunchService(url, f"http://127.0.0.1:{port}/dead.png", asked)
            yield service
