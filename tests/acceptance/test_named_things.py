"""Connections, variables and pools in a running system: from a back end, the environment and the database, at the
top of DAG files and in tasks of both kinds; what is secret is not in the logs.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest
from aiohttp import ClientSession

from tests.acceptance.standalone import standalone
from tests.web.conftest import basic

BACKEND = """
from tradewind import BaseSecretsBackend


class Vault(BaseSecretsBackend):
    def __init__(self, prefix):
        self.prefix = prefix

    def get_conn_value(self, conn_id):
        if conn_id == "broken":
            raise RuntimeError("the vault is sealed")
        return "http://back:open-sesame@end" if conn_id == self.prefix + "_all" else None

    def get_variable(self, key):
        return {"of_backend": "from the back end"}.get(key)
"""

DAG_FILE = """
import asyncio
from airflow import DAG
from airflow.hooks.base import BaseHook
from airflow.models import Variable
from airflow.operators.bash import BashOperator
from airflow.operators.python import PythonOperator


class MyHook(BaseHook):
    def __init__(self, conn_id):
        super().__init__(source=None)
        self.conn_id = conn_id
        self.closed = False

    def get_conn(self):
        config = self.get_connection(self.conn_id)
        self.log.info("the hook has %s", config.password)
        return config.host or "localhost", config.port or 5000

    def close(self):
        self.closed = True


def sync(where):
    with MyHook("stored") as hook:
        assert hook.get_conn() == ("db", 5432)
    assert hook.closed
    assert BaseHook.get_connections("stored")[0].login == "me"
    print("password:", BaseHook.get_connection("stored").password)
    hosts = [BaseHook.get_connection(name).host for name in ("in_all", "in_two", "broken")]
    Variable.set("made", {"by": "task"}, description="by a task", serialize_json=True)
    return [where, Variable.get("of_backend"), Variable.get("made", deserialize_json=True)["by"], *hosts]


async def on_the_loop():
    found = await BaseHook.aget_connection("stored")
    print("password:", found.password)
    return found.get_uri()


with DAG("of_" + Variable.get("team"), schedule=None, is_paused_upon_creation=False):
    one = PythonOperator(task_id="sync", python_callable=sync, op_args=["{{ conn.stored.host }} {{ var.value.team }}"])
    two = PythonOperator(task_id="on_the_loop", python_callable=on_the_loop, pool="narrow")
    said = "echo token is {{ var.value.api_token }} {{ conn.stored.password }}"
    three = BashOperator(task_id="bash", bash_command=said)
    one >> two >> three
"""


@pytest.mark.spec("3:X13", "3:X14", "2:C-10", "2:C-12", "2:C-16")
async def test_from_every_place(tmp_path: Path) -> None:
    (tmp_path / "dags").mkdir()
    (tmp_path / "vaults.py").write_text(BACKEND)
    (tmp_path / "tradewind.toml").write_text(
        "[dags]\nload_examples = false\n[secrets]\nbackend = 'vaults.Vault'\nbackend_kwargs = '{\"prefix\": \"in\"}'\n"
    )
    variables = {
        "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]),
        "AIRFLOW_CONN_IN_ALL": "http://environment",
        "AIRFLOW_CONN_IN_TWO": "http://environment",
    }
    async with standalone(tmp_path, **variables) as system:
        for args in (
            ("connections", "add", "stored", "--conn-uri", "postgres://me:simsalabim@db:5432"),
            ("connections", "add", "in_two", "--conn-uri", "http://database"),
            ("connections", "add", "broken", "--conn-uri", "http://database"),
            ("variables", "set", "api_token", "abracadabra"),
            ("variables", "set", "team", "blue"),
        ):
            assert (await system.tradewind(*args)).code == 0
        asked = await system.tradewind("connections", "get", "in_all", "-o", "json")
        assert json.loads(asked.output)[0]["host"] == "end", "commands look up as tasks do"
        (tmp_path / "dags" / "pipeline.py").write_text(DAG_FILE)
        async with asyncio.timeout(180):
            while (await system.tradewind("dags", "trigger", "of_blue", "--run-id", "r")).code != 0:
                pass  # the file has not been read yet
        made = await system.tradewind("pools", "set", "narrow", "1", "it waits for this")
        assert made.code == 0
        ended = await system.tradewind("dags", "trigger", "of_blue", "--run-id", "s", "--wait")
        logs: dict[str, str] = {}
        for name in ("sync", "on_the_loop", "bash"):
            logs[name] = (await system.tradewind("tasks", "logs", "of_blue", name, "s")).output
        assert ended.code == 0, logs
        place = f"{system.url}/api/v1/dags/of_blue/dagRuns/s/taskInstances/sync/xcomEntries/return_value"
        async with (
            ClientSession(headers=basic(*system.login)) as web,
            web.get(place, params={"stringify": "false"}) as got,
        ):
            value = (await got.json())["value"]
        assert value == ["db blue", "from the back end", "task", "end", "environment", "database"]
        for secret in ("simsalabim", "abracadabra"):
            assert not [name for name, text in logs.items() if secret in text]
        assert "the hook has ***" in logs["sync"]
        assert "password: ***" in logs["on_the_loop"]
        assert "token is *** ***" in logs["bash"]
        listed = await system.tradewind("variables", "list", "-o", "json")
        assert [row["description"] for row in json.loads(listed.output) if row["key"] == "made"] == ["by a task"]
