"""What these tests share: the environments, made once a session, and the servers that play the other sides."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.providers_official.environments import ELSEWHERE, SETS, Environment, make_all, versions_digest


@pytest.fixture(scope="session")
def environments() -> Iterator[Mapping[str, Environment]]:
    """By the name of the set; `servers` too. They are large, so that none is left behind.

    TRADEWIND_TEST_PROVIDERS names a folder where they are made once and kept.
    """
    kept = os.environ.get("TRADEWIND_TEST_PROVIDERS")
    if kept:
        folder = Path(kept)
        mark = folder / "complete"
        if mark.exists() and mark.read_text() == versions_digest():
            yield {name: Environment(name, folder / name) for name in (*SETS, "servers")}
            return
        shutil.rmtree(folder, ignore_errors=True)
        made = make_all(folder)
        mark.write_text(versions_digest())
        yield made
        return
    folder = Path(tempfile.mkdtemp(prefix="tradewind-providers-"))
    try:
        yield make_all(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def imports(
    request: pytest.FixtureRequest, environments: Mapping[str, Environment]
) -> Iterator[Mapping[str, Future[Mapping[str, Any]]]]:
    """By set what comes of importing everything. It takes half a minute for each, so other tests run meanwhile."""
    wanted = any(item.nodeid.partition("::")[0].endswith("test_importing.py") for item in request.session.items)
    with ThreadPoolExecutor(1) as beside:
        yield {name: beside.submit(environments[name].import_all) for name in SETS if wanted}


@pytest.fixture(params=SETS)
def environment(
    request: pytest.FixtureRequest,
    environments: Mapping[str, Environment],
    imports: Mapping[str, Future[Mapping[str, Any]]],
) -> Environment:
    """Each of the sets in turn."""
    del imports
    return environments[str(request.param)]


@pytest.fixture(scope="session")
def ports(environments: Mapping[str, Environment]) -> Iterator[Mapping[str, int]]:
    """Where Amazon, Google and the machine with SSH are played."""
    command = [environments["servers"].python, ELSEWHERE / "servers.py"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        yield json.loads(server.stdout.readline())
        server.stdin.close()


def connection(conn_type: str, extra: Mapping[str, Any] | None = None, **fields: object) -> str:
    """A connection as the environment has it."""
    return json.dumps({"conn_type": conn_type, "extra": dict(extra or {}), **fields})
