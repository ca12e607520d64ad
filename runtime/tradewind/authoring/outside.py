"""Variables and connections where no attempt runs, such as in a DAG file that is being imported.

The runtime listens on a Unix socket of its own and hands its address down with the defaults; each
question is one connection: a JSON line there, a JSON line back.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
from pathlib import Path
from typing import Any, Final

from tradewind.authoring.defaults import current_defaults
from tradewind.model.errors import TradewindError

log = logging.getLogger("tradewind.dag_files")

ANSWER_WITHIN: Final = 40.0
"""Seconds: more than a secrets back end may take."""

_told: set[tuple[str, str]] = set()


class RuntimeAnswers:
    """Asks the runtime that imports this file."""

    def __init__(self, address: str) -> None:
        self._address = address

    def variable_get(self, key: str) -> str | None:
        """The variable's text; None where there is none."""
        return self._ask("variable", key)

    def connection_get(self, conn_id: str) -> str | None:
        """The connection as JSON text or URI; None where there is none."""
        return self._ask("connection", conn_id)

    def _ask(self, kind: str, name: str) -> str | None:
        _tell_once(kind, name)
        try:
            with socket.socket(socket.AF_UNIX) as line:
                line.settimeout(ANSWER_WITHIN)
                line.connect(self._address)
                line.sendall(json.dumps({"kind": kind, "name": name}).encode() + b"\n")
                with line.makefile("rb") as answers:
                    answer: dict[str, Any] = json.loads(answers.readline() or b"{}")
        except (OSError, ValueError) as error:
            raise TradewindError(f"{kind} {name!r}: the runtime does not answer ({error})") from error
        if "error" in answer:
            raise TradewindError(str(answer["error"]))
        found: str | None = answer.get("value")
        return found


def runtime_answers() -> RuntimeAnswers | None:
    """The way to the runtime; None where there is none, or where asking it would wait for itself."""
    address = current_defaults().look_ups
    if not address:
        return None
    if Path(address).stem == str(os.getpid()):
        with contextlib.suppress(RuntimeError):
            asyncio.get_running_loop()
            return None  # this is the very loop that would have to answer
    return RuntimeAnswers(address)


def _tell_once(kind: str, name: str) -> None:
    if (kind, name) not in _told:
        _told.add((kind, name))
        log.warning(
            "%s %r is read while a DAG file is imported: every import asks for it, and a change of it is seen at the "
            "next import only. Read it inside a task, or in a template ({{ %s }})",
            kind,
            name,
            f"var.value.{name}" if kind == "variable" else f"conn.{name}.host",
        )
