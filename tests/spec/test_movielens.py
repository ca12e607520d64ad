"""Hook, operator and sensor of users, in a package beside their DAGs and in one that they install."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from tests.spec.authored import load_one, ran, states
from tests.spec.ratings_service import RATINGS, RatingsServer, ratings_service, write_package
from tradewind.authoring.connection import Connection
from tradewind.compat import install

pytestmark = pytest.mark.blocks_the_loop  # a trial has the loop for itself

THE_DAY = [rating for rating in RATINGS if rating["date"] == "2019-01-03"]


@pytest.fixture(autouse=True)
def modules_as_before() -> Iterator[None]:
    """What a test imports from its folder is forgotten."""
    modules, places = set(sys.modules), list(sys.path)
    yield
    for name in set(sys.modules) - modules:
        if name.partition(".")[0] in {"custom", "airflow_movielens"}:
            del sys.modules[name]
    sys.path[:] = places


def found_first(folder: Path) -> None:
    """Imports look into the folder before any other."""
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[RatingsServer]:
    with ratings_service() as server:
        monkeypatch.setenv("AIRFLOW_CONN_MOVIELENS", server.connection)
        yield server


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """`custom` beside the DAGs, importable by tests too."""
    install()
    write_package(tmp_path / "dags", "custom")
    found_first(tmp_path / "dags")
    return tmp_path / "dags"


HEAD = """
import json
import os
from datetime import datetime

from airflow import DAG
from airflow.operators.python import PythonOperator
from airflow.utils.dates import days_ago
from PACKAGE.hooks import MovielensHook
from PACKAGE.operators import MovielensFetchRatingsOperator
from PACKAGE.ranking import rank_movies_by_rating
from PACKAGE.sensors import MovielensRatingsSensor


def _fetch_ratings(conn_id, templates_dict, batch_size=3, **_):
    with MovielensHook(conn_id=conn_id) as hook:
        found = list(hook.get_ratings(templates_dict["start_date"], templates_dict["end_date"], batch_size))
    os.makedirs(os.path.dirname(templates_dict["output_path"]), exist_ok=True)
    with open(templates_dict["output_path"], "w") as out:
        json.dump(found, fp=out)


def _rank_movies(templates_dict, min_ratings=2, **_):
    with open(templates_dict["input_path"]) as given:
        ranking = rank_movies_by_rating(json.load(given), min_ratings=min_ratings)
    with open(templates_dict["output_path"], "w") as out:
        json.dump(ranking, out)


def rank(folder):
    return PythonOperator(
        task_id="rank_movies",
        python_callable=_rank_movies,
        templates_dict={"input_path": folder + "/{{ds}}.json", "output_path": folder + "/ranking-{{ds}}.json"},
    )

"""

HOOK_DAG = """
with DAG("02_hook", start_date=datetime(2019, 1, 1), end_date=datetime(2019, 1, 10), schedule_interval="@daily"):
    fetch = PythonOperator(
        task_id="fetch_ratings",
        python_callable=_fetch_ratings,
        op_kwargs={"conn_id": "movielens"},
        templates_dict={"start_date": "{{ds}}", "end_date": "{{next_ds}}", "output_path": "OUT/{{ds}}.json"},
    )
    fetch >> rank("OUT")
"""

OPERATOR_DAG = """
with DAG("03_operator", start_date=datetime(2019, 1, 1), end_date=datetime(2019, 1, 10), schedule_interval="@daily"):
    fetch = MovielensFetchRatingsOperator(
        task_id="fetch_ratings", conn_id="movielens", output_path="OUT/{{ds}}.json", batch_size=3
    )
    fetch >> rank("OUT")
"""

SENSOR_DAG = """
with DAG("04_sensor", start_date=days_ago(7), schedule_interval="@daily"):
    wait = MovielensRatingsSensor(task_id="wait_for_ratings", conn_id="movielens", poke_interval=0.01, timeout=LIMIT)
    fetch = MovielensFetchRatingsOperator(task_id="fetch_ratings", conn_id="movielens", output_path="OUT/{{ds}}.json")
    wait >> fetch >> rank("OUT")
"""


def written(text: str, out: Path, name: str = "custom", timeout: float = 60) -> str:
    """The whole DAG file."""
    return (HEAD + text).replace("PACKAGE", name).replace("OUT", str(out)).replace("LIMIT", str(timeout))


def check_files(out: Path) -> None:
    """The ratings of the day as they are, and films with two ratings, the best first."""
    assert json.loads((out / "2019-01-03.json").read_text()) == THE_DAY
    assert json.loads((out / "ranking-2019-01-03.json").read_text()) == [6]


@pytest.mark.spec("2:U2", "2:C-17")
def test_a_hook_in_tasks_of_functions(package: Path, service: RatingsServer, tmp_path: Path) -> None:
    dag = load_one(package, written(HOOK_DAG, tmp_path / "custom_hook"))
    looked_up: list[str] = []
    get = Connection.get

    def counting(conn_id: str) -> Connection:
        looked_up.append(conn_id)
        return get(conn_id)

    with patch.object(Connection, "get", counting):
        report = ran(dag, "2019-01-03", until="2019-01-04")
    assert states(report) == {"fetch_ratings": "success", "rank_movies": "success"}, report.errors
    check_files(tmp_path / "custom_hook")
    assert looked_up == ["movielens"]
    days = "/ratings?start_date=2019-01-03&end_date=2019-01-04"
    assert service.paths == [f"{days}&offset={offset}&limit=3" for offset in (0, 3, 6)]
    assert "pass" not in (package / "a_dag_file.py").read_text()


@pytest.mark.spec("2:C-17", "2:C-16")
def test_pages_are_fetched_as_they_are_needed(package: Path, service: RatingsServer) -> None:
    hook = importlib.import_module("custom.hooks").MovielensHook("movielens")
    with hook:
        found = hook.get_ratings(batch_size=1)
        assert service.paths == []
        assert next(found) == RATINGS[0]
        assert len(service.paths) == 1
        assert [rating["movieId"] for rating in hook.get_ratings("2019-01-05", batch_size=3)] == [1, 2, 3, 4, 5, 6, 6]
        assert len(service.paths) == 4
    assert hook._headers is None


@pytest.mark.spec("2:U3", "2:C-25")
def test_an_operator_of_the_package(
    package: Path, service: RatingsServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    dag = load_one(package, written(OPERATOR_DAG, tmp_path / "custom_operator"))
    report = ran(dag, "2019-01-03", until="2019-01-04")
    assert states(report) == {"fetch_ratings": "success", "rank_movies": "success"}, report.errors
    check_files(tmp_path / "custom_operator")
    assert "Fetching ratings for 2019-01-03 to 2019-01-04" in caplog.messages
    assert "Fetched 7 ratings" in caplog.messages
    caplog.clear()
    service.broken = True
    report = ran(dag, "2019-01-03", until="2019-01-04")
    assert states(report) == {"fetch_ratings": "failed", "rank_movies": "upstream_failed"}
    assert "HTTP Error 500" in report.errors["fetch_ratings"]
    assert "closed the hook of movielens" in caplog.messages


@pytest.mark.spec("2:U4", "2:C-33", "2:C-32")
def test_a_sensor_of_the_package(
    package: Path, service: RatingsServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    service.empty_answers = 2
    report = ran(load_one(package, written(SENSOR_DAG, tmp_path / "custom_sensor")), "2019-01-03", until="2019-01-04")
    assert report.run.state == "success", report.errors
    check_files(tmp_path / "custom_sensor")
    waiting = "Didn't find any ratings for 2019-01-03 to 2019-01-04, waiting..."
    said = [text for text in caplog.messages if "ratings for" in text]
    assert said == [waiting] * 2 + [
        "Found ratings for 2019-01-03 to 2019-01-04, continuing!",
        "Fetching ratings for 2019-01-03 to 2019-01-04",
    ]
    assert [path.rpartition("limit=")[2] for path in service.paths] == ["1", "1", "1", "1000"]
    service.empty_answers = 1000
    late = load_one(package, written(SENSOR_DAG, tmp_path / "none", timeout=0.05))
    assert states(ran(late, "2019-01-03", until="2019-01-04")) == {
        "wait_for_ratings": "failed",
        "fetch_ratings": "upstream_failed",
        "rank_movies": "upstream_failed",
    }


@pytest.mark.spec("2:U7", "2:T-24", "2:T-26")
def test_popularity_with_a_connection_in_place_of_the_stored_one(
    package: Path, service: RatingsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_MOVIELENS")
    operators = importlib.import_module("custom.operators")
    given = Connection(
        conn_id="testconn", host="127.0.0.1", port=service.server_port, login="ada", password="pass word"
    )
    with patch.object(operators.MovielensHook, "get_connection", return_value=given) as mock_get:
        task = operators.MovielensPopularityOperator(
            task_id="test_id", conn_id="testconn", start_date="2019-01-01", end_date="2019-01-06", top_n=5
        )
        result = task.execute(context=None)
    assert len(result) == 5
    assert result == sorted(result, key=lambda item: item[1], reverse=True)
    assert mock_get.call_count == 1
    mock_get.assert_called_with("testconn")


@pytest.mark.spec("2:T-27")
def test_a_connection_is_a_value() -> None:
    assert Connection().conn_id is None
    bare = Connection(conn_id="testconn", login="airflow", password="airflow")
    assert (bare.login, bare.get_password(), bare.host, bare.schema, bare.port) == (
        "airflow",
        "airflow",
        None,
        None,
        None,
    )
    postgres = Connection(conn_id="p", conn_type="postgres", host="localhost", login="me", port=5433)
    assert postgres.get_uri() == "postgres://me@localhost:5433"
    assert Connection(uri=postgres.get_uri()).login == "me"


@pytest.mark.spec("2:T-28")
def test_names_are_replaced_where_they_are_imported_to(package: Path, tmp_path: Path) -> None:
    class OneRating:
        def __init__(self, conn_id: str) -> None:
            assert conn_id == "anything"

        def get_ratings(self, *_: str, batch_size: int) -> Iterator[dict[str, int]]:
            yield {"movieId": batch_size}

        def close(self) -> None:
            """Nothing is open."""

    operators = importlib.import_module("custom.operators")
    fetch = operators.MovielensFetchRatingsOperator(
        task_id="t", conn_id="anything", output_path=str(tmp_path / "new/x.json")
    )
    with patch.object(operators, "MovielensHook", OneRating):
        fetch.execute({})
    assert json.loads((tmp_path / "new/x.json").read_text()) == [{"movieId": 1000}]
    assert operators.MovielensHook is importlib.import_module("custom.hooks").MovielensHook


@pytest.mark.spec("2:C-21")
def test_generic_arguments_of_users_operators(package: Path) -> None:
    DAG: Any = importlib.import_module("airflow").DAG  # noqa: N806 - a class
    dag = DAG("generic", schedule_interval=None, default_args={"owner": "data", "start_date": "2019-01-01"})
    task = importlib.import_module("custom.operators").MovielensFetchRatingsOperator(
        task_id="fetch",
        conn_id="movielens",
        output_path="x",
        retries=2,
        retry_delay=timedelta(minutes=5),
        dag=dag,
        pool="api",
        sla=timedelta(hours=2),
        email=["ops@example.com"],
    )
    spec = dag.to_spec()
    (told,) = spec.tasks
    assert (task.owner, task.retries, task.sla, task.dag) == ("data", 2, timedelta(hours=2), dag)
    assert (told.task_id, told.pool, told.owner) == ("fetch", "api", "data")


SETUP = """
import setuptools

setuptools.setup(
    name="airflow_movielens",
    version="0.1.0",
    description="Hooks, sensors and operators for the Movielens API.",
    author="Anonymous",
    author_email="anonymous@example.com",
    install_requires=["apache-airflow", "requests"],
    packages=setuptools.find_packages("src"),
    package_dir={"": "src"},
    url="https://example.com/airflow_movielens",
    license="MIT license",
)
"""


def builds_wheels() -> bool:
    """Whether setuptools is there and does without a further package. It is not imported: it wants to be first."""
    try:
        major, minor = importlib.metadata.version("setuptools").split(".")[:2]
    except importlib.metadata.PackageNotFoundError:
        return False
    return (int(major), int(minor)) >= (70, 1)


@pytest.mark.spec("2:C-40", "2:U5")
def test_an_installed_package(tmp_path: Path, service: RatingsServer) -> None:
    pytest.importorskip("pip", reason="it installs the package")
    if not builds_wheels():
        pytest.skip("setuptools 70.1 or later builds the package")
    write_package(tmp_path / "package/src", "airflow_movielens")
    (tmp_path / "package/setup.py").write_text(textwrap.dedent(SETUP))
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input", "install"]
    alone = ["--no-index", "--no-deps", "--no-build-isolation", "--target", str(tmp_path / "installed")]
    subprocess.run([*command, *alone, str(tmp_path / "package")], check=True, capture_output=True, timeout=100)
    found_first(tmp_path / "installed")
    dag = load_one(tmp_path / "dags", written(SENSOR_DAG, tmp_path / "out", "airflow_movielens"))
    report = ran(dag, "2019-01-03", until="2019-01-04")
    assert report.run.state == "success", report.errors
    check_files(tmp_path / "out")
    assert importlib.import_module("airflow_movielens.hooks").__file__ == str(
        tmp_path / "installed/airflow_movielens/hooks.py"
    )
