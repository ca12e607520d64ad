"""Names of Airflow that provider packages import, beside those that DAG files do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tradewind.compat.more_names import names_of

_DECORATING: Final = {
    **names_of("compat.decorating", "DecoratedOperator", "task_decorator_factory"),
    **names_of("authoring.taskflow", "TaskDecorator"),
    **names_of("compat.package_words", "get_unique_task_id"),
    **names_of("compat.helping", "determine_kwargs"),
}
_SKIPPING: Final = names_of("compat.skipping", "SkipMixin")
_BRANCHING: Final = names_of("compat.skipping", "BranchMixIn")
_ONLY_POKE: Final = names_of("compat.package_words", "poke_mode_only")
_KEY: Final = names_of("compat.package_words", "TaskInstanceKey")
_TIMEZONE: Final = names_of("compat.package_words", "convert_to_utc", "coerce_datetime")
_MERGE: Final = names_of("compat.package_words", "context_merge")
_TIMEOUT: Final = names_of("compat.processes", "timeout")
_VARIABLES: Final = names_of("compat.package_words", "context_to_airflow_vars")
_STATE_STORES: Final = {
    **names_of("authoring.state_stores", "NEVER_EXPIRE"),
    "AssetStateStoreAccessor": "tradewind.authoring.state_stores:AssetStateStore",
    "AssetStateStoreAccessors": "tradewind.authoring.state_stores:AssetStateStores",
    "TaskStateStoreAccessor": "tradewind.authoring.state_stores:TaskStateStore",
}
_ALIASES: Final = {
    "expand_alias_to_assets": "tradewind.compat.package_words:expand_alias_to_datasets",
    "expand_alias_to_datasets": "tradewind.compat.package_words:expand_alias_to_datasets",
}
_DETAILS: Final = {
    "AssetDetails": "tradewind.compat.package_words:AssetDetails",
    "DatasetDetails": "tradewind.compat.package_words:AssetDetails",
}

FOR_PACKAGES: Final[Mapping[str, Mapping[str, str]]] = {
    "airflow.auth.managers.models.resource_details": _DETAILS,
    "airflow.datasets": _ALIASES,
    "airflow.decorators": names_of("authoring.taskflow", "TaskDecorator"),
    "airflow.decorators.base": _DECORATING,
    "airflow.models": _SKIPPING,
    "airflow.models.asset": _ALIASES,
    "airflow.models.skipmixin": _SKIPPING,
    "airflow.models.taskinstance": _KEY,
    "airflow.models.taskinstancekey": _KEY,
    "airflow.models.xcom": names_of("compat.package_words", "MAX_XCOM_SIZE"),
    "airflow.operators.branch": _BRANCHING,
    "airflow.operators.python": {**_SKIPPING, "_SERIALIZERS": "tradewind.compat.package_words:SERIALIZERS"},
    "airflow.providers.standard.exceptions": {
        **names_of(
            "compat.exceptions",
            *("AirflowExternalTaskSensorException", "DuplicateStateError", "ExternalDagFailedError"),
            *("ExternalDagNotFoundError", "ExternalTaskFailedError", "ExternalTaskGroupFailedError"),
            *("ExternalTaskGroupNotFoundError", "ExternalTaskNotFoundError"),
        ),
        **names_of("standard.human_input", "HITLRejectException", "HITLTimeoutError", "HITLTriggerEventError"),
    },
    "airflow.providers.standard.operators.branch": _BRANCHING,
    "airflow.providers.standard.operators.python": {"_SERIALIZERS": "tradewind.compat.package_words:SERIALIZERS"},
    "airflow.providers.standard.utils.skipmixin": _SKIPPING,
    "airflow.sdk.bases.branch": _BRANCHING,
    "airflow.sdk.bases.decorator": _DECORATING,
    "airflow.sdk.bases.sensor": _ONLY_POKE,
    "airflow.sdk.bases.skipmixin": _SKIPPING,
    "airflow.sdk.definitions.context": _MERGE,
    "airflow.sdk.execution_time.context": {**_VARIABLES, **_STATE_STORES},
    "airflow.sdk.execution_time.timeout": _TIMEOUT,
    "airflow.sdk.timezone": _TIMEZONE,
    "airflow.sdk.types": _KEY,
    "airflow.sensors.base": _ONLY_POKE,
    "airflow.utils": {"yaml": "yaml"},
    "airflow.utils.context": _MERGE,
    "airflow.utils.email": names_of("compat.mails", "build_mime_message", "get_email_address_list"),
    "airflow.utils.hashlib_wrapper": names_of("compat.package_words", "md5"),
    "airflow.utils.operator_helpers": _VARIABLES,
    "airflow.utils.process_utils": names_of("compat.processes", "execute_in_subprocess", "patch_environ"),
    "airflow.utils.session": names_of("compat.package_words", "provide_session"),
    "airflow.utils.timeout": _TIMEOUT,
    "airflow.utils.timezone": _TIMEZONE,
    "airflow.utils.yaml": {name: f"yaml:{name}" for name in ("dump", "load", "safe_dump", "safe_load", "YAMLError")},
}
