"""The configuration: one frozen value, read once.

For each option the first source that has it wins:

1. the command line (`overrides`),
2. ``TRADEWIND__SECTION__KEY``, then ``TRADEWIND__SECTION__KEY_CMD`` (what that shell command prints), then
   ``TRADEWIND__SECTION__KEY_SECRET`` (what the secrets back end has under that name),
3. ``AIRFLOW__SECTION__KEY`` and its ``_CMD`` and ``_SECRET``, under each of Airflow's names for the option,
4. ``tradewind.toml`` in the home folder: ``key``, then ``key_cmd``, then ``key_secret``,
5. ``airflow.cfg`` (``$AIRFLOW_CONFIG``, else in ``$AIRFLOW_HOME``), in the same way; what it has beside is left alone,
6. the default.

Relative paths: below the home folder where they come from the file or the default, else below the
working directory. Every value remembers its source (`Config.sources`, `tradewind config list`).
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, cast

from tradewind.authoring.defaults import AuthoringDefaults
from tradewind.config_options import (
    AIRFLOW_SETTLED,
    SECTIONS,
    CoreSection,
    DagsSection,
    DatabaseSection,
    ExecutorsSection,
    LoggingSection,
    MetricsSection,
    Option,
    SchedulerSection,
    SecretsSection,
    SmtpSection,
    WebSection,
    airflow_names,
    options_of,
)
from tradewind.config_sources import airflow_file, output_of, read_airflow_file, secret_of
from tradewind.config_values import Source, parse, show
from tradewind.model.errors import ConfigError
from tradewind.model.specs import Json

HOME_VARIABLE: Final = "TRADEWIND_HOME"
AIRFLOW_HOME_VARIABLE: Final = "AIRFLOW_HOME"
CONFIG_FILE: Final = "tradewind.toml"


@dataclass(frozen=True, slots=True)
class Setting:
    """One line of `config list`. `value` is masked where it is secret."""

    section: str
    key: str
    value: str
    source: Source
    doc: str


@dataclass(frozen=True, slots=True)
class Config:
    """All settings of a process, made by `load_config` (tests: ``load_config(folder, environ={})``)."""

    home: Path
    core: CoreSection
    database: DatabaseSection
    secrets: SecretsSection
    smtp: SmtpSection
    dags: DagsSection
    web: WebSection
    scheduler: SchedulerSection
    executors: ExecutorsSection
    logging: LoggingSection
    metrics: MetricsSection
    sources: Mapping[str, Source] = field(default_factory=dict[str, Source])
    """`section.key` to the source of its value; options that are missing hold their default."""
    ignored: Mapping[str, str] = field(default_factory=dict[str, str])
    """Variables of the environment with Airflow's prefix that change nothing, each with the reason."""
    look_ups: str = ""
    """Where the runtime answers for variables and connections in DAG files; it says so itself."""

    def value(self, section: str, key: str) -> Json:
        """One value as it is (not masked). Raises ConfigError for an unknown section or key."""
        _check_known(section, key, "this question")
        if section.startswith("executors."):
            return self.executors.settings(section.removeprefix("executors."))[key]
        return getattr(getattr(self, section), key)

    def base_url(self) -> str:
        """The address of the pages for links in messages, without a slash at its end; empty where none is known."""
        if self.web.base_url:
            return self.web.base_url.rstrip("/")
        scheme = "https" if self.web.ssl_cert else "http"
        return f"{scheme}://localhost:{self.web.port}" if self.web.port else ""

    def authoring_defaults(self) -> AuthoringDefaults:
        """What holds where a DAG file says nothing."""
        core = self.core
        return AuthoringDefaults(
            timezone="UTC" if core.default_timezone.lower() == "utc" else core.default_timezone,
            catchup=bool(core.catchup_by_default),
            cron_intervals=core.create_cron_data_intervals,
            delta_intervals=core.create_delta_data_intervals,
            max_active_runs=core.max_active_runs_per_dag,
            max_active_tasks=core.max_active_tasks_per_dag,
            xcom_max_bytes=core.xcom_max_bytes,
            xcom_backend=core.xcom_backend or "",
            xcom_allowed_classes=tuple(core.allowed_deserialization_classes.replace(",", " ").split()),
            xcom_pickling=core.enable_xcom_pickling,
            max_map_length=core.max_map_length,
            max_partition_keys=core.max_partition_keys,
            max_consecutive_failed_dag_runs=core.max_consecutive_failed_dag_runs_per_dag,
            hide_sensitive=core.hide_sensitive_var_conn_fields,
            sensitive_names=tuple(core.sensitive_var_conn_names.lower().replace(",", " ").split()),
            secrets_first=bool(self.secrets.backend),
            look_ups=self.look_ups,
            plugins_folder=str(self.dags.plugins_folder),
            base_url=self.base_url(),
            deferrable=bool(core.default_deferrable),
            operator_arguments={
                "retries": core.default_task_retries,
                "retry_delay": timedelta(seconds=core.default_task_retry_delay),
                "max_lost": self.scheduler.max_lost,
            },
        )

    def listing(self) -> list[Setting]:
        """Every option in the order of the documentation, with its source; secrets are masked."""
        lines: list[Setting] = []
        for section in SECTIONS:
            for key, (option, _) in options_of(section).items():
                source = self.sources.get(f"{section}.{key}", Source("default"))
                shown = show(self.value(section, key), secret=option.secret)
                lines.append(Setting(section, key, shown, source, option.doc))
        for name, table in self.executors.others.items():
            section = f"executors.{name}"
            lines += [
                Setting(section, key, show(value), self.sources.get(f"{section}.{key}", Source("default")), "")
                for key, value in table.items()
            ]
        return lines


@dataclass(frozen=True, slots=True)
class _Reader:
    """The sources of one `load_config`, in a form that can be asked option by option."""

    home: Path
    overrides: Mapping[str, Json]
    environ: Mapping[str, str]
    table: Mapping[str, Mapping[str, Json]]
    """Section to its keys, from the file."""
    file: Path
    airflow: Mapping[str, str]
    """`section.key` to its text, from Airflow's file."""
    airflow_file: Path | None

    def find(self, section: str, key: str, option: Option) -> tuple[Json, Source] | None:
        """The raw value from the first source that has the option."""
        name = f"{section}.{key}"
        if self.overrides.get(name) is not None:
            return self.overrides[name], Source("command line")
        spellings = [(_variable("TRADEWIND", name), False)]
        spellings += [(_variable("AIRFLOW", theirs), True) for theirs in option.airflow]
        for variable, foreign in spellings:
            if variable in self.environ:
                raw = self.environ[variable]
                if not (foreign and _is_sqlite(name, raw)):
                    return raw, Source("environment", variable)
            if (command := self.environ.get(f"{variable}_CMD")) is not None:
                source = Source("environment command", f"{variable}_CMD")
                return output_of(command, source), source
            if (secret := self.environ.get(f"{variable}_SECRET")) is not None:
                source = Source("environment secret", f"{variable}_SECRET")
                return self._secret(secret, source), source
        rows = self.table.get(section, {})
        if key in rows:
            return rows[key], Source("file", str(self.file))
        if f"{key}_cmd" in rows:
            source = Source("file command", str(self.file))
            return output_of(str(rows[f"{key}_cmd"]), source), source
        if f"{key}_secret" in rows:
            source = Source("file secret", str(self.file))
            return self._secret(str(rows[f"{key}_secret"]), source), source
        return self._find_theirs(name, option)

    def _find_theirs(self, name: str, option: Option) -> tuple[Json, Source] | None:
        """The raw value from Airflow's own file."""
        file = str(self.airflow_file)
        for theirs in option.airflow:
            if theirs in self.airflow and not _is_sqlite(name, self.airflow[theirs]):
                return self.airflow[theirs], Source("file", file)
            if (command := self.airflow.get(f"{theirs}_cmd")) is not None:
                source = Source("file command", file)
                return output_of(command, source), source
            if (secret := self.airflow.get(f"{theirs}_secret")) is not None:
                source = Source("file secret", file)
                return self._secret(secret, source), source
        return None

    def _secret(self, name: str, source: Source) -> str:
        options = options_of("secrets")
        backend = self.find("secrets", "backend", options["backend"][0])
        arguments = self.find("secrets", "backend_kwargs", options["backend_kwargs"][0])
        return secret_of(name, backend and str(backend[0]), arguments and str(arguments[0]), source)


def load_config(
    home: Path | str | None = None,
    overrides: Mapping[str, Json] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Config:
    """Reads every source and returns the one configuration of this process.

    Args:
        home: the home folder; by default ``$TRADEWIND_HOME``, ``$AIRFLOW_HOME``, ``~/.tradewind``. It need not exist.
        overrides: ``{"section.key": value}`` from the command line; None values are left out.
        environ: the environment; by default the process's own.

    Raises:
        ConfigError: an unknown section or key, or a bad value; the message names its source.
    """
    environ = os.environ if environ is None else environ
    folder = _home(home, environ)
    file = folder / CONFIG_FILE
    theirs = airflow_file(environ)
    reader = _Reader(folder, overrides or {}, environ, _read_file(file), file, read_airflow_file(theirs), theirs)
    ignored = _check_names(reader)
    values: dict[str, Any] = {}
    sources: dict[str, Source] = {}
    for section, cls in SECTIONS.items():
        found: dict[str, Any] = {}
        for key, (option, default) in options_of(section).items():
            raw = reader.find(section, key, option)
            if raw is None:
                found[key] = folder / default if option.kind == "path" else default
            else:
                found[key], sources[f"{section}.{key}"] = parse(f"{section}.{key}", option, *raw, folder), raw[1]
        values[section] = cls(**found)
    others = dict(_other_executors(reader, sources))
    executors = ExecutorsSection(values.pop("executors.inline"), values.pop("executors.local"), others)
    config = Config(home=folder, **values, executors=executors, sources=sources, ignored=ignored)
    _check_together(config)
    return config


# ------------------------------------------------------------------ sources


def _home(home: Path | str | None, environ: Mapping[str, str]) -> Path:
    named = environ.get(HOME_VARIABLE) or environ.get(AIRFLOW_HOME_VARIABLE)
    chosen = str(home) if home is not None else named or "~/.tradewind"
    if chosen[:2] in ("~", "~/") and environ.get("HOME"):
        chosen = environ["HOME"] + chosen[1:]
    try:
        return Path(os.path.abspath(Path(chosen).expanduser()))  # noqa: PTH100 - resolve() would follow links
    except RuntimeError:
        raise ConfigError(
            f"{chosen} cannot be found: the system knows of no such home folder. "
            f"Name one with {HOME_VARIABLE} or --home."
        ) from None


def _read_file(file: Path) -> Mapping[str, Mapping[str, Json]]:
    """The file's tables by dotted name, `executors.local` like `core`."""
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from error
    tables: dict[str, Mapping[str, Json]] = {}
    for section, rows in data.items():
        if not isinstance(rows, dict):
            raise ConfigError(f"{file}: {section!r} stands outside a section. Write it below a line like [core].")
        rows = cast("dict[str, Json]", rows)
        if section == "executors":
            for name, inner in rows.items():
                if not isinstance(inner, dict):
                    raise ConfigError(
                        f"{file}: [executors] holds sections such as [executors.local]; {name!r} is none."
                    )
                tables[f"executors.{name}"] = cast("dict[str, Json]", inner)
        else:
            tables[section] = rows
    return tables


def _variable(prefix: str, name: str) -> str:
    return "__".join([prefix, *(part.upper() for part in name.split("."))])


def _named_by(variable: str, prefix: str) -> tuple[str, str] | None:
    """(section, key) of an environment variable with this prefix, else None."""
    parts = variable.split("__")
    if parts[0] != prefix or len(parts) < 3:
        return None
    return ".".join(part.lower() for part in parts[1:-1]), parts[-1].lower()


# ------------------------------------------------------------------ names


def _check_names(reader: _Reader) -> dict[str, str]:
    """Raises for unknown names of ours; returns Airflow's variables that change nothing."""
    for name in reader.overrides:
        section, _, key = name.rpartition(".")
        _check_known(section, key, "the command line")
    for section, rows in reader.table.items():
        for key in rows:
            _check_known(section, _plain_key(section, key), str(reader.file))
    theirs, ignored = airflow_names(), dict[str, str]()
    for variable in reader.environ:
        if (ours := _named_by(variable, "TRADEWIND")) is not None:
            _check_known(ours[0], _plain_key(*ours), f"environment variable {variable}")
        elif (foreign := _named_by(variable, "AIRFLOW")) is not None:
            name = f"{foreign[0]}.{foreign[1]}"
            known = name if name in theirs else name.removesuffix("_cmd").removesuffix("_secret")
            if known not in theirs:
                ignored[variable] = AIRFLOW_SETTLED.get(name, "not an option of Tradewind")
            elif _is_sqlite(theirs[known], reader.environ[variable]):
                ignored[variable] = "SQLite is not used: Tradewind brings its own PostgreSQL"
    return ignored


def _plain_key(section: str, key: str) -> str:
    """The key without `_cmd` or `_secret`, where that names an option."""
    known = options_of(section) if section in SECTIONS else {}
    return key if key in known else key.removesuffix("_cmd").removesuffix("_secret")


def _check_known(section: str, key: str, where: str) -> None:
    if section not in SECTIONS:
        if section.startswith("executors.") and section.removeprefix("executors.") in _installed_executors():
            return
        known = sorted(SECTIONS)
        raise ConfigError(
            f"{where}: there is no section [{section}].{_nearest(section, known)} Sections: {', '.join(known)}."
        )
    known = list(options_of(section))
    if key not in known:
        raise ConfigError(
            f"{where}: section [{section}] has no option {key!r}.{_nearest(key, known)} Options: {', '.join(known)}."
        )


def _installed_executors() -> set[str]:
    """Names of the executors of this environment; looked up only for a section that we do not know."""
    from importlib.metadata import entry_points

    return {point.name for point in entry_points(group="tradewind.executors")}


def _nearest(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""


def _other_executors(reader: _Reader, sources: dict[str, Source]) -> Iterator[tuple[str, Mapping[str, Json]]]:
    """Sections of executors that are not ours: values as the file has them, texts from the environment."""
    found: dict[str, dict[str, Json]] = {}
    for section, rows in reader.table.items():
        if section.startswith("executors.") and section not in SECTIONS:
            found[section] = dict(rows)
            sources.update({f"{section}.{key}": Source("file", str(reader.file)) for key in rows})
    for variable, raw in reader.environ.items():
        named = _named_by(variable, "TRADEWIND")
        if named and named[0].startswith("executors.") and named[0] not in SECTIONS:
            found.setdefault(named[0], {})[named[1]] = raw
            sources[f"{named[0]}.{named[1]}"] = Source("environment", variable)
    for section, values in sorted(found.items()):
        yield section.removeprefix("executors."), values


def _check_together(config: Config) -> None:
    """Values that are possible alone and not together."""
    scheduler = config.scheduler
    if scheduler.beat * 2 > scheduler.lease:
        raise ConfigError(
            f"scheduler.lease = {scheduler.lease:g} must be at least twice scheduler.beat = {scheduler.beat:g}: "
            "one missed beat would end the lease."
        )
    if config.core.default_timezone.lower() != "utc":
        from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

        try:
            ZoneInfo(config.core.default_timezone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            source, zone = config.sources["core.default_timezone"], config.core.default_timezone
            raise ConfigError(
                f"{source}: core.default_timezone = {zone!r} is no IANA time zone such as Europe/Paris."
            ) from error


def _is_sqlite(name: str, raw: str) -> bool:
    return name == "database.url" and raw.startswith("sqlite")
