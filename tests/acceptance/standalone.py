"""`tradewind standalone` and the other commands, started as users start them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

SECONDS = 180.0
"""For what always comes, on a machine that has other things to do too."""


class Done(NamedTuple):
    """How a command ended."""

    code: int
    output: str
    errors: str


@dataclass(frozen=True, slots=True)
class Standalone:
    """A running system, and what it printed at its start: `Pages` to its URL and so on."""

    home: Path
    process: asyncio.subprocess.Process
    where: Mapping[str, str]
    environment: Mapping[str, str]

    @property
    def url(self) -> str:
        """Address of the pages."""
        return self.where["Pages"]

    @property
    def login(self) -> tuple[str, str]:
        """Name and password of the first login."""
        name, _, password = self.where["Login"].partition(" / ")
        return name, password

    async def tradewind(self, *args: str) -> Done:
        """Runs another command on the same home, and waits for its end."""
        return await _to_its_end(args, self.environment)


async def tradewind(home: Path, *args: str, **variables: str) -> Done:
    """Runs a command on a home to its end."""
    return await _to_its_end(args, _environment(home, variables))


async def _to_its_end(args: Sequence[str], environment: Mapping[str, str]) -> Done:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tradewind", *args),
        env=dict(environment),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(SECONDS):
        output, errors = await process.communicate()
    return Done(process.returncode or 0, output.decode(), errors.decode())


def _environment(home: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """Nothing of the machine's own settings comes in."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("TRADEWIND", "AIRFLOW"))}
    return {**kept, "TRADEWIND_HOME": str(home), "PYTHONPATH": os.pathsep.join(sys.path), **variables}


def standalone(home: Path, **variables: str) -> contextlib.AbstractAsyncContextManager[Standalone]:
    """Starts it on a free port; afterwards stops it as Ctrl-C would."""
    return daemon(home, "standalone", "--port", "0", **variables)


@contextlib.asynccontextmanager
async def daemon(home: Path, *command: str, **variables: str) -> AsyncGenerator[Standalone]:
    """Starts a command that goes on until it is stopped, and waits until it has read its DAG files, if it reads any;
    afterwards stops it as Ctrl-C would, if it still runs.
    """
    environment = _environment(home, variables)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-u", "-m", "tradewind", *command),
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        where = await _what_is_where(process, "Stop" if "web" in command else "DAGs")
        rest = asyncio.ensure_future(_read_on(process))
        yield Standalone(home, process, where, environment)
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
            async with asyncio.timeout(SECONDS):
                assert await process.wait() == 0, await rest
        await rest
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _what_is_where(process: asyncio.subprocess.Process, last: str) -> dict[str, str]:
    assert process.stdout is not None
    found: dict[str, str] = {}
    said: list[str] = []
    async with asyncio.timeout(SECONDS):
        while last not in found:
            line = (await process.stdout.readline()).decode()
            assert line, "".join(said)
            said.append(line)
            name, _, text = line.strip().partition("  ")
            found[name] = text.strip()
    return found


async def _read_on(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await process.stdout.read()).decode()
