"""Options of scale and of places, under Airflow's names, and what the limits do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.config import load_config
from tradewind.config_options import AIRFLOW_SETTLED, airflow_names


def value(home: Path, name: str, given_value: str) -> Any:
    """The option of ours that an option of Airflow sets, after it was set by the environment."""
    section, _, key = name.partition(".")
    config = load_config(home, environ={f"AIRFLOW__{section.upper()}__{key.upper()}": given_value})
    ours_section, _, ours_key = airflow_names()[name].partition(".")
    return getattr(getattr(config, ours_section), ours_key)


@pytest.mark.spec("3:9:core.sql_alchemy_conn", "3:9:core.dags_folder", "3:9:core.load_examples", "3:F11")
def test_places(tmp_path: Path) -> None:
    assert value(tmp_path, "core.dags_folder", str(tmp_path / "here")) == tmp_path / "here"
    assert value(tmp_path, "core.load_examples", "False") is False
    for spelled in ("postgres://u:p@h:5432/d", "postgresql+psycopg2://u:p@h:5432/d", "postgresql://u:p@h:5432/d"):
        assert value(tmp_path, "core.sql_alchemy_conn", spelled) == "postgresql://u:p@h:5432/d"


@pytest.mark.spec("3:9:core.parallelism", "3:9:core.dag_concurrency", "3:9:core.max_active_runs_per_dag")
def test_limits(tmp_path: Path) -> None:
    for name, default in (("parallelism", 32), ("dag_concurrency", 16), ("max_active_runs_per_dag", 16)):
        ours = airflow_names()[f"core.{name}"].partition(".")
        assert getattr(load_config(tmp_path, environ={}).core, ours[2]) == default
        assert value(tmp_path, f"core.{name}", "7") == 7


@pytest.mark.spec("3:9:core.load_default_connections", "3:9:core.fernet_key", "3:9:secrets.backend")
def test_secrets(tmp_path: Path) -> None:
    assert value(tmp_path, "core.load_default_connections", "True") is True
    key = "Vtq1N7d1rXk9m4p6m0yIYb8sZs5c0cG6Vq0m5oQZ3ZI="
    assert value(tmp_path, "core.fernet_key", key) == key
    assert value(tmp_path, "secrets.backend", "a_module.AClass") == "a_module.AClass"


@pytest.mark.spec("3:9:webserver.web_server_port", "3:9:scheduler.parsing_processes", "3:F14")
def test_pages_and_parsing(tmp_path: Path) -> None:
    assert value(tmp_path, "webserver.web_server_port", "9000") == 9000
    assert value(tmp_path, "scheduler.parsing_processes", "3") == 3
    assert value(tmp_path, "dag_processor.parsing_processes", "3") == 3, "the same option in a newer section"


def settled(home: Path, *names: str) -> None:
    """Setting these is no error, and the list of options says why there is nothing to set."""
    environ = {f"AIRFLOW__{name.replace('.', '__').upper()}": "5" for name in names}
    assert load_config(home, environ=environ).core == load_config(home, environ={}).core
    assert all(AIRFLOW_SETTLED[name] for name in names)


@pytest.mark.spec(
    "3:9:scheduler.processor_poll_interval",
    "3:9:scheduler.min_file_process_interval",
    "3:9:scheduler.dag_dir_list_interval",
    "3:9:scheduler.print_stats_interval",
    "3:9:scheduler.job_heartbeat_sec",
)
def test_nothing_is_polled_so_there_is_nothing_to_set(tmp_path: Path) -> None:
    settled(
        tmp_path,
        "scheduler.processor_poll_interval",
        "scheduler.min_file_process_interval",
        "scheduler.dag_dir_list_interval",
        "scheduler.print_stats_interval",
        "scheduler.job_heartbeat_sec",
    )


@pytest.mark.spec(
    "3:9:core.executor", "3:9:core.store_dag_code", "3:9:webserver.rbac", "3:9:scheduler.scheduler_heartbeat_sec"
)
def test_what_is_always_on(tmp_path: Path) -> None:
    settled(tmp_path, "core.executor", "core.store_dag_code", "webserver.rbac", "scheduler.scheduler_heartbeat_sec")


@pytest.mark.spec("3:F15", "3:F09")
@given(text=st.text(alphabet="abc_-/ ", max_size=12))
def test_the_environment_is_seen_while_a_file_is_read(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    from tests.spec.authored import load_one

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RATINGS_BUCKET", text)
        patch.setenv("AIRFLOW_VAR_INPUT_PATH", text)
        dag = load_one(
            tmp_path_factory.mktemp("dags"),
            """
            import os
            from datetime import datetime

            from airflow import DAG
            from airflow.models import Variable

            with DAG(
                "reads",
                start_date=datetime(2026, 1, 1),
                default_args={"bucket": os.environ["RATINGS_BUCKET"], "path": Variable.get("input_path")},
            ):
                pass
            """,
        )
    assert dag.default_args == {"bucket": text, "path": text}
