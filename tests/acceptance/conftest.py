"""What the acceptance tests share: the launch service, and homes that a database server of another user can reach."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.acceptance.launch_service import LaunchService, launch_service


@pytest.fixture
async def launches(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LaunchService]:
    """The launch service. Proxies of this machine are left out of the way."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    async with launch_service() as service:
        yield service


@pytest.fixture
def own_home() -> Iterator[Path]:
    """An empty home. Not `tmp_path`: as root the database server is another user, who has to get there."""
    folder = Path(tempfile.mkdtemp(prefix="tradewind-acceptance-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
