"""Answers for variables and connections while DAG files are imported, in processes of their own.

A Unix socket in a folder that only this user can enter. One connection a question, one JSON line each way
(the asking side is `authoring.outside`).
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from tradewind.model.errors import TradewindError
from tradewind.services.secrets import SecretLookups

log = logging.getLogger(__name__)

ASK_WITHIN: Final = 10.0
"""Seconds that somebody who has connected gets to ask."""


@asynccontextmanager
async def serve_look_ups(look_ups: SecretLookups) -> AsyncGenerator[str]:
    """The address, for the time of the block."""
    folder = await asyncio.to_thread(tempfile.mkdtemp, prefix="tradewind-")
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
