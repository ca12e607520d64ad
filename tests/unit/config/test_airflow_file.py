"""`airflow.cfg` and secrets back ends as sources of options."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tradewind.authoring.secrets_backend import BaseSecretsBackend
from tradewind.cli.main import cli
from tradewind.config import load_config
from tradewind.model.errors import ConfigError

LEVELS = ("environment", "environment command", "environment secret", "file", "file command", "file secret")
HERE = __name__


class Shelf(BaseSecretsBackend):
    """A back end that knows options."""

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix

    def get_config(self, key: str) -> str | None:
        """`port/9002` gives 9002."""
        return key.removeprefix(f"{self.prefix}/") if key.startswith(f"{self.prefix}/") else None


@pytest.mark.spec("3:F01")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(present=st.sets(st.sampled_from(LEVELS)))
def test_the_order_of_airflows_sources(tmp_path: Path, present: set[str]) -> None:
    port = {level: 9000 + place for place, level in enumerate(LEVELS)}
    name = "AIRFLOW__WEBSERVER__WEB_SERVER_PORT"
    in_environment = {
        "environment": (name, f"{port['environment']}"),
        "environment command": (f"{name}_CMD", f"echo {port['environment command']}"),
        "environment secret": (f"{name}_SECRET", f"port/{port['environment secret']}"),
    }
    in_file = {
        "file": f"web_server_port = {port['file']}",
        "file command": f"web_server_port_cmd = echo {port['file command']}",
        "file secret": f"web_server_port_secret = port/{port['file secret']}",
    }
    rows = [line for level, line in in_file.items() if level in present]
    (tmp_path / "airflow.cfg").write_text("\n".join(["[webserver]", "base_url = http://here", *rows]))
    environ = {
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__SECRETS__BACKEND": f"{HERE}.Shelf",
        "AIRFLOW__SECRETS__BACKEND_KWARGS": '{"prefix": "port"}',
        **{variable: text for level, (variable, text) in in_environment.items() if level in present},
    }
    config = load_config(tmp_path / "home", environ=environ)
    winner = next((level for level in LEVELS if level in present), None)
    assert config.web.port == (8080 if winner is None else port[winner])
    source = config.sources.get("web.port")
    assert (source.kind if source else None) == winner
    if winner is not None and winner.startswith("file"):
        assert source is not None
        assert source.detail == str(tmp_path / "airflow.cfg")


def test_a_whole_file_of_airflow(tmp_path: Path) -> None:
    """Options that are unknown here, empty ones, SQLite and percent signs do no harm."""
    (tmp_path / "airflow.cfg").write_text(
        "[core]\ndags_folder = /srv/dags\nexecutor = LocalExecutor\nparallelism = 7\nfernet_key =\n"
        "[database]\nsql_alchemy_conn = sqlite:////srv/airflow.db\n"
        "[logging]\nlog_format = %(message)s\n[celery]\nworker_concurrency = 3\n"
    )
    config = load_config(tmp_path / "home", environ={"AIRFLOW_CONFIG": str(tmp_path / "airflow.cfg")})
    assert (str(config.dags.folder), config.core.parallelism) == ("/srv/dags", 7)
    assert (config.database.url, config.core.fernet_key) == (None, None)
    ours = load_config(
        tmp_path / "home",
        environ={"AIRFLOW_HOME": str(tmp_path), "TRADEWIND__CORE__PARALLELISM": "8"},
    )
    assert ours.core.parallelism == 8


def test_the_source_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "airflow.cfg").write_text("[core]\nparallelism = 7\n")
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    shown = CliRunner().invoke(cli, ["--home", str(tmp_path / "home"), "config", "list", "-o", "plain"])
    assert any("parallelism" in line and f"file {tmp_path}/airflow.cfg" in line for line in shown.output.splitlines())


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, "no secrets back end is set"),
        ({"AIRFLOW__SECRETS__BACKEND": f"{HERE}.Shelf"}, "has nothing under 'port'"),
        ({"AIRFLOW__SECRETS__BACKEND": f"{HERE}.Nobody"}, "cannot be asked for 'port': AttributeError"),
    ],
)
def test_what_is_wrong_with_a_secret(tmp_path: Path, environ: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_config(tmp_path, environ={**environ, "AIRFLOW__WEBSERVER__WEB_SERVER_PORT_SECRET": "port"})
    (tmp_path / "airflow.cfg").write_text("no section\n")
    with pytest.raises(ConfigError, match=r"airflow\.cfg cannot be read"):
        load_config(tmp_path, environ={"AIRFLOW_HOME": str(tmp_path)})
