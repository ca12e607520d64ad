"""A trigger for the end of a command that goes on without its task, its runtime, or either of them.

The command runs in a session of its own, and a shell around it writes its exit code into a file: so the end is known
even where nobody was there to see it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

from tradewind.authoring.triggers import BaseTrigger, TriggerEvent
from tradewind.model.errors import AuthoringError, TaskFailed

LOOK_EVERY: Final = 1.0
"""Seconds between two looks at a process, where the kernel does not tell of its end."""
GRACE: Final = 10.0
"""Seconds that a command which is to end has for that."""

_WRAPPER: Final = """
folder=$1; cd "$2" || exit 127; shift 2
"$@" </dev/null >"$folder/output" 2>&1; code=$?
echo "$code" >"$folder/.exit" && mv "$folder/.exit" "$folder/exit"
exit "$code"
"""


class ProcessTrigger(BaseTrigger, kind="tradewind.process"):
    """Fires when the process `pid` has ended, with `{"pid": …, "exit_code": …, "folder": …}`.

    `ProcessTrigger.start(command)` starts one and gives the trigger for it; its `folder` then has the command's output
    (`output`) and exit code (`exit`). `began` tells the process from a later one with the same number. Killing the
    task ends the process and all in its group: with SIGTERM, after ten seconds with SIGKILL. Without a
    `folder` the exit code is not known (None).
    """

    def __init__(self, pid: int, *, began: int | None = None, folder: str | None = None) -> None:
        super().__init__()
        given = cast("object", pid)
        if not isinstance(given, int) or isinstance(given, bool) or given <= 1:
            raise AuthoringError(f"ProcessTrigger: pid has to be the number of a process, not {given!r}")
        self.pid = pid
        self.began = began
        self.folder = folder

    @classmethod
    def start(
        cls,
        command: str | Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
        folder: str | Path | None = None,
    ) -> ProcessTrigger:
        """Starts a command: a text for the shell, or a program with its arguments (blocking, for a moment).

        `env` is its whole environment, by default that of the task; `cwd` the folder that it runs in; `folder` gets
        its output, by default a new one among the temporary files. Raises TaskFailed where it cannot be started.
        """
        argv = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
        if not argv or not all(isinstance(cast("object", word), str) and "\0" not in word for word in argv):
            raise AuthoringError(f"ProcessTrigger.start: a command is needed, not {command!r}")
        place = Path(folder) if folder is not None else Path(tempfile.mkdtemp(prefix="tradewind_process_"))
        place = place.absolute()
        try:
            place.mkdir(parents=True, exist_ok=True)
            (place / "exit").unlink(missing_ok=True)
            shell = ["/bin/sh", "-c", _WRAPPER, "sh", str(place), str(cwd or Path.cwd()), *argv]
            pid = os.posix_spawn("/bin/sh", shell, dict(env if env is not None else os.environ), setsid=True)
        except OSError as why:
            raise TaskFailed(f"the command {command!r} cannot be started: {why}") from why
        return cls(pid, began=began_at(pid), folder=str(place))

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The kind, and what names the process."""
        return self.trigger_kind, {"pid": self.pid, "began": self.began, "folder": self.folder}

    @property
    def is_running(self) -> bool:
        """Whether the process is there, and is the one that is meant."""
        began = began_at(self.pid)
        if began is not None:
            return self.began is None or began == self.began
        return not sys.platform.startswith("linux") and _exists(self.pid)

    @property
    def exit_code(self) -> int | None:
        """The command's exit code, where it is known."""
        if self.folder is None:
            return None
        try:
            return int((Path(self.folder) / "exit").read_text())
        except (OSError, ValueError):
            return None

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Waits for the end."""
        while await asyncio.to_thread(lambda: self.is_running and self.exit_code is None):
            await _ended(self.pid, LOOK_EVERY)
        _reap(self.pid)
        code = await asyncio.to_thread(lambda: self.exit_code)
        yield TriggerEvent({"pid": self.pid, "exit_code": code, "folder": self.folder})

    async def on_kill(self) -> None:
        """Ends the process, and whatever it has started in its group."""
        for number, seconds in ((signal.SIGTERM, GRACE), (signal.SIGKILL, LOOK_EVERY)):
            if not await self._goes_on():
                return
            self.log.info("Sending %s to process %s", number.name, self.pid)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    while await self._goes_on():
                        await _ended(self.pid, LOOK_EVERY)
                        _reap(self.pid)

    async def _goes_on(self) -> bool:
        return await asyncio.to_thread(lambda: self.is_running)


async def _ended(pid: int, seconds: float) -> None:
    """Until the process has ended, at most so many seconds: as the kernel tells where it does."""
    try:
        handle = os.pidfd_open(pid)
    except (AttributeError, OSError):
        await asyncio.sleep(seconds)
        return
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    loop.add_reader(handle, done.set)
    try:
        await done.wait()
    finally:
        loop.remove_reader(handle)
        os.close(handle)


def began_at(pid: int) -> int | None:
    """When the process began, in the kernel's ticks; None: it is not there (or has ended and is not yet buried), or the
    system does not say.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _reap(pid: int) -> None:
    """Buries the process where it was this one's own child."""
    with contextlib.suppress(OSError):
        os.waitpid(pid, os.WNOHANG)
