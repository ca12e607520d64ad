"""Packages of operators that several projects share: where they come from, where they must be, what they depend on."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.spec.authored import load
from tests.spec.ratings_service import write_package
from tests.spec.test_movielens import SETUP, builds_wheels
from tradewind.authoring.dag import DAG

pytestmark = pytest.mark.blocks_the_loop

PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input"]


def pip(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PIP, *args], capture_output=True, text=True, timeout=100, check=False)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The sources of `airflow_movielens`, as somebody publishes them."""
    pytest.importorskip("pip", reason="it installs the package")
    if not builds_wheels():
        pytest.skip("setuptools 70.1 or later builds the package")
    folder = tmp_path / "package"
    write_package(folder / "src", "airflow_movielens")
    (folder / "setup.py").write_text(textwrap.dedent(SETUP).replace('"apache-airflow", "requests"', '"tradewind"'))
    return folder


def repository(folder: Path) -> str:
    """The address of the folder as a git repository."""
    who = ["-c", "user.name=ada", "-c", "user.email=ada@here"]
    for args in (["init", "--quiet"], ["add", "--all"], [*who, "commit", "--quiet", "-m", "first"]):
        subprocess.run(["git", "-C", str(folder), *args], check=True, timeout=60, capture_output=True)
    return f"git+file://{folder}"


DAG_FILE = """
from datetime import datetime
from airflow import DAG
from airflow_movielens.operators import MovielensFetchRatingsOperator

with DAG("NAME", start_date=datetime(2019, 1, 1), schedule_interval="@daily"):
    MovielensFetchRatingsOperator(task_id="fetch", conn_id="CONN", output_path="/data/NAME/{{ ds }}.json")
"""


@pytest.mark.spec("2:C-41", "2:C-42")
@pytest.mark.parametrize("source", ["git", "name"])
def test_it_is_installed_from_anywhere_into_the_environment_of_the_system(
    tmp_path: Path, package: Path, source: str
) -> None:
    """By `git+…`, by name from a feed; from a folder see another test. Without it the DAG file is an error."""
    if source == "git":
        where = [repository(package)]
    else:
        feed = tmp_path / "feed"
        built = pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(feed), str(package))
        assert built.returncode == 0, built.stderr
        where = ["--no-index", "--find-links", str(feed), "airflow_movielens"]
    target = tmp_path / "environment"
    done = pip("install", "--no-deps", "--no-build-isolation", "--target", str(target), *where)
    assert done.returncode == 0, done.stderr
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags/ratings.py").write_text(DAG_FILE.replace("NAME", "ratings").replace("CONN", "movielens"))
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("TRADEWIND", "AIRFLOW"))}
    ends: list[tuple[int, bool]] = []
    said = ""
    for places in (sys.path, [str(target), *sys.path]):
        shown = subprocess.run(
            [sys.executable, "-m", "tradewind", "tasks", "render", "ratings", "fetch", "2019-01-03"],
            env={**kept, "TRADEWIND_HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(places)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        said += shown.stdout + shown.stderr
        ends.append((shown.returncode, "/data/ratings/2019-01-03.json" in shown.stdout))
    assert ends == [(1, False), (0, True)]
    assert "No module named 'airflow_movielens'" in said


@pytest.mark.spec("2:C-43")
def test_a_package_depends_on_tradewind_by_its_name(package: Path) -> None:
    """As the guide says: `tradewind` is there, so nothing is fetched; `apache-airflow` would bring the real one."""
    guide = Path(__file__).parents[2] / "docs/guides/from-airflow.md"
    said = " ".join(guide.read_text().split())
    assert "name `apache-airflow`, take that name out or put `tradewind` in its place" in said
    try:
        importlib.metadata.version("tradewind")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("tradewind is not installed here, only on the path")
    offline = ("install", "--dry-run", "--no-index", "--no-build-isolation")
    good = pip(*offline, str(package))
    assert good.returncode == 0, good.stderr
    setup = package / "setup.py"
    setup.write_text(setup.read_text().replace('"tradewind"', '"apache-airflow"'))
    bad = pip(*offline, str(package))
    assert bad.returncode != 0
    assert "apache-airflow" in bad.stderr


@pytest.mark.spec("2:C-44")
def test_one_class_serves_many_dags_and_projects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_package(tmp_path / "shared", "airflow_movielens")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "shared"), *sys.path])
    found: dict[str, DAG] = {}
    for project in ("films", "shows"):
        for name in ("first", "second"):
            text = DAG_FILE.replace("NAME", f"{project}_{name}").replace("CONN", project)
            found |= load(tmp_path / project, text, f"{name}.py")
    tasks = {dag_id: dag.get_task("fetch") for dag_id, dag in found.items()}
    assert set(tasks) == {f"{project}_{name}" for project in ("films", "shows") for name in ("first", "second")}
    assert len({type(task) for task in tasks.values()}) == 1
    assert [vars(task)["_conn_id"] for task in tasks.values()] == ["films", "films", "shows", "shows"]
    for module in [name for name in sys.modules if name.partition(".")[0] == "airflow_movielens"]:
        del sys.modules[module]
