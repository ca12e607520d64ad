"""What of the packages waits as a trigger: the task gives its place back and is called again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.providers_official.conftest import connection
from tests.providers_official.environments import Environment
from tests.providers_official.web_server import Asked, Said, web_server

pytestmark = pytest.mark.provider_packages


def test_deferrable(environment: Environment, ports: Mapping[str, int], tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text("one\n")
    looks = 0

    def answer(asked: Asked) -> Said:
        nonlocal looks
        if asked.path == "/launches":
            return Said({"day": asked.query["day"]})
        looks += 1
        return Said({"ready": True}) if looks > 2 else Said("not yet", 404)

    with web_server(answer) as server:
        done = environment.try_dag(
            "deferrable",
            "deferrable_dags.py",
            AIRFLOW_CONN_API=server.url,
            AIRFLOW_CONN_DB=connection("sqlite", host=str(tmp_path / "launches.db")),
            AIRFLOW_CONN_MACHINE=connection(
                "ssh",
                {"no_host_key_check": True, "allow_host_key_change": True},
                host="127.0.0.1",
                port=ports["ssh"],
                login="ann",
                password="correct horse",
            ),
            AIRFLOW_VAR_FOLDER=str(tmp_path),
        )
    assert (done.state, done.errors) == ("success", {}), done.log
    assert looks >= 3
    assert done.xcoms["fetch"] == {"day": "2026-01-05"}
    assert done.xcoms["read"] == [["a"], ["b"], ["c"], ["d"], ["e"]]
    assert "Sensed 1 files: ['orders.csv']" in done.log
