"""`tradewind assets` against a real PostgreSQL."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.test_online import database, published, running

__all__ = ["database", "published"]
pytestmark = pytest.mark.blocks_the_loop  # a command has the loop for itself

LAKE = """
from tradewind import DAG, task
from tradewind.authoring.assets import Asset

orders, clients = Asset("orders", "s3://lake/orders", extra={"team": "x"}), Asset("clients")

with DAG("load", schedule=None, is_paused_upon_creation=False):
    @task(outlets=[orders])
    async def produce(): ...
    produce()

with DAG("report", schedule=orders & clients): ...
"""


@pytest.fixture
def lake(home: Path, database: str, request: pytest.FixtureRequest) -> None:
    (home / "dags" / "lake.py").write_text(LAKE)
    request.getfixturevalue("published")


def test_assets_are_listed_shown_and_made(lake: None, run: Run) -> None:
    rows = {row["name"]: row for row in json.loads(run("assets", "list", "-o", "json").output)}
    assert rows["orders"]["producing_tasks"] == ["load.produce"]
    assert rows["clients"]["consuming_dags"] == ["report"]
    assert "s3://lake/orders" in run("assets", "details", "--name", "orders").output
    assert json.loads(run("assets", "details", "--uri", "clients", "-o", "json").output)["name"] == "clients"
    with running():
        made = json.loads(run("assets", "materialize", "--name", "orders", "-o", "json").output)
    assert made["dag_id"] == "load"
    for args, said in (
        (("details",), "either --name or --uri"),
        (("details", "--name", "nothing"), "there is no asset 'nothing'"),
        (("materialize", "--name", "clients"), "no DAG makes it"),
    ):
        result = run("assets", *args)
        assert result.exit_code in (1, 2)
        assert said in result.output


def test_no_assets(published: None, run: Run) -> None:
    assert "No assets yet" in run("assets", "list").output
