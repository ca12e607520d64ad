"""Further names that DAG files and operators of one's own import from Airflow now and then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tradewind.compat.more_names import names_of

_HOOKS: Final = "airflow.hooks"
_STANDARD: Final = "airflow.providers.standard"
_FOLDER: Final = names_of("compat.plain_hooks", "FSHook")
_COMMAND: Final = names_of("compat.plain_hooks", "SubprocessHook", "SubprocessResult")
_HOME: Final = names_of("compat.settings", "AIRFLOW_HOME", "get_airflow_home")
_ASYNC: Final = names_of("compat.async_operator", "BaseAsyncOperator")
_OPERATOR: Final = "tradewind.authoring.operator:BaseOperator"
_TASK: Final = "tradewind.standard.decorators:task"

_DECORATORS: Final = {
    "bash": {"bash_task": f"{_TASK}.bash"},
    "branch_external_python": {"branch_external_python_task": f"{_TASK}.branch_external_python"},
    "branch_python": {"branch_task": f"{_TASK}.branch"},
    "branch_virtualenv": {"branch_virtualenv_task": f"{_TASK}.branch_virtualenv"},
    "external_python": {"external_python_task": f"{_TASK}.external_python"},
    "python": {"python_task": f"{_TASK}.python"},
    "python_virtualenv": {"virtualenv_task": f"{_TASK}.virtualenv"},
    "sensor": {"sensor_task": f"{_TASK}.sensor"},
    "short_circuit": {"short_circuit_task": f"{_TASK}.short_circuit"},
}
"""What each kind of `@task` is called in the module that Airflow has for it."""

FURTHER: Final[Mapping[str, Mapping[str, str]]] = {
    **{f"airflow.decorators.{module}": names for module, names in _DECORATORS.items()},
    **{f"{_STANDARD}.decorators.{module}": names for module, names in _DECORATORS.items()},
    "airflow.configuration": _HOME,
    "airflow.contrib.hooks.fs_hook": _FOLDER,
    "airflow.contrib.utils.weekday": names_of("standard.weekday", "WeekDay"),
    "airflow.decorators.condition": {"run_if": f"{_TASK}.run_if", "skip_if": f"{_TASK}.skip_if"},
    "airflow.decorators.setup_teardown": {
        "setup_task": "tradewind.standard.decorators:setup",
        "teardown_task": "tradewind.standard.decorators:teardown",
    },
    "airflow.decorators.task_group": names_of("authoring.decorators", "task_group"),
    f"{_HOOKS}.filesystem": _FOLDER,
    f"{_HOOKS}.subprocess": _COMMAND,
    "airflow.lineage": names_of("compat.lineage", "AUTO"),
    "airflow.lineage.entities": names_of("compat.lineage", "Column", "File", "Table", "Tag", "User"),
    "airflow.models.abstractoperator": {"AbstractOperator": _OPERATOR},
    "airflow.models.operator": {"Operator": _OPERATOR},
    "airflow.models.taskmixin": {"DependencyMixin": "tradewind.authoring.nodes:Dependency"},
    f"{_STANDARD}.hooks.filesystem": _FOLDER,
    f"{_STANDARD}.hooks.subprocess": _COMMAND,
    "airflow.sdk": {
        **_ASYNC,
        **names_of("compat.skipping", "BranchMixIn", "SkipMixin"),
        **names_of("authoring.state_stores", "NEVER_EXPIRE"),
    },
    "airflow.sdk.bases.operator": _ASYNC,
    "airflow.sdk.definitions.asset": names_of("authoring.assets", "AssetRef"),
    "airflow.sdk.definitions.callback": names_of("authoring.deadlines", "AsyncCallback", "SyncCallback"),
    "airflow.settings": {
        **names_of("compat.settings", "DAGS_FOLDER", "PLUGINS_FOLDER", "TIMEZONE"),
        "AIRFLOW_HOME": _HOME["AIRFLOW_HOME"],
    },
    "airflow.template.templater": names_of("authoring.templating", "LiteralValue"),
    "airflow.utils.edgemodifier": {"EdgeModifier": "tradewind.authoring.edges:Label"},
    "airflow.utils.file": {"TemporaryDirectory": "tempfile:TemporaryDirectory"},
    "airflow.utils.net": {"get_hostname": "socket:getfqdn", "getfqdn": "socket:getfqdn"},
    "airflow.utils.template": names_of("authoring.templating", "literal"),
    "airflow.utils.timezone": names_of("compat.dates", "from_timestamp", "parse_timezone", "utc_epoch"),
    "airflow.utils.xcom": names_of("compat.helping", "XCOM_RETURN_KEY"),
}
