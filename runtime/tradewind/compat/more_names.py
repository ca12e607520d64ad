"""More names of Airflow: Airflow 3's layout, utilities, assets, hooks, listeners and plug-ins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final


def names_of(module: str, *names: str) -> dict[str, str]:
    """The names as they are called in a module of ours."""
    return {name: f"tradewind.{module}:{name}" for name in names}


_BASE: Final = names_of("authoring.operator", "BaseOperator")
_DAG: Final = {**names_of("authoring.dag", "DAG"), **names_of("authoring.decorators", "dag")}
_CHAINS: Final = names_of("authoring.edges", "chain", "chain_linear", "cross_downstream")
_ASSETS: Final = names_of(
    "authoring.assets",
    *("Asset", "AssetAccessControl", "AssetAlias", "AssetAll", "AssetAny", "AssetWatcher", "Model"),
)
_DATASETS: Final = {
    **names_of("authoring.assets", "Dataset", "DatasetAlias"),
    "DatasetAll": "tradewind.authoring.assets:AssetAll",
    "DatasetAny": "tradewind.authoring.assets:AssetAny",
}
_METADATA: Final = names_of("authoring.assets", "Metadata")
_HOOK: Final = names_of("authoring.hook", "BaseHook")
_NOTIFIER: Final = names_of("authoring.notifier", "BaseNotifier")
_LINK: Final = names_of("compat.words", "BaseOperatorLink")
_CONF: Final = names_of("compat.configuration", "conf")
_CONTEXT: Final = names_of("authoring.context", "Context")
_CURRENT: Final = names_of("authoring.current_context", "get_current_context")
_PARAM: Final = names_of("authoring.params", "Param", "ParamsDict")
_DEADLINES: Final = names_of(
    "authoring.deadlines", "AsyncCallback", "DeadlineAlert", "DeadlineReference", "SyncCallback"
)
_SENSOR: Final = names_of("authoring.sensor", "BaseSensorOperator", "PokeReturnValue")
_LABELS: Final = {**names_of("authoring.edges", "Label"), "EdgeModifier": "tradewind.authoring.edges:Label"}
_LOGGING: Final = names_of("compat.words", "LoggingMixin")
_MASK: Final = names_of("authoring.masking", "mask_secret", "redact")
_RULE: Final = names_of("model.states", "TriggerRule")
_WEIGHT: Final = names_of("compat.words", "WeightRule")
_STATES: Final = {
    **names_of("compat.words", "State"),
    "TaskInstanceState": "tradewind.model.states:TaskState",
    "DagRunState": "tradewind.model.states:RunState",
}
_GROUP: Final = names_of("authoring.task_group", "TaskGroup")
_TIMEZONE: Final = names_of(
    "compat.dates", "datetime", "utcnow", "parse", "make_aware", "make_naive", "is_localized", "is_naive", "utc"
)
_TASK: Final = names_of("standard.decorators", "task", "setup", "teardown")
_TRIGGER: Final = {
    **names_of("standard.trigger_dag_run", "TriggerDagRunOperator"),
}
_EXTERNAL: Final = names_of("standard.external_task", "ExternalTaskSensor", "ExternalTaskMarker")
_INTERVAL: Final = names_of("authoring.timetables", "CronDataIntervalTimetable", "DeltaDataIntervalTimetable")
_TRIGGERS: Final = names_of(
    "authoring.timetables", "CronTriggerTimetable", "DeltaTriggerTimetable", "MultipleCronTriggerTimetable"
)
_EVENTS: Final = names_of("authoring.timetables", "EventsTimetable")
_ASSET_TIMES: Final = names_of("authoring.timetables", "AssetOrTimeSchedule", "AssetTriggeredTimetable")
_BRANCH_TIME: Final = names_of("standard.branch_datetime", "BranchDateTimeOperator")
_HUMAN_ANSWERS: Final = names_of(
    "standard.human_input", "HITLTriggerEventFailurePayload", "HITLTriggerEventSuccessPayload"
)
_HUMAN_USER: Final = names_of("standard.human_input", "HITLUser")
_HUMAN: Final = {
    **names_of("standard.human_input", "ApprovalOperator", "HITLBranchOperator", "HITLEntryOperator", "HITLOperator"),
    **_HUMAN_USER,
}
_WEEKDAY: Final = names_of("standard.weekday", "WeekDay")
_BRANCH_DAY: Final = {**names_of("standard.weekday", "BranchDayOfWeekOperator"), **_WEEKDAY}
_DAY_SENSOR: Final = {**names_of("standard.weekday", "DayOfWeekSensor"), **_WEEKDAY}
_VENV: Final = {
    **names_of(
        "standard.virtualenv",
        *("PythonVirtualenvOperator", "BranchPythonVirtualenvOperator"),
        *("ExternalPythonOperator", "BranchExternalPythonOperator"),
    ),
    **names_of("compat.words", "is_venv_installed"),
    **_CURRENT,
}
_DATE_SENSORS: Final = names_of("standard.time_sensors", "DateTimeSensor", "DateTimeSensorAsync")
_TIME_SENSORS: Final = names_of("standard.time_sensors", "TimeSensor", "TimeSensorAsync")
_DELTA_SENSORS: Final = names_of("standard.time_sensors", "TimeDeltaSensor", "TimeDeltaSensorAsync", "WaitSensor")
_SMOOTH: Final = names_of("standard.smooth", "SmoothOperator")
_SUBDAG: Final = names_of("standard.subdag", "SubDagOperator")

_LOADING: Final = names_of("compat.words", "import_string", "iter_namespace", "qualname", "is_valid_dotpath")
_SKIP: Final = names_of("compat.skipping", "SkipMixin")
_TRIGGER_BASE: Final = names_of(
    "authoring.triggers",
    *("BaseTrigger", "BaseEventTrigger", "TriggerEvent", "StartTriggerArgs", "BaseTaskEndEvent"),
    *("TaskSuccessEvent", "TaskFailedEvent", "TaskSkippedEvent"),
)
_DEFERRAL: Final = names_of("authoring.deferral", "TaskDeferred", "TaskDeferralError", "TaskDeferralTimeout")
_WAIT_ENDS: Final = {
    **names_of("compat.helping", "TriggerFailureReason"),
    "TRIGGER_FAIL_REPR": "tradewind.authoring.deferral:FAILED",
}
_MOMENT_TRIGGERS: Final = names_of("standard.moment_triggers", "DateTimeTrigger", "TimeDeltaTrigger")
_RUN_TRIGGERS: Final = names_of("standard.run_triggers", "DagStateTrigger", "WorkflowTrigger")
_FILE_TRIGGERS: Final = names_of(
    "standard.file_triggers", "FileTrigger", "FileDeleteTrigger", "DirectoryFileDeleteTrigger"
)
_KEY: Final = names_of("compat.helping", "XCOM_RETURN_KEY")
_LINEAGE: Final = {
    **names_of("compat.helping", "get_hook_lineage_collector", "HookLineage"),
    **dict.fromkeys(("HookLineageCollector", "NoOpCollector"), "tradewind.compat.helping:NoCollector"),
}

SDK: Final[Mapping[str, Mapping[str, str]]] = {
    "airflow.sdk": {
        **_ASSETS,
        **_METADATA,
        **_HOOK,
        **_NOTIFIER,
        **_LINK,
        **_CONF,
        **_DEADLINES,
        **_PARAM,
        **_LABELS,
        **_STATES,
        **_WEIGHT,
        **_INTERVAL,
        **_TRIGGERS,
        **_EVENTS,
        **_ASSET_TIMES,
        **names_of("standard.asset_decorator", "asset"),
        **names_of("standard.branch", "BaseBranchOperator"),
        **names_of("authoring.xcom", "BaseXCom"),
        **names_of("authoring.triggers", "BaseTrigger", "BaseEventTrigger", "TriggerEvent", "StartTriggerArgs"),
        **names_of("compat.words", "get_parsing_context"),
        "macros": "tradewind.authoring.macros",
    },
    "airflow.sdk.definitions.asset.decorators": names_of("standard.asset_decorator", "asset"),
    "airflow.sdk.bases.skipmixin": _SKIP,
    "airflow.sdk.bases.trigger": _TRIGGER_BASE,
    "airflow.sdk.triggers.base": _TRIGGER_BASE,
    "airflow.sdk.exceptions": _DEFERRAL,
    "airflow.sdk.bases.operator": {**_BASE, **_CHAINS, **_WAIT_ENDS},
    "airflow.sdk.bases.xcom": _KEY,
    "airflow.sdk.plugins_manager": names_of("authoring.plugin", "AirflowPlugin"),
    "airflow.sdk.lineage": _LINEAGE,
    "airflow.sdk.module_loading": _LOADING,
    "airflow.sdk.bases.branch": names_of("standard.branch", "BaseBranchOperator"),
    "airflow.sdk.bases.decorator": names_of("authoring.taskflow", "TaskDecorator"),
    "airflow.sdk.bases.hook": _HOOK,
    "airflow.sdk.bases.notifier": _NOTIFIER,
    "airflow.sdk.bases.operatorlink": _LINK,
    "airflow.sdk.configuration": _CONF,
    "airflow.sdk.definitions.asset": {**_ASSETS, "Dataset": "tradewind.authoring.assets:Dataset"},
    "airflow.sdk.definitions.asset.metadata": _METADATA,
    "airflow.sdk.definitions.baseoperator": {**_BASE, **_CHAINS},
    "airflow.sdk.definitions.connection": names_of("authoring.connection", "Connection"),
    "airflow.sdk.definitions.context": {**_CONTEXT, **_CURRENT},
    "airflow.sdk.definitions.dag": _DAG,
    "airflow.sdk.definitions.deadline": _DEADLINES,
    "airflow.sdk.definitions.decorators": {
        **_TASK,
        **names_of("authoring.decorators", "task_group", "dag"),
    },
    "airflow.sdk.definitions.edges": _LABELS,
    "airflow.sdk.definitions.mappedoperator": names_of("authoring.mapped", "MappedOperator", "OperatorPartial"),
    "airflow.sdk.definitions.notifier": _NOTIFIER,
    "airflow.sdk.definitions.param": _PARAM,
    "airflow.sdk.definitions.taskgroup": {**_GROUP, **names_of("authoring.mapped_group", "MappedTaskGroup")},
    "airflow.sdk.definitions.template": names_of("authoring.templating", "literal"),
    "airflow.sdk.definitions.timetables.assets": _ASSET_TIMES,
    "airflow.sdk.definitions.timetables.events": _EVENTS,
    "airflow.sdk.definitions.timetables.interval": _INTERVAL,
    "airflow.sdk.definitions.timetables.trigger": _TRIGGERS,
    "airflow.sdk.definitions.variable": names_of("authoring.variable", "Variable"),
    "airflow.sdk.definitions.xcom_arg": names_of("authoring.xcom_arg", "XComArg"),
    "airflow.sdk.log": _MASK,
    "airflow.sdk.execution_time.context": _CURRENT,
    "airflow.sdk.execution_time.hitl": _HUMAN_USER,
    "airflow.sdk.execution_time.task_runner": {"RuntimeTaskInstance": "tradewind.authoring.task_instance:TaskInstance"},
    "airflow.sdk.execution_time.secrets_masker": _MASK,
    "airflow.sdk.timezone": _TIMEZONE,
    "airflow.sdk.types": {"RuntimeTaskInstanceProtocol": "tradewind.authoring.task_instance:TaskInstance"},
}

OTHERS: Final[Mapping[str, Mapping[str, str]]] = {
    "airflow": {
        **names_of("authoring.assets", "Dataset", "Asset"),
        "XComArg": "tradewind.authoring.xcom_arg:XComArg",
        "AirflowException": "tradewind.model.errors:TradewindError",
        "__version__": "tradewind.compat.words:AIRFLOW_VERSION",
    },
    "airflow.assets": _ASSETS,
    "airflow.assets.metadata": _METADATA,
    "airflow.compat.functools": {"cached_property": "functools:cached_property", "cache": "functools:cache"},
    "airflow.configuration": {
        **_CONF,
        "AirflowConfigParser": "tradewind.compat.configuration:AirflowConfiguration",
        "AirflowConfigException": "tradewind.model.errors:ConfigError",
    },
    "airflow.datasets": {**_DATASETS, "Asset": "tradewind.authoring.assets:Asset"},
    "airflow.datasets.metadata": _METADATA,
    "airflow.decorators.base": names_of("authoring.taskflow", "TaskDecorator"),
    "airflow.exceptions": {
        **names_of(
            "compat.exceptions",
            *("AirflowBadRequest", "AirflowInternalRuntimeError", "AirflowTaskTerminated"),
            *("AirflowOptionalProviderFeatureException", "AirflowProviderDeprecationWarning"),
            *("RemovedInAirflow3Warning", "RemovedInAirflow4Warning"),
        ),
        **_DEFERRAL,
        "AirflowWebServerException": "tradewind.model.errors:TradewindError",
        "AirflowClusterPolicyViolation": "tradewind.model.errors:AuthoringError",
        "AirflowClusterPolicySkipDag": "tradewind.model.errors:AuthoringError",
        "DagRunAlreadyExists": "tradewind.model.errors:ConflictError",
        "SerializationError": "tradewind.model.errors:XComError",
        "XComNotFound": "tradewind.model.errors:NotFoundError",
        "VariableNotUnique": "tradewind.model.errors:ConflictError",
        "ConnectionNotUnique": "tradewind.model.errors:ConflictError",
        "PoolNotFound": "tradewind.model.errors:NotFoundError",
        "TaskInstanceNotFound": "tradewind.model.errors:NotFoundError",
    },
    "airflow.hooks.base": _HOOK,
    "airflow.hooks.base_hook": _HOOK,
    "airflow.lineage": {
        "prepare_lineage": "tradewind.compat.words:accepted",
        "apply_lineage": "tradewind.compat.words:accepted",
    },
    "airflow.macros": {
        "datetime": "datetime:datetime",
        "timedelta": "datetime:timedelta",
        "dateutil": "dateutil",
        "time": "time",
        "uuid": "uuid",
        "random": "random:random",
        "json": "json",
        "yaml": "yaml",
    },
    "airflow.models": {
        **_LINK,
        **_PARAM,
        **names_of("authoring.mapped", "MappedOperator"),
        "TaskInstance": "tradewind.authoring.task_instance:TaskInstance",
        "BaseXCom": "tradewind.authoring.xcom:BaseXCom",
    },
    "airflow.models.baseoperatorlink": _LINK,
    "airflow.models.baseoperator": names_of("compat.words", "BaseOperatorLink"),
    "airflow.models.taskmixin": {
        "DAGNode": "tradewind.authoring.nodes:DagNode",
        "TaskMixin": "tradewind.authoring.nodes:Dependency",
    },
    "airflow.notifications.basenotifier": _NOTIFIER,
    "airflow.operators.dagrun_operator": _TRIGGER,
    "airflow.operators.trigger_dagrun": _TRIGGER,
    "airflow.models.skipmixin": _SKIP,
    "airflow.models.xcom": _KEY,
    "airflow.models.trigger": _WAIT_ENDS,
    "airflow.triggers.base": _TRIGGER_BASE,
    "airflow.triggers.temporal": _MOMENT_TRIGGERS,
    "airflow.triggers.file": _FILE_TRIGGERS,
    "airflow.triggers.external_task": {**_RUN_TRIGGERS, "TaskStateTrigger": _RUN_TRIGGERS["WorkflowTrigger"]},
    "airflow.providers.standard.triggers.temporal": _MOMENT_TRIGGERS,
    "airflow.providers.standard.triggers.external_task": _RUN_TRIGGERS,
    "airflow.providers.standard.triggers.hitl": _HUMAN_ANSWERS,
    "airflow.providers.standard.triggers.asset": names_of("standard.asset_trigger", "AssetEventTrigger"),
    "airflow.utils.helpers": names_of(
        "compat.helping",
        *("exactly_one", "at_most_one", "prune_dict", "merge_dicts", "chunks", "is_container", "as_tuple"),
        *("convert_camel_to_snake",),
    ),
    "airflow.utils.operator_helpers": names_of("compat.helping", "determine_kwargs"),
    "airflow.utils.platform": names_of("compat.helping", "getuser"),
    "airflow.utils.strings": names_of("compat.helping", "to_boolean"),
    "airflow.lineage.hook": _LINEAGE,
    "airflow.operators.datetime": _BRANCH_TIME,
    "airflow.operators.python": _VENV,
    "airflow.operators.python_operator": _VENV,
    "airflow.operators.smooth": _SMOOTH,
    "airflow.operators.subdag": _SUBDAG,
    "airflow.operators.subdag_operator": _SUBDAG,
    "airflow.operators.weekday": _BRANCH_DAY,
    "airflow.providers.standard.operators.datetime": _BRANCH_TIME,
    "airflow.providers.standard.operators.python": _VENV,
    "airflow.providers.standard.operators.hitl": _HUMAN,
    "airflow.providers.standard.operators.smooth": _SMOOTH,
    "airflow.providers.standard.operators.weekday": _BRANCH_DAY,
    "airflow.providers.standard.sensors.date_time": _DATE_SENSORS,
    "airflow.providers.standard.sensors.time": _TIME_SENSORS,
    "airflow.providers.standard.sensors.time_delta": _DELTA_SENSORS,
    "airflow.providers.standard.sensors.weekday": _DAY_SENSOR,
    "airflow.providers.standard.triggers.file": _FILE_TRIGGERS,
    "airflow.providers.standard.utils.weekday": _WEEKDAY,
    "airflow.sensors.date_time": _DATE_SENSORS,
    "airflow.sensors.time_delta": _DELTA_SENSORS,
    "airflow.sensors.time_sensor": _TIME_SENSORS,
    "airflow.sensors.weekday": _DAY_SENSOR,
    "airflow.utils.weekday": _WEEKDAY,
    "airflow.listeners": names_of("authoring.listeners", "hookimpl"),
    "airflow.providers.common.messaging.triggers.msg_queue": names_of(
        "standard.message_queue_trigger", "MessageQueueTrigger"
    ),
    "airflow.providers.common.messaging.get_provider_info": names_of(
        "standard.message_queue_trigger", "get_provider_info"
    ),
    "airflow.providers.common.messaging.providers.base_provider": names_of(
        "standard.message_queue_trigger", "BaseMessageQueueProvider"
    ),
    "airflow.providers_manager": names_of("authoring.provider_packages", "ProvidersManager", "DialectInfo"),
    "airflow.plugins_manager": names_of("authoring.plugin", "AirflowPlugin"),
    "airflow.providers.common.compat.sdk": {
        **_BASE,
        **_ASSETS,
        **_HOOK,
        **_NOTIFIER,
        **_LINK,
        **_CONTEXT,
        **_CURRENT,
        **_PARAM,
        **_SENSOR,
        **_RULE,
        **_STATES,
        **_CHAINS,
        **_GROUP,
        **_TASK,
        **_DAG,
        **_LABELS,
        **_CONF,
        **names_of("authoring.connection", "Connection"),
        **names_of("authoring.variable", "Variable"),
        **names_of("authoring.xcom_access", "XCom"),
        **names_of("authoring.xcom_arg", "XComArg"),
        **names_of("authoring.decorators", "task_group"),
        **_TRIGGER_BASE,
        **_DEFERRAL,
        "AirflowSensorTimeout": "tradewind.authoring.sensor:SensorTimeout",
        "AirflowException": "tradewind.model.errors:TradewindError",
        "AirflowSkipException": "tradewind.model.errors:SkipTask",
        "AirflowFailException": "tradewind.model.errors:FailWithoutRetry",
        "AirflowNotFoundException": "tradewind.model.errors:NotFoundError",
        "timezone": "tradewind.compat.dates",
    },
    "airflow.providers.standard.operators.trigger_dagrun": _TRIGGER,
    "airflow.providers.standard.sensors.external_task": _EXTERNAL,
    "airflow.sensors.bash_sensor": names_of("standard.sensors", "BashSensor"),
    "airflow.sensors.date_time_sensor": names_of("standard.sensors", "DateTimeSensor"),
    "airflow.sensors.external_task": _EXTERNAL,
    "airflow.sensors.external_task_sensor": _EXTERNAL,
    "airflow.sensors.time_delta_sensor": names_of("standard.sensors", "TimeDeltaSensor"),
    "airflow.task.priority_strategy": names_of("authoring.priority_strategy", "PriorityWeightStrategy"),
    "airflow.task.trigger_rule": _RULE,
    "airflow.task.weight_rule": _WEIGHT,
    "airflow.timetables.assets": _ASSET_TIMES,
    "airflow.timetables.datasets": names_of("authoring.timetables", "DatasetOrTimeSchedule"),
    "airflow.timetables.simple": {
        "DatasetTriggeredTimetable": "tradewind.authoring.timetables:AssetTriggeredTimetable",
        "AssetTriggeredTimetable": "tradewind.authoring.timetables:AssetTriggeredTimetable",
    },
    "airflow.typing_compat": {
        "Literal": "typing:Literal",
        "Protocol": "typing:Protocol",
        "TypedDict": "typing:TypedDict",
        "ParamSpec": "typing:ParamSpec",
        "Self": "typing:Self",
        "Final": "typing:Final",
    },
    "airflow.utils": {
        "apply_defaults": "tradewind.compat.dags:apply_defaults",
        "timezone": "tradewind.compat.dates",
    },
    "airflow.utils.dag_cycle_tester": names_of("compat.words", "check_cycle"),
    "airflow.utils.dag_parsing_context": names_of("compat.words", "AirflowParsingContext", "get_parsing_context"),
    "airflow.utils.dates": names_of("compat.dates", "cron_presets", "parse_execution_date"),
    "airflow.utils.log.logging_mixin": _LOGGING,
    "airflow.utils.log.secrets_masker": _MASK,
    "airflow.secrets": names_of("authoring.secrets_backend", "BaseSecretsBackend"),
    "airflow.secrets.base_secrets": names_of("authoring.secrets_backend", "BaseSecretsBackend"),
    "airflow.secrets.local_filesystem": names_of("services.secrets_local_files", "LocalFilesystemBackend"),
    "airflow.utils.module_loading": _LOADING,
    "airflow.utils.state": _STATES,
    "airflow.utils.types": names_of("compat.words", "NOTSET", "ArgNotSet", "DagRunType"),
    "airflow.utils.weight_rule": _WEIGHT,
    "airflow.version": {"version": "tradewind.compat.words:AIRFLOW_VERSION"},
}


def merged(*tables: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """All modules of the tables, each with the names of all; later ones win."""
    whole: dict[str, dict[str, str]] = {}
    for table in tables:
        for module, names in table.items():
            whole.setdefault(module, {}).update(names)
    return whole
