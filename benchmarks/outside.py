"""`tradewind standalone` as its users start it: a process of its own, asked over HTTP."""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

import asyncpg

from tradewind.home import ADMIN_PASSWORD
from tradewind.store.embedded import cluster, places
from tradewind.store.embedded.running import connect_arguments, read_state

LOG: Final = "standalone.log"


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Standalone:
    """One home folder and the process that serves it, which may die and be started again."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._authorization = ""

    def start(self, environment: dict[str, str] | None = None) -> float:
        """Executes the command. Returns the monotonic seconds just before."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TRADEWIND", "AIRFLOW"))}
        own = {"TRADEWIND_HOME": str(self.home), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [sys.executable, "-m", "tradewind", "standalone", "--port", str(self.port), "--no-examples"]
        with (self.home / LOG).open("ab") as log:
            at = time.monotonic()
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=kept | own | (environment or {}),
                start_new_session=True,
            )
        return at

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process. Raises RuntimeError before `start`."""
        if self._process is None:
            raise RuntimeError("it has not been started")
        return self._process

    @property
    def is_running(self) -> bool:
        """Whether the process exists."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL, as the end of the machine would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self, within: float = 60.0) -> float:
        """Ctrl-C. Returns the seconds until it had ended."""
        began = time.monotonic()
        if self.is_running:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(within)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return time.monotonic() - began

    def wait_healthy(self, within: float = 60.0) -> float:
        """Returns the monotonic seconds at which the API said that all is well."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            if not self.is_running:
                raise SystemExit(f"standalone ended with {self.process.returncode}:\n{self.last_words()}")
            try:
                status, health = self.ask("GET", "/api/v1/health", login=False)
            except OSError:
                time.sleep(0.003)
                continue
            parts = ("metadatabase", "scheduler")
            if status == 200 and all(health[part]["status"] == "healthy" for part in parts):
                return time.monotonic()
            time.sleep(0.003)
        raise SystemExit(f"standalone was not healthy within {within:g} s:\n{self.last_words()}")

    def ask(self, method: str, path: str, body: object = None, *, login: bool = True) -> tuple[int, Any]:
        """Status and JSON of one request. Raises OSError where nobody answers."""
        headers = {"Content-Type": "application/json"}
        if login:
            headers["Authorization"] = self._login()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            raw = answer.read()
        except http.client.HTTPException as error:
            raise ConnectionError(str(error)) from error
        finally:
            connection.close()
        return answer.status, json.loads(raw) if raw else None

    def last_words(self) -> str:
        """The end of what it has printed."""
        text = (self.home / LOG).read_text(errors="replace")
        return text[-6000:]

    def database(self) -> dict[str, Any]:
        """How to connect to its PostgreSQL while it runs."""
        where = places.prepare(self.home)
        state = read_state(where)
        if state is None:
            raise SystemExit(f"no PostgreSQL runs in {self.home}")
        found = connect_arguments(where, cluster.read_password(where))
        return {**found, "host": str(state.run), "server_settings": {"search_path": "tradewind"}}

    async def check_durable(self) -> None:
        """Raises SystemExit where its PostgreSQL does not keep what it has acknowledged."""
        connection = await asyncpg.connect(**self.database())
        try:
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                if await connection.fetchval(f"show {setting}") != "on":
                    raise SystemExit(f"{setting} is off: these figures would mean nothing")
        finally:
            await connection.close()

    def server_pids(self) -> tuple[int, int]:
        """Process ids of the keeper and of PostgreSQL."""
        state = read_state(places.prepare(self.home))
        if state is None:
            raise SystemExit(f"no PostgreSQL runs in {self.home}")
        return state.keeper, state.server

    def _login(self) -> str:
        if not self._authorization:
            password = (self.home / ADMIN_PASSWORD).read_text().strip()
            self._authorization = "Basic " + base64.b64encode(f"admin:{password}".encode()).decode()
        return self._authorization


def descendants(pid: int) -> list[int]:
    """The process and all that it has started, children of children too (as far as they still have a parent here)."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found, stack = [pid], [pid]
    while stack:
        below = children.get(stack.pop(), [])
        found += below
        stack += below
    return found
