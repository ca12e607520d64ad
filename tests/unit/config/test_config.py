"""Sources, their order, and what is said about bad ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tradewind.config import Config, load_config
from tradewind.config_options import SECTIONS, airflow_names, options_of
from tradewind.config_values import database_url
from tradewind.model.errors import ConfigError


def load(home: Path, environ: Mapping[str, str] | None = None, toml: str = "", **overrides: object) -> Config:
    (home / "tradewind.toml").write_text(toml)
    named = {name.replace("__", "."): value for name, value in overrides.items()}
    return load_config(home, named, environ or {})


def test_defaults(tmp_path: Path) -> None:
    config = load_config(tmp_path, environ={})
    assert config.home == tmp_path
    assert config.database.url is None
    assert config.dags.folder == tmp_path / "dags"
    assert config.logging.folder == tmp_path / "logs"
    assert (config.core.parallelism, config.executors.inline.in_flight) == (32, 512)
    assert (config.core.max_active_tasks_per_dag, config.core.max_active_runs_per_dag) == (16, 16)
    assert (config.web.host, config.web.port) == ("127.0.0.1", 8080)
    assert config.core.catchup_by_default is None
    assert config.sources == {}


LEVELS = ("override", "env", "env_cmd", "airflow", "airflow_cmd", "file", "file_cmd")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(present=st.sets(st.sampled_from(LEVELS)))
def test_the_first_source_in_order_wins(tmp_path: Path, present: set[str]) -> None:
    port = {level: 9000 + place for place, level in enumerate(LEVELS)}
    environ: dict[str, str] = {}
    names = {
        "env": ("TRADEWIND__WEB__PORT", "{}"),
        "env_cmd": ("TRADEWIND__WEB__PORT_CMD", "echo {}"),
        "airflow": ("AIRFLOW__WEBSERVER__WEB_SERVER_PORT", "{}"),
        "airflow_cmd": ("AIRFLOW__WEBSERVER__WEB_SERVER_PORT_CMD", "echo {}"),
    }
    for level, (name, text) in names.items():
        if level in present:
            environ[name] = text.format(port[level])
    lines = [f"port = {port['file']}"] if "file" in present else []
    lines += [f'port_cmd = "echo {port["file_cmd"]}"'] if "file_cmd" in present else []
    overrides = {"web.port": port["override"]} if "override" in present else {}
    (tmp_path / "tradewind.toml").write_text("\n".join(["[web]", *lines]))

    config = load_config(tmp_path, overrides, environ)

    winner = next((level for level in LEVELS if level in present), None)
    assert config.web.port == (8080 if winner is None else port[winner])
    kind = {
        "override": "command line",
        "env": "environment",
        "env_cmd": "environment command",
        "airflow": "environment",
        "airflow_cmd": "environment command",
        "file": "file",
        "file_cmd": "file command",
        None: None,
    }[winner]
    source = config.sources.get("web.port")
    assert (source.kind if source else None) == kind


@pytest.mark.parametrize(
    ("variable", "text", "section", "key", "value"),
    [
        ("AIRFLOW__CORE__PARALLELISM", "64", "core", "parallelism", 64),
        ("AIRFLOW__CORE__LOAD_EXAMPLES", "False", "dags", "load_examples", False),
        ("AIRFLOW__CORE__DAG_CONCURRENCY", "4", "core", "max_active_tasks_per_dag", 4),
        ("AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG", "5", "core", "max_active_tasks_per_dag", 5),
        ("AIRFLOW__CORE__MAX_ACTIVE_RUNS_PER_DAG", "3", "core", "max_active_runs_per_dag", 3),
        (
            "AIRFLOW__CORE__MAX_CONSECUTIVE_FAILED_DAG_RUNS_PER_DAG",
            "3",
            "core",
            "max_consecutive_failed_dag_runs_per_dag",
            3,
        ),
        ("AIRFLOW__SCHEDULER__PARTITION_MAPPER_MAX_DOWNSTREAM_KEYS", "7", "core", "max_partition_keys", 7),
        ("AIRFLOW__SCHEDULER__CATCHUP_BY_DEFAULT", "True", "core", "catchup_by_default", True),
        ("AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION", "no", "core", "dags_are_paused_at_creation", False),
        ("AIRFLOW__CORE__DEFAULT_TIMEZONE", "Europe/Amsterdam", "core", "default_timezone", "Europe/Amsterdam"),
        ("AIRFLOW__CORE__XCOM_BACKEND", "shop.xcom.Backend", "core", "xcom_backend", "shop.xcom.Backend"),
        ("AIRFLOW__WEBSERVER__WEB_SERVER_PORT", "8081", "web", "port", 8081),
        ("AIRFLOW__LOGGING__LOGGING_LEVEL", "debug", "logging", "level", "DEBUG"),
        ("AIRFLOW__SCHEDULER__PARSING_PROCESSES", "4", "dags", "parse_processes", 4),
        (
            "AIRFLOW__CORE__SQL_ALCHEMY_CONN",
            "postgresql+psycopg2://ubuntu@localhost:5432/airflow",
            "database",
            "url",
            "postgresql://ubuntu@localhost:5432/airflow",
        ),
        (
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
            "postgres://username:password@localhost:5432/airflow",
            "database",
            "url",
            "postgresql://username:password@localhost:5432/airflow",
        ),
        ("TRADEWIND__EXECUTORS__LOCAL__SLOTS", "3", "executors.local", "slots", 3),
        ("TRADEWIND__SCHEDULER__DRAIN_TIMEOUT", "0", "scheduler", "drain_timeout", 0.0),
    ],
)
def test_environment(tmp_path: Path, variable: str, text: str, section: str, key: str, value: object) -> None:
    config = load(tmp_path, {variable: text})
    assert config.value(section, key) == value
    assert config.sources[f"{section}.{key}"].detail == variable


def test_every_option_can_be_set_by_its_variable_and_reads_back_what_it_shows(tmp_path: Path) -> None:
    config = load_config(tmp_path, environ={})
    for section in SECTIONS:
        for key, (option, _) in options_of(section).items():
            value = config.value(section, key)
            if value is None or option.secret:
                continue
            variable = "TRADEWIND__" + section.upper().replace(".", "__") + "__" + key.upper()
            again = load_config(tmp_path, environ={variable: str(value)})
            assert again.value(section, key) == value, variable


def test_airflow_names_are_unambiguous() -> None:
    names = [name for section in SECTIONS for option, _ in options_of(section).values() for name in option.airflow]
    assert len(names) == len(set(names)) == len(airflow_names())


@pytest.mark.parametrize(
    ("environ", "toml", "parts"),
    [
        ({"TRADEWIND__CORE__PARALELISM": "3"}, "", ["TRADEWIND__CORE__PARALELISM", "[core]", "'parallelism'"]),
        ({"TRADEWIND__SHEDULER__LEASE": "3"}, "", ["TRADEWIND__SHEDULER__LEASE", "[sheduler]", "'scheduler'"]),
        ({"TRADEWIND__WEB__PORT": "http"}, "", ["TRADEWIND__WEB__PORT", "web.port", "'http'", "whole number", "65535"]),
        ({"TRADEWIND__WEB__PORT": "70000"}, "", ["'70000'", "65535"]),
        ({"TRADEWIND__SCHEDULER__LEASE": "nan"}, "", ["scheduler.lease", "seconds"]),
        ({"TRADEWIND__SCHEDULER__LEASE": "3"}, "", ["scheduler.lease", "twice"]),
        ({"AIRFLOW__CORE__LOAD_EXAMPLES": "maybe"}, "", ["AIRFLOW__CORE__LOAD_EXAMPLES", "true or false"]),
        ({"AIRFLOW__LOGGING__LOGGING_LEVEL": "loud"}, "", ["logging.level", "one of", "WARNING"]),
        ({"AIRFLOW__CORE__SQL_ALCHEMY_CONN": "mysql://u:secret@h/db"}, "", ["mysql://u:***@h/db", "PostgreSQL"]),
        ({"TRADEWIND__CORE__DEFAULT_TIMEZONE": "Mars/Base"}, "", ["Mars/Base", "time zone"]),
        ({"TRADEWIND__CORE__FERNET_KEY_CMD": "echo oops >&2; exit 3"}, "", ["FERNET_KEY_CMD", "ended with 3", "oops"]),
        ({}, "[core]\nparalelism = 3", ["tradewind.toml", "[core]", "'parallelism'"]),
        ({}, "parallelism = 3", ["tradewind.toml", "outside a section"]),
        ({}, "[core\n", ["tradewind.toml", "cannot be read"]),
        ({}, "[executors]\nslots = 3", ["[executors.local]", "'slots'"]),
        ({}, "[executors.lokal]\nslots = 3", ["executors.lokal", "'executors.local'"]),
        ({}, "[web]\nport = true", ["web.port", "True"]),
        ({}, "[dags]\nfolder = 3", ["dags.folder", "a path"]),
    ],
)
def test_mistakes_are_named(tmp_path: Path, environ: dict[str, str], toml: str, parts: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, environ, toml)
    for part in parts:
        assert part in caught.value.message
    assert "secret" not in caught.value.message.replace("secrets", "")  # a section is called so


@pytest.mark.parametrize(
    ("toml", "address"),
    [
        ("", "http://localhost:8080"),
        ("[web]\nport = 0", ""),
        ("[web]\nssl_cert = 'c.pem'", "https://localhost:8080"),
        ("[web]\nbase_url = 'https://flows.example.com/x/'", "https://flows.example.com/x"),
    ],
)
def test_the_address_of_the_pages(tmp_path: Path, toml: str, address: str) -> None:
    config = load(tmp_path, toml=toml)
    assert (config.base_url(), config.authoring_defaults().base_url) == (address, address)


def test_unknown_override(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"the command line.*'port'"):
        load(tmp_path, web__prot=1)


def test_airflow_variables_without_a_meaning_here_are_noted_and_no_error(tmp_path: Path) -> None:
    environ = {
        "AIRFLOW__SCHEDULER__DAG_DIR_LIST_INTERVAL": "5",
        "AIRFLOW__ELASTICSEARCH__HOST": "mail",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__SQL_ALCHEMY_CONN": "sqlite:////home/a/airflow.db",
        "AIRFLOW_HOME": "/a",
        "AIRFLOW_CONN_X": "http://x",
    }
    config = load(tmp_path, environ)
    assert set(config.ignored) == {name for name in environ if "__" in name}
    assert "seen at once" in config.ignored["AIRFLOW__SCHEDULER__DAG_DIR_LIST_INTERVAL"]
    assert config.database.url is None


def test_commands_run_only_when_they_decide(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    environ = {"TRADEWIND__WEB__PORT": "1", "TRADEWIND__WEB__PORT_CMD": f"touch '{marker}'; echo 2"}
    assert load(tmp_path, environ).web.port == 1
    assert not marker.exists()


def test_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    home = tmp_path / "home"
    home.mkdir()
    assert load(home, toml='[dags]\nfolder = "flows"').dags.folder == home / "flows"
    assert load(home, {"TRADEWIND__DAGS__FOLDER": "flows"}).dags.folder == elsewhere / "flows"
    assert load(home, dags__folder="./flows").dags.folder == elsewhere / "flows"
    assert load_config(environ={"TRADEWIND_HOME": "."}).home == elsewhere
    assert load_config(environ={"HOME": str(tmp_path)}).home == tmp_path / ".tradewind"


def test_a_home_that_the_system_does_not_know(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"~nobody-of-that-name/x cannot be found.*--home"):
        load_config("~nobody-of-that-name/x", environ={})
    with pytest.raises(ConfigError, match=r"dags.folder = '~nobody-of-that-name/x' is not possible"):
        load(tmp_path, dags__folder="~nobody-of-that-name/x")


def test_listing_masks_secrets(tmp_path: Path) -> None:
    environ = {"TRADEWIND__DATABASE__URL": "postgresql://u:hush@h/db", "TRADEWIND__WEB__SECRET_KEY": "hush"}
    lines = {f"{line.section}.{line.key}": line for line in load(tmp_path, environ).listing()}
    assert lines["database.url"].value == "postgresql://u:***@h/db"
    assert lines["web.secret_key"].value == "***"
    assert str(lines["web.secret_key"].source) == "environment TRADEWIND__WEB__SECRET_KEY"
    assert str(lines["core.parallelism"].source) == "default"
    assert all("hush" not in line.value for line in lines.values())
    assert len(lines) == sum(len(options_of(section)) for section in SECTIONS)


def test_executor_settings_are_plain_data(tmp_path: Path) -> None:
    config = load(tmp_path, toml="[executors.local]\nslots = 2")
    assert config.executors.settings("local")["slots"] == 2
    assert config.executors.settings("inline")["in_flight"] == 512
    assert config.executors.settings("celery") == {}


@pytest.mark.parametrize("raw", ["localhost/db", "sqlite:///x", "mysql://u:p@h/d", "postgresqlx://h"])
def test_other_databases_are_refused(raw: str) -> None:
    with pytest.raises(ConfigError, match="PostgreSQL"):
        database_url(raw)


def test_every_option_is_used() -> None:
    import tradewind.config
    import tradewind_executors

    roots = [Path(module.__file__ or "").parent for module in (tradewind.config, tradewind_executors)]
    texts = [
        file.read_text()
        for root in roots
        for file in root.rglob("*.py")
        if not file.name.startswith("config_") and "node_modules" not in file.parts
    ]
    for section in SECTIONS:
        for key in options_of(section):
            words = (f".{key}", f'"{key}"', f"    {key}: ")
            assert any(word in text for text in texts for word in words), f"{section}.{key} does nothing"
