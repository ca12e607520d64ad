"""Settings of the inline executor."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from tradewind.model.attempts import Attempt
from tradewind.model.errors import ConfigError
from tradewind.model.specs import Json

LOOP: Final = "loop"
HOST: Final = "host"


@dataclass(frozen=True, slots=True)
class InlineSettings:
    """The executor's section of the configuration. Durations are seconds."""

    max_in_flight: int = 512
    threads: int = 32
    """How many sync tasks run at once, each in a thread; of each async host too."""
    isolation: str = LOOP
    """`loop`: coroutines on the runtime's own loop; `host`: in processes with a loop each, one a DAG file."""
    hosts_max: int = 16
    """How many async hosts stay while nothing runs in them."""
    host_idle: float = 60.0
    """After this long without an attempt an async host goes."""
    import_timeout: float = 30.0
    """What a file may take to be imported."""
    block_warn: float = 0.1
    block_kill: float = 10.0
    log_level: str = "INFO"
    capture_output: bool = True
    own_process: bool = True
    """Whether signals, faulthandler, the root logger and the standard streams may be used for tasks."""
    authoring_defaults: str = ""
    """What holds where a DAG file says nothing, as `bundles.parse_protocol` writes it."""

    @property
    def level(self) -> int:
        """`log_level` as a number."""
        return logging.getLevelNamesMapping()[self.log_level]

    @staticmethod
    def of(section: Mapping[str, Json]) -> InlineSettings:
        """Reads the section. Raises ConfigError for values that cannot be; other executors' names are ignored."""
        default = InlineSettings()
        isolation = section.get("isolation", LOOP)
        if isolation not in (LOOP, HOST):
            raise ConfigError(f"executors.inline.isolation: loop or host, not {isolation!r}")
        level = str(section.get("log_level", default.log_level)).upper()
        if level not in logging.getLevelNamesMapping():
            raise ConfigError(f"executors.inline.log_level: no level is called {level!r}")
        return InlineSettings(
            max_in_flight=_positive(section, "max_in_flight", default.max_in_flight, int),
            threads=_positive(section, "threads", default.threads, int),
            isolation=isolation,
            hosts_max=_positive(section, "hosts_max", default.hosts_max, int),
            host_idle=_positive(section, "host_idle", default.host_idle, float),
            import_timeout=_positive(section, "import_timeout", default.import_timeout, float),
            block_warn=_positive(section, "block_warn", default.block_warn, float),
            block_kill=_positive(section, "block_kill", default.block_kill, float),
            log_level=level,
            capture_output=bool(section.get("capture_output", default.capture_output)),
            own_process=bool(section.get("own_process", default.own_process)),
            authoring_defaults=str(section.get("authoring_defaults", "")),
        )


def _positive(section: Mapping[str, Json], name: str, default: Any, kind: type) -> Any:
    value = section.get(name, default)
    try:
        number = kind(value)
    except (TypeError, ValueError):
        number = 0
    if number <= 0:
        raise ConfigError(f"executors.inline.{name}: a number above 0 is needed, not {value!r}")
    return number


def isolation_of(attempt: Attempt, usual: str) -> str:
    """Where the task wants to run: what its `executor_config` says under `isolation`, else `usual`.

    Raises ConfigError.
    """
    own = attempt.task.extra.get("executor_config") if attempt.task.extra else None
    wanted = cast("Mapping[str, Json]", own).get("isolation") if isinstance(own, Mapping) else None
    if wanted is None:
        return usual
    if wanted not in (LOOP, HOST):
        raise ConfigError(
            f"task {attempt.key.task_id} of DAG {attempt.run.dag_id}: executor_config={{'isolation': {wanted!r}}}: "
            "it may be 'loop' or 'host'"
        )
    return str(wanted)
