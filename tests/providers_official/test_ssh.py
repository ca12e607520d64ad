"""Operators and sensors of the ssh and sftp packages, against a server with SSH that runs real commands."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.providers_official.conftest import connection
from tests.providers_official.environments import Environment

pytestmark = pytest.mark.provider_packages


@pytest.mark.spec("1:C9")
def test_ssh_and_sftp(environment: Environment, ports: Mapping[str, int], tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text("one\ntwo\n")
    machine = connection(
        "ssh",
        {"no_host_key_check": True, "allow_host_key_change": True},
        host="127.0.0.1",
        port=ports["ssh"],
        login="ann",
        password="correct horse",
    )
    done = environment.try_dag(
        "with_ssh", "ssh_dags.py", AIRFLOW_CONN_MACHINE=machine, AIRFLOW_VAR_FOLDER=str(tmp_path)
    )
    assert done.errors == {"ends_badly": "AirflowException"}, done.log
    assert {task_id for task_id, state in done.states.items() if state != "success"} == {"ends_badly"}
    assert base64.b64decode(done.xcoms["say"]) == b"2026-01-05 hello\n"
    assert (done.xcoms["say.ssh_exit"], done.xcoms["ends_badly.ssh_exit"]) == (0, 3)
    assert "aside" in done.log
    assert "correct horse" not in done.log
    assert done.xcoms["decorated"]["decorator_return_value"] == {"seen": True}
    assert done.xcoms["by_hook"] == {"said": "from the hook", "left": [], "tested": True}
    assert (tmp_path / "back.csv").read_text() == "one\ntwo\n"
    assert list((tmp_path / "there" / "deep").iterdir()) == []
