"""Which modules of the packages import, and what is said where one does not. The guide's table has the same numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, Final

import pytest

from tests.providers_official.environments import IMPORT_WITHIN, PACKAGES, ROOT, SETS

pytestmark = [pytest.mark.provider_packages, pytest.mark.timeout(2 * IMPORT_WITHIN)]

GUIDE: Final = ROOT / "docs" / "guides" / "official-providers.md"
NOT_INSTALLED: Final = re.compile(
    r"install the provider package \(apache-airflow-providers-[a-z-]+, "
    r"|No module named '(bson|cassandra|datafusion|kubernetes|oracledb|plyvel|ray|apache_beam|sagemaker_studio)'"
    r"|provider to be installed|install the apache-beam provider"
    r"|You do not have `mysqlclient` package|pip install google-cloud-aiplatform\[evaluation\]"
    r"|No module named '(fastapi|wtforms|structlog)'"  # Airflow's web server and bundles
)
"""Reasons that Airflow would give as well where the other package is not there."""

NO_PLACE: Final = re.compile(
    r"airflow\.(api_fastapi|cli|dag_processing|executors|security|utils\.cli"
    r"|utils\.python_virtualenv|utils\.log\.\w+|triggers\.temporal) is not available in Tradewind: .{20,}"
    r"|Failed to import BaseUser"  # of the web server, in the package's own words
)
"""Parts of Airflow that have no place here; the message says what to use."""


@pytest.fixture(scope="module")
def found(imports: Mapping[str, Future[Mapping[str, Any]]]) -> Mapping[str, Mapping[str, Any]]:
    """By set and package what came of importing all modules."""
    return {name: future.result() for name, future in imports.items()}


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("package", PACKAGES)
def test_all_modules_import_that_can(found: Mapping[str, Mapping[str, Any]], name: str, package: str) -> None:
    failed: Mapping[str, str] = found[name][package]["failed"]
    unknown = {
        module: reason
        for module, reason in failed.items()
        if not NOT_INSTALLED.search(reason) and not NO_PLACE.search(reason)
    }
    assert not unknown
    importing, modules = _in_the_guide(package)[SETS.index(name)]
    assert len(found[name][package]["modules"]) == modules
    assert modules - len(failed) >= importing


@pytest.mark.parametrize("name", SETS)
def test_hooks_are_found_by_the_types_of_connections(found: Mapping[str, Mapping[str, Any]], name: str) -> None:
    forms: dict[str, Any] = {kind: form for package in PACKAGES for kind, form in found[name][package]["forms"].items()}
    without_hook = {kind for kind, form in forms.items() if isinstance(form, str)}
    assert without_hook <= {"duckdb_aws", "leveldb", "gcpspanner"}, "those three need other packages"
    assert forms["postgres"] == ["schema"]
    assert forms["slack"] == ["password"]
    assert forms["aws"] == ["login", "password"]
    assert {"http", "sqlite", "ssh", "sftp", "google_cloud_platform", "gcpbigquery"} <= forms.keys()


def _in_the_guide(package: str) -> list[tuple[int, int]]:
    """For each set how many modules the table in the guide says import, of how many."""
    for line in GUIDE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0] == f"`{package.replace('.', '-')}`":
            numbers = [re.findall(r"(\d+) of (\d+)", cell) for cell in cells]
            return [(int(few), int(all_)) for cell in numbers for few, all_ in cell]
    raise AssertionError(f"{GUIDE.name} has no row for {package}")
