"""Every option of the configuration: its type, default, limits, meaning and Airflow's names for it.

A section is a frozen dataclass; each field's metadata is an `Option`. `config.py` reads values from
their sources and makes the sections; nothing else knows where a value came from.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from tradewind.model.specs import Json

Kind = Literal["int", "seconds", "bool", "text", "path"]


@dataclass(frozen=True, slots=True)
class Option:
    """What is known about one option. `airflow` holds Airflow's spellings, `section.key`, newest first."""

    kind: Kind
    doc: str
    airflow: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    nullable: bool = False
    secret: bool = False


def _declare(default: Any, option: Option) -> Any:
    """A dataclass field; `Any`, as `dataclasses.field` is for the type checkers."""
    return field(default=default, metadata={"option": option})


def _integer(default: int | None, doc: str, *airflow: str, minimum: int = 0, maximum: int | None = None) -> Any:
    return _declare(default, Option("int", doc, airflow, minimum=minimum, maximum=maximum, nullable=default is None))


def _seconds(default: float, doc: str, *airflow: str, minimum: float = 0.0) -> Any:
    return _declare(default, Option("seconds", doc, airflow, minimum=minimum))


def _flag(default: bool | None, doc: str, *airflow: str) -> Any:
    return _declare(default, Option("bool", doc, airflow, nullable=default is None))


def _text(default: str | None, doc: str, *airflow: str, secret: bool = False) -> Any:
    return _declare(default, Option("text", doc, airflow, nullable=default is None, secret=secret))


def _choice(default: str, doc: str, *airflow: str, choices: tuple[str, ...]) -> Any:
    return _declare(default, Option("text", doc, airflow, choices=choices))


def _path(default: str, doc: str, *airflow: str) -> Any:
    """A path; `default` is taken below the home folder, an empty one means not set."""
    return _declare(Path(default), Option("path", doc, airflow))


@dataclass(frozen=True, slots=True)
class CoreSection:
    """Limits and defaults that every DAG shares."""

    parallelism: int = _integer(
        32,
        "Task instances in processes (or elsewhere outside the loop) at once, in all.",
        "core.parallelism",
        minimum=1,
    )
    max_active_tasks_per_dag: int = _integer(
        16,
        "Running task instances of one DAG, where the DAG does not say.",
        "core.max_active_tasks_per_dag",
        "core.dag_concurrency",
        minimum=1,
    )
    max_active_runs_per_dag: int = _integer(
        16, "Active runs of one DAG, where the DAG does not say.", "core.max_active_runs_per_dag", minimum=1
    )
    max_consecutive_failed_dag_runs_per_dag: int = _integer(
        0,
        "After so many failed runs in a row a DAG is paused, where the DAG does not say; 0: never.",
        "core.max_consecutive_failed_dag_runs_per_dag",
    )
    catchup_by_default: bool | None = _flag(
        None,
        "Whether past intervals are run, where the DAG does not say. Not set: no for DAGs written with tradewind, "
        "yes for DAGs that import airflow.",
        "scheduler.catchup_by_default",
        "core.catchup_by_default",
    )
    create_cron_data_intervals: bool | None = _flag(
        None,
        "Whether runs of a cron expression given as text are about the interval before them; else about their moment. "
        "Not set: no for DAG files that import airflow.sdk, yes for others.",
        "scheduler.create_cron_data_intervals",
    )
    create_delta_data_intervals: bool | None = _flag(
        None, "The same for schedules that are timedeltas.", "scheduler.create_delta_data_intervals"
    )
    dags_are_paused_at_creation: bool = _flag(
        True, "New DAGs start paused, where the DAG does not say.", "core.dags_are_paused_at_creation"
    )
    default_timezone: str = _text(
        "utc", "Zone of naive dates in DAG files: an IANA name, or utc.", "core.default_timezone"
    )
    default_task_retries: int = _integer(
        0, "Retries of a task, where neither task nor DAG say.", "core.default_task_retries"
    )
    default_task_retry_delay: float = _seconds(
        300.0, "Seconds before a retry, where neither task nor DAG say.", "core.default_task_retry_delay"
    )
    default_deferrable: bool = _flag(
        False, "Operators that can defer do so where their tasks do not say.", "operators.default_deferrable"
    )
    default_pool_slots: int = _integer(
        128, "Slots of default_pool when it is made; -1: no limit.", "core.default_pool_task_slot_count", minimum=-1
    )
    hide_sensitive_var_conn_fields: bool = _flag(
        True,
        "Mask passwords, secret-looking extras and variables with secret-looking names in logs and pages.",
        "core.hide_sensitive_var_conn_fields",
        "admin.hide_sensitive_variable_fields",
    )
    sensitive_var_conn_names: str = _text(
        "",
        "Further words, separated by commas: a name that holds one is that of a secret.",
        "core.sensitive_var_conn_names",
        "admin.sensitive_variable_fields",
    )
    test_connection: str = _choice(
        "Disabled",
        "Whether the REST API may try connections out: it makes the server reach out. Commands always may.",
        "core.test_connection",
        choices=("Disabled", "Enabled", "Hidden"),
    )
    xcom_backend: str | None = _text(
        None, "Dotted path of a class that stores XComs elsewhere; not set: in the database.", "core.xcom_backend"
    )
    xcom_max_bytes: int = _integer(16 * 1024 * 1024, "Largest XCom, encoded, in bytes.", minimum=1024)
    max_map_length: int = _integer(
        1024, "Longest result of a task that another can be mapped over.", "core.max_map_length"
    )
    max_partition_keys: int = _integer(
        1000,
        "Keys of runs that the partition key of one event may become, where its mapper does not say.",
        "scheduler.partition_mapper_max_downstream_keys",
        minimum=1,
    )
    xcom_spill_bytes: int = _integer(
        64 * 1024, "A larger XCom lies outside its row, once however often the same value is stored.", minimum=0
    )
    xcom_spill_path: str | None = _text(
        None,
        "Where larger XComs lie: a folder's whole path or an address such as `s3://connection@bucket/prefix`; not set: "
        "in the database.",
    )
    enable_xcom_pickling: bool = _flag(
        False,
        "Values that JSON cannot hold are stored as pickles, with a warning. Reading a pickle runs code that it names.",
        "core.enable_xcom_pickling",
    )
    allowed_deserialization_classes: str = _text(
        "",
        "Patterns of the classes that stored values may be of, such as `mine.*`, separated by spaces. Empty: every "
        "dataclass, attrs class, named tuple, enum and pydantic model.",
        "core.allowed_deserialization_classes",
    )
    fernet_key: str | None = _text(
        None,
        "Key that encrypts connections and variables; not set: made once and kept in the home folder.",
        "core.fernet_key",
        secret=True,
    )


@dataclass(frozen=True, slots=True)
class DatabaseSection:
    """Where the runtime keeps its state."""

    url: str | None = _text(
        None,
        "postgresql://user:password@host:port/name of your own PostgreSQL 15 to 18; not set: the runtime's own, in the "
        "home folder.",
        "database.sql_alchemy_conn",
        "core.sql_alchemy_conn",
        secret=True,
    )
    readers: int = _integer(4, "Connections for pages, REST and CLI.", minimum=1, maximum=100)
    load_default_connections: bool = _flag(
        False,
        "Make Airflow's example connections (postgres_default and so on) where they are missing, at the start.",
        "database.load_default_connections",
        "core.load_default_connections",
    )


@dataclass(frozen=True, slots=True)
class SecretsSection:
    """Where connections and variables are looked up before the environment and the database."""

    backend: str | None = _text(
        None, "Import path of the class of a secrets back end; not set: none.", "secrets.backend"
    )
    backend_kwargs: str | None = _text(
        None, "Arguments of that class: a JSON object.", "secrets.backend_kwargs", secret=True
    )
    use_cache: bool = _flag(False, "Keep what a back end has answered for a while.", "secrets.use_cache")
    cache_ttl_seconds: float = _seconds(900.0, "How long it is kept.", "secrets.cache_ttl_seconds", minimum=1.0)


@dataclass(frozen=True, slots=True)
class DagsSection:
    """Where DAG files are found and how they are read."""

    folder: Path = _path("dags", "Folder of the DAG files.", "core.dags_folder")  # noqa: RUF009 - makes a field
    plugins_folder: Path = _path(  # noqa: RUF009 - makes a field
        "plugins", "Folder of plug-ins: macros, timetables, listeners.", "core.plugins_folder"
    )
    bundles: str | None = _text(
        None,
        "Where DAG files come from, as a JSON list of folders, git repositories and installed packages; "
        "not set: the folder.",
        "dag_processor.dag_bundle_config_list",
        secret=True,
    )
    load_examples: bool = _flag(True, "Load the examples that come with the package.", "core.load_examples")
    import_timeout: float = _seconds(
        30.0, "Seconds that loading one file may take.", "core.dagbag_import_timeout", minimum=0.1
    )
    parse_processes: int = _integer(
        2,
        "Files parsed at once.",
        "dag_processor.parsing_processes",
        "scheduler.parsing_processes",
        minimum=1,
        maximum=64,
    )
    safe_mode: bool = _flag(
        True, "Only load .py files that mention a DAG and tradewind or airflow.", "core.dag_discovery_safe_mode"
    )
    ignore_file_syntax: str = _choice(
        "regexp",
        "Syntax of .airflowignore files (.tradewindignore is always glob).",
        "core.dag_ignore_file_syntax",
        choices=("glob", "regexp"),
    )
    sweep_interval: float = _seconds(
        60.0, "Seconds between two safety listings of the folder (a change is normally an event).", minimum=30.0
    )


@dataclass(frozen=True, slots=True)
class WebSection:
    """The pages and the REST API."""

    host: str = _text(
        "127.0.0.1", "Address to listen on; 0.0.0.0 for every interface.", "api.host", "webserver.web_server_host"
    )
    port: int = _integer(
        8080, "Port to listen on; 0 takes a free one.", "api.port", "webserver.web_server_port", maximum=65535
    )
    secret_key: str | None = _text(
        None,
        "Key that signs sessions; not set: made once and kept in the home folder.",
        "api.secret_key",
        "webserver.secret_key",
        secret=True,
    )
    session_lifetime: float = _seconds(30 * 86400.0, "Seconds after which a login ends.", minimum=60.0)
    base_url: str | None = _text(
        None,
        "Address under which people reach the pages, for links in messages; not set: http://localhost and the port.",
        "api.base_url",
        "webserver.base_url",
    )
    webhooks: str | None = _text(
        None,
        "Webhooks by the name of the event that they bring, as a JSON object: "
        '{"orders": {"secret": "variable:NAME", "style": "github"}}.',
    )
    ssl_cert: str | None = _text(
        None,
        "File with the certificate (PEM), from the home folder on; with it the pages are served over HTTPS only.",
        "api.ssl_cert",
        "webserver.web_server_ssl_cert",
    )
    ssl_key: str | None = _text(
        None,
        "File with its private key; not set: the key is in the same file.",
        "api.ssl_key",
        "webserver.web_server_ssl_key",
    )
    access_logfile: str | None = _text(
        None,
        "File with one line a request, from the home folder on; -: standard error; not set: none.",
        "webserver.access_logfile",
    )
    error_logfile: str | None = _text(
        None,
        "File with what the web server says of itself and its errors; not set or -: standard error.",
        "webserver.error_logfile",
    )


@dataclass(frozen=True, slots=True)
class SchedulerSection:
    """Leases, draining and the guard of the loop. All times in seconds."""

    lease: float = _seconds(7.5, "After this long without a beat a runtime is taken for dead, with peers.", minimum=1.0)
    beat: float = _seconds(2.5, "Between two beats, with peers.", minimum=0.1)
    beat_alone: float = _seconds(10.0, "Between two beats, alone on the database.", minimum=0.1)
    drain_timeout: float = _seconds(10.0, "What running tasks get to end when the runtime stops.")
    block_report: float = _seconds(0.1, "A coroutine that blocks the loop this long is reported.", minimum=0.01)
    block_kill: float = _seconds(10.0, "A coroutine that blocks the loop this long is interrupted.", minimum=0.1)
    max_lost: int = _integer(3, "How often in a row a try is repeated because its carrier died.")


@dataclass(frozen=True, slots=True)
class InlineSection:
    """The executor of async tasks, on the runtime's loop or in processes that have one each."""

    in_flight: int = _integer(512, "Attempts in flight at once.", minimum=1)
    threads: int = _integer(32, "Threads for sync tasks sent here; of each async host too.", minimum=1)
    isolation: str = _choice(
        "loop",
        "Where coroutines run, triggers and watchers too. loop: on the runtime's own; host: in async hosts, a process "
        "for each DAG file. Of one task: executor_config={'isolation': ...}.",
        choices=("loop", "host"),
    )
    hosts_max: int = _integer(16, "Async hosts kept while nothing runs in them.", minimum=1)
    host_idle: float = _seconds(60.0, "Seconds without work after which an async host ends.", minimum=1.0)


@dataclass(frozen=True, slots=True)
class LocalSection:
    """The executor of sync tasks, in processes of this machine."""

    slots: int | None = _integer(None, "Processes at once; not set: core.parallelism.", minimum=1)
    start_method: str = _choice(
        "fork",
        "fork: from a process that has imported the file; spawn: a fresh interpreter.",
        choices=("fork", "spawn"),
    )
    zygotes_max: int = _integer(16, "Processes kept that have a DAG file imported.", minimum=1)
    zygote_idle: float = _seconds(60.0, "Seconds without work after which such a process ends.", minimum=1.0)
    kill_grace: float = _seconds(
        5.0, "Seconds between the polite and the forced end of a task.", "core.killed_task_cleanup_time"
    )


@dataclass(frozen=True, slots=True)
class LoggingSection:
    """Where logs go and how much is in them."""

    folder: Path = _path(  # noqa: RUF009 - makes a field
        "logs", "Folder of the task logs.", "logging.base_log_folder", "core.base_log_folder"
    )
    level: str = _choice(
        "INFO",
        "Least level that is written.",
        "logging.logging_level",
        "core.logging_level",
        choices=("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"),
    )


@dataclass(frozen=True, slots=True)
class SmtpSection:
    """The mail server for alerts. Without a host no mail is sent."""

    host: str | None = _text(None, "Host of the mail server; not set: no mail is sent.", "smtp.smtp_host")
    port: int = _integer(25, "Its port.", "smtp.smtp_port", minimum=1, maximum=65535)
    user: str | None = _text(None, "Login at the mail server.", "smtp.smtp_user")
    password: str | None = _text(None, "Password at the mail server.", "smtp.smtp_password", secret=True)
    mail_from: str = _text("tradewind@localhost", "Sender of the mail.", "smtp.smtp_mail_from")
    starttls: bool = _flag(True, "Encrypt the connection after it has begun.", "smtp.smtp_starttls")
    ssl: bool = _flag(False, "Encrypt the connection from its beginning.", "smtp.smtp_ssl")
    timeout: float = _seconds(30.0, "Seconds that the mail server may take.", "smtp.smtp_timeout", minimum=0.1)


@dataclass(frozen=True, slots=True)
class MetricsSection:
    """Who may read `/metrics`, and how much it tells."""

    public: bool = _flag(False, "Whether everybody who reaches the server may read the metrics, without a login.")
    token: str | None = _text(
        None,
        "Text of 16 characters or more that reads the metrics: `Authorization: Bearer TOKEN`. Not set: only logins do.",
        secret=True,
    )
    series: int = _integer(
        500, "How many DAGs, and how many tasks, are named; further ones are counted together.", minimum=1
    )


SECTIONS: Final[Mapping[str, type[Any]]] = {
    "smtp": SmtpSection,
    "core": CoreSection,
    "database": DatabaseSection,
    "secrets": SecretsSection,
    "dags": DagsSection,
    "web": WebSection,
    "scheduler": SchedulerSection,
    "executors.inline": InlineSection,
    "executors.local": LocalSection,
    "logging": LoggingSection,
    "metrics": MetricsSection,
}

AIRFLOW_SETTLED: Final[Mapping[str, str]] = {
    "core.executor": "async tasks go to the executor inline, others to local, unless a task names one",
    "core.store_dag_code": "always on",
    "core.store_serialized_dags": "always on",
    "scheduler.dag_dir_list_interval": "new files are seen at once",
    "scheduler.min_file_process_interval": "files are read when they change",
    "scheduler.processor_poll_interval": "the scheduler does not poll",
    "scheduler.scheduler_heartbeat_sec": "see scheduler.beat",
    "scheduler.scheduler_health_check_threshold": "see scheduler.lease",
    "scheduler.job_heartbeat_sec": "tasks need no heartbeat",
    "scheduler.print_stats_interval": "figures are metrics",
    "webserver.rbac": "always on",
}
"""Options of Airflow that are understood and have nothing to switch here, each with the reason."""


def options_of(section: str) -> dict[str, tuple[Option, Any]]:
    """Name to (option, default) for the section. Raises KeyError for an unknown section."""
    return {f.name: (f.metadata["option"], f.default) for f in dataclasses.fields(SECTIONS[section])}


def airflow_names() -> dict[str, str]:
    """Airflow's `section.key` to ours."""
    return {
        theirs: f"{section}.{key}"
        for section in SECTIONS
        for key, (option, _) in options_of(section).items()
        for theirs in option.airflow
    }


@dataclass(frozen=True, slots=True)
class ExecutorsSection:
    """One section an executor; executors that others wrote have theirs in `others`."""

    inline: InlineSection = field(default_factory=InlineSection)
    local: LocalSection = field(default_factory=LocalSection)
    others: Mapping[str, Mapping[str, Json]] = field(default_factory=dict[str, Mapping[str, Json]])

    def settings(self, name: str) -> Mapping[str, Json]:
        """The section of executor `name` as a plain mapping (empty where nothing is set)."""
        if name in ("inline", "local"):
            section = self.inline if name == "inline" else self.local
            return {f.name: getattr(section, f.name) for f in dataclasses.fields(section)}
        return self.others.get(name, {})
