"""Which names of Airflow are served, and by what: module to name to `module:attribute` of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tradewind.compat.further_names import FURTHER
from tradewind.compat.more_names import OTHERS, SDK, merged
from tradewind.compat.more_names import names_of as _from
from tradewind.compat.moved_names import MOVED, OTHER_PLACES
from tradewind.compat.package_names import FOR_PACKAGES
from tradewind.compat.partition_names import PARTITIONS
from tradewind.compat.provider_names import OF_PROVIDERS

_EXCEPTIONS: Final = {
    "AirflowException": "tradewind.model.errors:TradewindError",
    "AirflowSkipException": "tradewind.model.errors:SkipTask",
    "AirflowFailException": "tradewind.model.errors:FailWithoutRetry",
    "AirflowTaskTimeout": "tradewind.model.errors:TaskTimeout",
    "AirflowSensorTimeout": "tradewind.authoring.sensor:SensorTimeout",
    "AirflowRescheduleException": "tradewind.compat.exceptions:AirflowRescheduleException",
    "AirflowNotFoundException": "tradewind.model.errors:NotFoundError",
    "TaskNotFound": "tradewind.model.errors:NotFoundError",
    "DagNotFound": "tradewind.model.errors:NotFoundError",
    "DagRunNotFound": "tradewind.model.errors:NotFoundError",
    "DuplicateTaskIdFound": "tradewind.model.errors:DuplicateTaskIdError",
    "AirflowDagCycleException": "tradewind.model.errors:DagCycleError",
    "AirflowConfigException": "tradewind.model.errors:ConfigError",
    "AirflowTimetableInvalid": "tradewind.model.errors:AuthoringError",
    "ParamValidationError": "tradewind.model.errors:ParamValidationError",
    "DagInvalidTriggerRule": "tradewind.model.errors:AuthoringError",
    **_from("model.errors", "UnmappableXComLengthPushed", "UnmappableXComTypePushed", "XComForMappingNotPushed"),
}
_BASH: Final = _from("standard.bash", "BashOperator")
_PYTHON: Final = {
    **_from("standard.python", "PythonOperator", "BranchPythonOperator", "ShortCircuitOperator"),
    **_from("authoring.current_context", "get_current_context"),
}
_EMPTY: Final = _from("standard.empty", "EmptyOperator", "DummyOperator")
_LATEST: Final = _from("standard.branch", "LatestOnlyOperator")
_BRANCH: Final = _from("standard.branch", "BaseBranchOperator")
_CHAINS: Final = _from("authoring.edges", "chain", "chain_linear", "cross_downstream")
_SENSOR_BASE: Final = _from("authoring.sensor", "BaseSensorOperator", "PokeReturnValue")
_PYTHON_SENSOR: Final = _from("standard.sensors", "PythonSensor")
_BASH_SENSOR: Final = _from("standard.sensors", "BashSensor")
_FILE_SENSOR: Final = _from("standard.sensors", "FileSensor")
_DATE_SENSOR: Final = _from("standard.sensors", "DateTimeSensor")
_TIME_SENSOR: Final = _from("standard.sensors", "TimeSensor")
_DELTA_SENSOR: Final = _from("standard.sensors", "TimeDeltaSensor")
_DECORATORS: Final = {
    **_from("standard.decorators", "task", "setup", "teardown"),
    **_from("authoring.decorators", "task_group"),
}
_STATES: Final = {
    "State": "tradewind.model.states:TaskState",
    "TaskInstanceState": "tradewind.model.states:TaskState",
    "DagRunState": "tradewind.model.states:RunState",
}
_DAG_2: Final = _from("compat.dags", "DAG")
_MODELS: Final = {
    **_DAG_2,
    **_from("authoring.xcom_access", "XCom"),
    **_from("authoring.operator", "BaseOperator"),
    **_from("authoring.connection", "Connection"),
    **_from("authoring.dag_run", "DagRun"),
    **_from("authoring.params", "Param"),
    **_from("authoring.task_instance", "TaskInstance"),
    **_from("authoring.variable", "Variable"),
    **_from("authoring.xcom_arg", "XComArg"),
}
_RETRIES: Final = _from(
    "authoring.retry_policy",
    *("RetryPolicy", "RetryRule", "RetryAction", "RetryDecision", "ExceptionRetryPolicy", "ChainRetryPolicy"),
)
_XCOM: Final = {
    **_from("authoring.xcom", "BaseXCom"),
    **_from("authoring.xcom_access", "XCom"),
    "LazyXComSelectSequence": "tradewind.authoring.lazy_xcoms:LazyXComs",
}
_GROUP: Final = {**_from("authoring.task_group", "TaskGroup"), **_from("authoring.mapped_group", "MappedTaskGroup")}
_MAPPED: Final = _from("authoring.mapped", "MappedOperator", "OperatorPartial")
_LABEL: Final = _from("authoring.edges", "Label")
_RULE: Final = _from("model.states", "TriggerRule")

_CORE: Final[Mapping[str, Mapping[str, str]]] = {
    "airflow": {**_DAG_2, "macros": "tradewind.authoring.macros"},
    "airflow.decorators": {**_DECORATORS, **_from("compat.dags", "dag")},
    "airflow.exceptions": _EXCEPTIONS,
    "airflow.listeners": _from("authoring.listeners", "hookimpl"),
    "airflow.io.path": _from("authoring.object_storage", "ObjectStoragePath"),
    "airflow.io.store": _from("authoring.object_storage", "attach"),
    "airflow.sdk.io": _from("authoring.object_storage", "ObjectStoragePath", "attach"),
    "airflow.sdk.io.path": _from("authoring.object_storage", "ObjectStoragePath"),
    "airflow.sdk.io.store": _from("authoring.object_storage", "attach"),
    "airflow.macros": _from("authoring.macros", "ds_add", "ds_format", "ds_format_locale", "datetime_diff_for_humans"),
    "airflow.models": _MODELS,
    "airflow.models.baseoperator": {**_from("authoring.operator", "BaseOperator"), **_CHAINS},
    "airflow.models.connection": _from("authoring.connection", "Connection"),
    "airflow.models.dag": {**_DAG_2, **_from("compat.dags", "dag")},
    "airflow.models.dagrun": _from("authoring.dag_run", "DagRun"),
    "airflow.models.expandinput": {
        "DictOfListsExpandInput": "tradewind.authoring.expand_input:ListsInput",
        "ListOfDictsExpandInput": "tradewind.authoring.expand_input:DictsInput",
        "MappedArgument": "tradewind.authoring.expand_input:MappedArgument",
    },
    "airflow.models.mappedoperator": _MAPPED,
    "airflow.models.param": _from("authoring.params", "Param", "ParamsDict"),
    "airflow.models.taskinstance": _from("authoring.task_instance", "TaskInstance"),
    "airflow.models.variable": _from("authoring.variable", "Variable"),
    "airflow.models.xcom": _XCOM,
    "airflow.sdk.definitions.retry_policy": _RETRIES,
    "airflow.sdk.bases.xcom": _XCOM,
    "airflow.sdk.execution_time.xcom": _XCOM,
    "airflow.models.xcom_arg": {
        **_from("authoring.xcom_arg", "ConcatXComArg", "MapXComArg", "XComArg", "ZipXComArg"),
        "PlainXComArg": "tradewind.authoring.xcom_arg:XComArg",
    },
    "airflow.operators.bash": _BASH,
    "airflow.operators.bash_operator": _BASH,
    "airflow.operators.branch": _BRANCH,
    "airflow.operators.branch_operator": _BRANCH,
    "airflow.operators.dummy": _EMPTY,
    "airflow.operators.dummy_operator": _EMPTY,
    "airflow.operators.empty": _EMPTY,
    "airflow.operators.latest_only": _LATEST,
    "airflow.operators.latest_only_operator": _LATEST,
    "airflow.operators.python": _PYTHON,
    "airflow.operators.python_operator": _PYTHON,
    "airflow.providers.standard.operators.bash": _BASH,
    "airflow.providers.standard.operators.branch": _BRANCH,
    "airflow.providers.standard.operators.empty": _EMPTY,
    "airflow.providers.standard.operators.latest_only": _LATEST,
    "airflow.providers.standard.operators.python": _PYTHON,
    "airflow.providers.standard.sensors.bash": _BASH_SENSOR,
    "airflow.providers.standard.sensors.date_time": _DATE_SENSOR,
    "airflow.providers.standard.sensors.filesystem": _FILE_SENSOR,
    "airflow.providers.standard.sensors.python": _PYTHON_SENSOR,
    "airflow.providers.standard.sensors.time": _TIME_SENSOR,
    "airflow.providers.standard.sensors.time_delta": _DELTA_SENSOR,
    "airflow.sdk": {
        **_MODELS,
        **_DECORATORS,
        **_CHAINS,
        **_GROUP,
        **_LABEL,
        **_RULE,
        **_SENSOR_BASE,
        **_from("authoring.object_storage", "ObjectStoragePath"),
        **_RETRIES,
        **_from("authoring.dag", "DAG"),
        **_from("authoring.decorators", "dag"),
        **_from("authoring.context", "Context"),
        **_from("authoring.current_context", "get_current_context"),
        **_from("authoring.templating", "literal"),
    },
    "airflow.sdk.bases.operator": _from("authoring.operator", "BaseOperator"),
    "airflow.sdk.bases.sensor": _SENSOR_BASE,
    "airflow.sdk.exceptions": _EXCEPTIONS,
    "airflow.sensors.base": _SENSOR_BASE,
    "airflow.sensors.base_sensor_operator": _SENSOR_BASE,
    "airflow.sensors.bash": _BASH_SENSOR,
    "airflow.sensors.date_time": _DATE_SENSOR,
    "airflow.sensors.filesystem": _FILE_SENSOR,
    "airflow.sensors.python": _PYTHON_SENSOR,
    "airflow.sensors.time_delta": _DELTA_SENSOR,
    "airflow.sensors.time_sensor": _TIME_SENSOR,
    "airflow.timetables.base": _from(
        "authoring.timetables", "DagRunInfo", "DataInterval", "TimeRestriction", "Timetable"
    ),
    "airflow.timetables.events": _from("authoring.timetables", "EventsTimetable"),
    "airflow.timetables.interval": _from(
        "authoring.timetables", "CronDataIntervalTimetable", "DeltaDataIntervalTimetable"
    ),
    "airflow.timetables.simple": _from("authoring.timetables", "ContinuousTimetable", "NullTimetable", "OnceTimetable"),
    "airflow.timetables.trigger": _from(
        "authoring.timetables", "CronTriggerTimetable", "DeltaTriggerTimetable", "MultipleCronTriggerTimetable"
    ),
    "airflow.utils.dates": _from("compat.dates", "days_ago"),
    "airflow.utils.decorators": _from("compat.dags", "apply_defaults"),
    "airflow.utils.edgemodifier": _LABEL,
    "airflow.utils.helpers": _CHAINS,
    "airflow.utils.state": _STATES,
    "airflow.utils.task_group": _GROUP,
    "airflow.utils.timezone": _from(
        "compat.dates", "datetime", "utcnow", "parse", "make_aware", "make_naive", "is_localized", "is_naive", "utc"
    ),
    "airflow.utils.trigger_rule": _RULE,
    "airflow.utils.context": _from("authoring.context", "Context"),
}

_HERE: Final = merged(_CORE, SDK, OTHERS, FURTHER, PARTITIONS, FOR_PACKAGES, OF_PROVIDERS)

MODULES: Final[Mapping[str, Mapping[str, str]]] = merged(
    _HERE, {old: _HERE[new] for old, new in OTHER_PLACES.items() if new in _HERE}
)
"""What Tradewind itself serves."""

ALL_MODULES: Final[Mapping[str, Mapping[str, str]]] = merged(MOVED, MODULES)
"""With the old names of what provider packages hold."""
