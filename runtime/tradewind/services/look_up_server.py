"""Answers for variables and connections while DAG files are imported, in processes of their own.

A Unix socket in a folder that only this user can enter. One connection a question, one JSON line each way
(the asking side is `authoring.outside`).
"""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from tradewind.model.errors import TradewindError
from tradewind.services.secrets import SecretLookups

log = logging.getLogger(__name__)

_PREFIX: Final = "tradewind-ask-"

_ADDRESS_MAX: Final = 100
"""Bytes: what every system takes as the path of a socket."""

ASK_WITHIN: Final = 10.0
"""Seconds that somebody who has connected gets to ask."""


@asynccontextmanager
async def serve_look_ups(look_ups: SecretLookups) -> AsyncGenerator[str]:
    """The address, for the time of the block."""
    folder = await asyncio.to_thread(_new_folder)
    address = str(Path(folder, f"{os.getpid()}.sock"))

    async def answer(asked: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(ASK_WITHIN):
                line = await asked.readline()
            back.write(json.dumps(await _answer(look_ups, line)).encode() + b"\n")
            await back.drain()
        except (OSError, TimeoutError) as gone:
            log.debug("a question for a variable or connection was broken off: %s", gone)
        finally:
            back.close()

    server = await asyncio.start_unix_server(answer, address)
    try:
        yield address
    finally:
        server.close()
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _new_folder() -> str:
    """Also removes what processes of this user have left that were killed."""
    parent = _parent()
    for socket_file in parent.glob(f"{_PREFIX}*/*.sock"):
        with suppress(OSError):
            if socket_file.stat().st_uid == os.getuid() and _is_dead(socket_file):
                shutil.rmtree(socket_file.parent)
    return tempfile.mkdtemp(prefix=_PREFIX, dir=parent)


def _parent() -> Path:
    """The temporary folder; `/tmp` where sockets below that one would have paths that are too long."""
    usual = Path(tempfile.gettempdir())
    address = usual / f"{_PREFIX}12345678" / f"{os.getpid()}.sock"
    return usual if len(os.fsencode(address)) <= _ADDRESS_MAX else Path("/tmp")  # noqa: S108 - the folder in it is 0700


def _is_dead(socket_file: Path) -> bool:
    """Whether its process is gone, and nobody answers (the process may be one of another container)."""
    try:
        os.kill(int(socket_file.stem), 0)
    except ProcessLookupError:
        with socket.socket(socket.AF_UNIX) as line:
            return line.connect_ex(str(socket_file)) == errno.ECONNREFUSED
    except ValueError:
        pass  # not one of ours
    return False


async def _answer(look_ups: SecretLookups, line: bytes) -> dict[str, Any]:
    try:
        question = json.loads(line)
        kind, name = str(question["kind"]), str(question["name"])
        if kind not in ("variable", "connection"):
            return {"error": f"unknown kind of question {kind!r}"}
        return {"value": await (look_ups.variable(name) if kind == "variable" else look_ups.connection(name))}
    except TradewindError as error:
        return {"error": error.message}
    except (ValueError, KeyError, TypeError) as error:
        return {"error": f"not a question: {error!r}"}
