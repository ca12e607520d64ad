"""Tradewind: workflows in Python, scheduled by one asyncio loop.

The face: everything that DAG files and embedding programs import, and nothing else. Names are
loaded when they are first used, so that `import tradewind` costs a few milliseconds.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tradewind.authoring.assets import Asset as Asset
    from tradewind.authoring.assets import AssetAlias as AssetAlias
    from tradewind.authoring.assets import AssetAll as AssetAll
    from tradewind.authoring.assets import AssetAny as AssetAny
    from tradewind.authoring.assets import AssetWatcher as AssetWatcher
    from tradewind.authoring.assets import Dataset as Dataset
    from tradewind.authoring.assets import DatasetAlias as DatasetAlias
    from tradewind.authoring.assets import Metadata as Metadata
    from tradewind.authoring.async_hook import AsyncHook as AsyncHook
    from tradewind.authoring.connection import Connection as Connection
    from tradewind.authoring.context import Context as Context
    from tradewind.authoring.current_context import get_current_context as get_current_context
    from tradewind.authoring.dag import DAG as DAG
    from tradewind.authoring.dag_run import DagRun as DagRun
    from tradewind.authoring.deadlines import AsyncCallback as AsyncCallback
    from tradewind.authoring.deadlines import DeadlineAlert as DeadlineAlert
    from tradewind.authoring.deadlines import DeadlineReference as DeadlineReference
    from tradewind.authoring.deadlines import SyncCallback as SyncCallback
    from tradewind.authoring.decorators import DagParam as DagParam
    from tradewind.authoring.decorators import dag as dag
    from tradewind.authoring.decorators import task_group as task_group
    from tradewind.authoring.deferral import TaskDeferralError as TaskDeferralError
    from tradewind.authoring.deferral import TaskDeferralTimeout as TaskDeferralTimeout
    from tradewind.authoring.deferral import TaskDeferred as TaskDeferred
    from tradewind.authoring.deferral import defer as defer
    from tradewind.authoring.durable import StepUnknown as StepUnknown
    from tradewind.authoring.durable_calls import signal as signal
    from tradewind.authoring.edges import Label as Label
    from tradewind.authoring.edges import chain as chain
    from tradewind.authoring.edges import chain_linear as chain_linear
    from tradewind.authoring.edges import cross_downstream as cross_downstream
    from tradewind.authoring.hook import BaseHook as BaseHook
    from tradewind.authoring.listeners import hookimpl as hookimpl
    from tradewind.authoring.mapped import MappedOperator as MappedOperator
    from tradewind.authoring.masking import mask_secret as mask_secret
    from tradewind.authoring.notifier import BaseNotifier as BaseNotifier
    from tradewind.authoring.object_storage import ObjectStoragePath as ObjectStoragePath
    from tradewind.authoring.operator import BaseOperator as BaseOperator
    from tradewind.authoring.params import Param as Param
    from tradewind.authoring.params import ParamsDict as ParamsDict
    from tradewind.authoring.resources import Resource as Resource
    from tradewind.authoring.resources import resource as resource
    from tradewind.authoring.retry_policy import ChainRetryPolicy as ChainRetryPolicy
    from tradewind.authoring.retry_policy import ExceptionRetryPolicy as ExceptionRetryPolicy
    from tradewind.authoring.retry_policy import RetryAction as RetryAction
    from tradewind.authoring.retry_policy import RetryDecision as RetryDecision
    from tradewind.authoring.retry_policy import RetryPolicy as RetryPolicy
    from tradewind.authoring.retry_policy import RetryRule as RetryRule
    from tradewind.authoring.secrets_backend import BaseSecretsBackend as BaseSecretsBackend
    from tradewind.authoring.sensor import BaseSensorOperator as BaseSensorOperator
    from tradewind.authoring.sensor import PokeReturnValue as PokeReturnValue
    from tradewind.authoring.sensor import SensorResult as SensorResult
    from tradewind.authoring.task_group import TaskGroup as TaskGroup
    from tradewind.authoring.task_instance import TaskInstance as TaskInstance
    from tradewind.authoring.templating import literal as literal
    from tradewind.authoring.timetables import AssetOrTimeSchedule as AssetOrTimeSchedule
    from tradewind.authoring.timetables import ContinuousTimetable as ContinuousTimetable
    from tradewind.authoring.timetables import CronDataIntervalTimetable as CronDataIntervalTimetable
    from tradewind.authoring.timetables import CronTriggerTimetable as CronTriggerTimetable
    from tradewind.authoring.timetables import DatasetOrTimeSchedule as DatasetOrTimeSchedule
    from tradewind.authoring.timetables import DeltaDataIntervalTimetable as DeltaDataIntervalTimetable
    from tradewind.authoring.timetables import DeltaTriggerTimetable as DeltaTriggerTimetable
    from tradewind.authoring.timetables import EventSchedule as EventSchedule
    from tradewind.authoring.timetables import EventsTimetable as EventsTimetable
    from tradewind.authoring.timetables import MultipleCronTriggerTimetable as MultipleCronTriggerTimetable
    from tradewind.authoring.timetables import OnceTimetable as OnceTimetable
    from tradewind.authoring.timetables import Timetable as Timetable
    from tradewind.authoring.timetables import register_timetable as register_timetable
    from tradewind.authoring.triggers import BaseEventTrigger as BaseEventTrigger
    from tradewind.authoring.triggers import BaseTrigger as BaseTrigger
    from tradewind.authoring.triggers import StartTriggerArgs as StartTriggerArgs
    from tradewind.authoring.triggers import TaskFailedEvent as TaskFailedEvent
    from tradewind.authoring.triggers import TaskSkippedEvent as TaskSkippedEvent
    from tradewind.authoring.triggers import TaskSuccessEvent as TaskSuccessEvent
    from tradewind.authoring.triggers import Trigger as Trigger
    from tradewind.authoring.triggers import TriggerEvent as TriggerEvent
    from tradewind.authoring.triggers import trigger as trigger
    from tradewind.authoring.variable import Variable as Variable
    from tradewind.authoring.webhook import Webhook as Webhook
    from tradewind.authoring.xcom import BaseXCom as BaseXCom
    from tradewind.authoring.xcom_access import XCom as XCom
    from tradewind.authoring.xcom_arg import XComArg as XComArg
    from tradewind.host import Runtime as Runtime
    from tradewind.host import StartedRun as StartedRun
    from tradewind.model.errors import AuthoringError as AuthoringError
    from tradewind.model.errors import FailWithoutRetry as FailWithoutRetry
    from tradewind.model.errors import RescheduleTask as RescheduleTask
    from tradewind.model.errors import RunFailed as RunFailed
    from tradewind.model.errors import SkipTask as SkipTask
    from tradewind.model.errors import TaskFailed as TaskFailed
    from tradewind.model.errors import TaskTimeout as TaskTimeout
    from tradewind.model.errors import TradewindError as TradewindError
    from tradewind.model.errors import XComError as XComError
    from tradewind.model.states import RunState as RunState
    from tradewind.model.states import RunType as RunType
    from tradewind.model.states import TaskState as TaskState
    from tradewind.model.states import TriggerRule as TriggerRule
    from tradewind.standard.asset_decorator import asset as asset
    from tradewind.standard.bash import BashOperator as BashOperator
    from tradewind.standard.branch import BaseBranchOperator as BaseBranchOperator
    from tradewind.standard.branch import LatestOnlyOperator as LatestOnlyOperator
    from tradewind.standard.decorators import setup as setup
    from tradewind.standard.decorators import task as task
    from tradewind.standard.decorators import teardown as teardown
    from tradewind.standard.empty import EmptyOperator as EmptyOperator
    from tradewind.standard.python import BranchPythonOperator as BranchPythonOperator
    from tradewind.standard.python import PythonOperator as PythonOperator
    from tradewind.standard.python import ShortCircuitOperator as ShortCircuitOperator
    from tradewind.standard.sensors import BashSensor as BashSensor
    from tradewind.standard.sensors import DateTimeSensor as DateTimeSensor
    from tradewind.standard.sensors import FileSensor as FileSensor
    from tradewind.standard.sensors import PythonSensor as PythonSensor
    from tradewind.standard.sensors import TimeDeltaSensor as TimeDeltaSensor
    from tradewind.standard.sensors import TimeSensor as TimeSensor

__version__ = "0.1.0"

_HOMES: dict[str, tuple[str, ...]] = {
    "authoring.assets": (
        "Asset",
        "AssetAlias",
        "AssetAll",
        "AssetAny",
        "AssetWatcher",
        "Dataset",
        "DatasetAlias",
        "Metadata",
    ),
    "authoring.async_hook": ("AsyncHook",),
    "authoring.connection": ("Connection",),
    "authoring.context": ("Context",),
    "authoring.current_context": ("get_current_context",),
    "authoring.dag": ("DAG",),
    "authoring.dag_run": ("DagRun",),
    "authoring.deadlines": ("AsyncCallback", "DeadlineAlert", "DeadlineReference", "SyncCallback"),
    "authoring.decorators": ("DagParam", "dag", "task_group"),
    "authoring.deferral": ("TaskDeferralError", "TaskDeferralTimeout", "TaskDeferred", "defer"),
    "authoring.durable": ("StepUnknown",),
    "authoring.durable_calls": ("signal",),
    "authoring.edges": ("Label", "chain", "chain_linear", "cross_downstream"),
    "authoring.hook": ("BaseHook",),
    "authoring.listeners": ("hookimpl",),
    "authoring.mapped": ("MappedOperator",),
    "authoring.masking": ("mask_secret",),
    "authoring.notifier": ("BaseNotifier",),
    "authoring.object_storage": ("ObjectStoragePath",),
    "authoring.operator": ("BaseOperator",),
    "authoring.params": ("Param", "ParamsDict"),
    "authoring.resources": ("Resource", "resource"),
    "authoring.retry_policy": (
        "ChainRetryPolicy",
        "ExceptionRetryPolicy",
        "RetryAction",
        "RetryDecision",
        "RetryPolicy",
        "RetryRule",
    ),
    "authoring.secrets_backend": ("BaseSecretsBackend",),
    "authoring.sensor": ("BaseSensorOperator", "PokeReturnValue", "SensorResult"),
    "authoring.task_group": ("TaskGroup",),
    "authoring.task_instance": ("TaskInstance",),
    "authoring.templating": ("literal",),
    "authoring.timetables": (
        "AssetOrTimeSchedule",
        "ContinuousTimetable",
        "CronDataIntervalTimetable",
        "CronTriggerTimetable",
        "DatasetOrTimeSchedule",
        "DeltaDataIntervalTimetable",
        "DeltaTriggerTimetable",
        "EventSchedule",
        "EventsTimetable",
        "MultipleCronTriggerTimetable",
        "OnceTimetable",
        "Timetable",
        "register_timetable",
    ),
    "authoring.triggers": (
        "BaseEventTrigger",
        "BaseTrigger",
        "StartTriggerArgs",
        "TaskFailedEvent",
        "TaskSkippedEvent",
        "TaskSuccessEvent",
        "Trigger",
        "TriggerEvent",
        "trigger",
    ),
    "authoring.variable": ("Variable",),
    "authoring.webhook": ("Webhook",),
    "authoring.xcom": ("BaseXCom",),
    "authoring.xcom_access": ("XCom",),
    "authoring.xcom_arg": ("XComArg",),
    "host": ("Runtime", "StartedRun"),
    "model.errors": (
        "AuthoringError",
        "FailWithoutRetry",
        "RescheduleTask",
        "RunFailed",
        "SkipTask",
        "TaskFailed",
        "TaskTimeout",
        "TradewindError",
        "XComError",
    ),
    "model.states": ("RunState", "RunType", "TaskState", "TriggerRule"),
    "standard.asset_decorator": ("asset",),
    "standard.bash": ("BashOperator",),
    "standard.branch": ("BaseBranchOperator", "LatestOnlyOperator"),
    "standard.decorators": ("setup", "task", "teardown"),
    "standard.empty": ("EmptyOperator",),
    "standard.python": ("BranchPythonOperator", "PythonOperator", "ShortCircuitOperator"),
    "standard.sensors": (
        "BashSensor",
        "DateTimeSensor",
        "FileSensor",
        "PythonSensor",
        "TimeDeltaSensor",
        "TimeSensor",
    ),
}
_HOME_OF = {name: f"tradewind.{module}" for module, names in _HOMES.items() for name in names}

__all__ = [  # noqa: RUF022 - by theme: how a DAG is written, what tasks are, when they run, how they end, what runs them
    "DAG",
    "DagParam",
    "Label",
    "Param",
    "ParamsDict",
    "TaskGroup",
    "TriggerRule",
    "XComArg",
    "chain",
    "chain_linear",
    "cross_downstream",
    "dag",
    "setup",
    "signal",
    "task",
    "task_group",
    "teardown",
    #
    "AsyncHook",
    "BaseBranchOperator",
    "BaseHook",
    "BaseOperator",
    "BaseSecretsBackend",
    "BaseSensorOperator",
    "BaseXCom",
    "BashOperator",
    "BashSensor",
    "BranchPythonOperator",
    "DateTimeSensor",
    "EmptyOperator",
    "FileSensor",
    "LatestOnlyOperator",
    "MappedOperator",
    "PokeReturnValue",
    "PythonOperator",
    "PythonSensor",
    "SensorResult",
    "StepUnknown",
    "ShortCircuitOperator",
    "TaskInstance",
    "TimeDeltaSensor",
    "TimeSensor",
    #
    "BaseEventTrigger",
    "BaseTrigger",
    "StartTriggerArgs",
    "TaskDeferralError",
    "TaskDeferralTimeout",
    "TaskDeferred",
    "TaskFailedEvent",
    "TaskSkippedEvent",
    "TaskSuccessEvent",
    "Trigger",
    "TriggerEvent",
    "defer",
    "trigger",
    #
    "Connection",
    "Context",
    "DagRun",
    "ObjectStoragePath",
    "Resource",
    "Variable",
    "XCom",
    "get_current_context",
    "literal",
    "mask_secret",
    "resource",
    #
    "AsyncCallback",
    "BaseNotifier",
    "ChainRetryPolicy",
    "DeadlineAlert",
    "DeadlineReference",
    "ExceptionRetryPolicy",
    "RetryAction",
    "RetryDecision",
    "RetryPolicy",
    "RetryRule",
    "SyncCallback",
    "hookimpl",
    #
    "Asset",
    "AssetAlias",
    "AssetAll",
    "AssetAny",
    "AssetWatcher",
    "AssetOrTimeSchedule",
    "Dataset",
    "DatasetAlias",
    "DatasetOrTimeSchedule",
    "Metadata",
    "asset",
    #
    "ContinuousTimetable",
    "CronDataIntervalTimetable",
    "CronTriggerTimetable",
    "DeltaDataIntervalTimetable",
    "DeltaTriggerTimetable",
    "EventSchedule",
    "EventsTimetable",
    "MultipleCronTriggerTimetable",
    "OnceTimetable",
    "Timetable",
    "Webhook",
    "register_timetable",
    #
    "AuthoringError",
    "FailWithoutRetry",
    "RescheduleTask",
    "RunFailed",
    "RunState",
    "RunType",
    "SkipTask",
    "TaskFailed",
    "TaskState",
    "TaskTimeout",
    "TradewindError",
    "XComError",
    "Runtime",
    "StartedRun",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"tradewind has no {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
