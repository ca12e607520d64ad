"""Ratings from a service into PostgreSQL: a user's operator of two hooks, tested as users test theirs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from tests.spec.authored import load_one
from tests.spec.ratings_service import RATINGS, ratings_service, write_package
from tradewind.authoring.connection import Connection
from tradewind.compat import install

pytestmark = pytest.mark.blocks_the_loop  # tasks and hooks have loops of their own

DAG_FILE = """
from datetime import datetime

from airflow import DAG
from airflow.hooks.postgres_hook import PostgresHook
from airflow.models import BaseOperator
from ratings_of_users.hooks import MovielensHook


class MovielensToPostgresOperator(BaseOperator):
    template_fields = ("_start_date", "_end_date", "_insert_query")

    def __init__(self, movielens_conn_id, start_date, end_date, postgres_conn_id, insert_query, **kwargs):
        super().__init__(**kwargs)
        self._movielens_conn_id = movielens_conn_id
        self._start_date = start_date
        self._end_date = end_date
        self._postgres_conn_id = postgres_conn_id
        self._insert_query = insert_query

    def execute(self, context):
        with MovielensHook(self._movielens_conn_id) as hook:
            ratings = list(hook.get_ratings(self._start_date, self._end_date))
        queries = [
            self._insert_query.format(",".join([str(value) for _, value in sorted(rating.items())] + [f"'{now}'"]))
            for rating in ({k: v for k, v in r.items() if k != "date"} for r in ratings)
            for now in [datetime.now()]
        ]
        PostgresHook(postgres_conn_id=self._postgres_conn_id).run(queries)


with DAG("test_dag", default_args={"owner": "airflow"}, start_date=datetime(2019, 1, 3), schedule_interval="@daily"):
    MovielensToPostgresOperator(
        task_id="test",
        movielens_conn_id="movielens_id",
        start_date="{{ prev_ds }}",
        end_date="{{ next_ds }}",
        postgres_conn_id="postgres_id",
        insert_query="INSERT INTO movielens (movieId,rating,ratingTimestamp,userId,scrapeTime) VALUES ({0})",
    )
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """DAG files with their package beside them."""
    install()
    write_package(tmp_path, "ratings_of_users")
    places = list(sys.path)
    sys.path.insert(0, str(tmp_path))
    yield tmp_path
    sys.path[:] = places
    for name in [name for name in sys.modules if name.partition(".")[0] == "ratings_of_users"]:
        del sys.modules[name]


@pytest.mark.spec("2:U10", "2:T-25", "2:T-48", "2:0:Hooks", "1:14:PostgresHook")
def test_ratings_are_stored(folder: Path, database_url: str) -> None:
    place = urlsplit(database_url)
    query = parse_qs(place.query)
    database = Connection(
        conn_id="postgres",
        conn_type="postgres",
        host=query["host"][0],
        login=place.username,
        password=unquote(place.password or ""),
        port=int(query.get("port", ["5432"])[0]),
        schema=place.path[1:],
    )
    dag = load_one(folder, DAG_FILE)
    hooks = vars(sys.modules[dag.task_dict["test"].__module__])
    postgres, movielens = hooks["PostgresHook"], hooks["MovielensHook"]
    with (
        ratings_service() as service,
        patch.object(movielens, "get_connection", return_value=Connection.from_text("test", service.connection)),
        patch.object(postgres, "get_connection", return_value=database),
    ):
        hook: Any = postgres()
        hook.run(
            "CREATE TABLE movielens (movieId integer, rating float, ratingTimestamp integer, userId integer, "
            "scrapeTime timestamp)"
        )
        assert hook.get_first("SELECT COUNT(*) FROM movielens")[0] == 0
        dag.task_dict["test"].run(start_date=dag.start_date, end_date=dag.start_date)
        stored = hook.get_records("SELECT * FROM movielens ORDER BY 3")
    wanted = [r for r in RATINGS if "2019-01-02" <= str(r["date"]) < "2019-01-04"]
    assert stored
    assert [row[:4] for row in stored] == [(r["movieId"], r["rating"], r["timestamp"], r["userId"]) for r in wanted]
    assert all(isinstance(row[4], datetime) for row in stored)
