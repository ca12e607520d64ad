"""Exceptions whose arguments are spelled differently here."""

from __future__ import annotations

from datetime import datetime

from tradewind.model.errors import RescheduleTask, TradewindError


class AirflowRescheduleException(RescheduleTask):
    """The task gives its slot back and wants to run again at `reschedule_date`."""

    def __init__(self, reschedule_date: datetime) -> None:
        super().__init__(reschedule_date)
        self.reschedule_date = reschedule_date


class AirflowBadRequest(TradewindError):
    """A request that cannot be."""


class AirflowInternalRuntimeError(BaseException):
    """Raised by nothing here; caught by files that guard against Airflow's own faults."""


class AirflowTaskTerminated(BaseException):
    """Raised by nothing here: an attempt that is ended from outside gets `AttemptCancelled`."""


class AirflowOptionalProviderFeatureException(TradewindError):
    """An optional dependency of a provider is missing."""


class AirflowProviderDeprecationWarning(DeprecationWarning):
    """A provider's name is going to be taken away."""


class RemovedInAirflow3Warning(DeprecationWarning):
    """A name of Airflow 2 that Airflow 3 took away."""


class RemovedInAirflow4Warning(DeprecationWarning):
    """A name of Airflow 3 that Airflow 4 will take away."""


class AirflowExternalTaskSensorException(TradewindError):
    """Base of what a sensor for another DAG's tasks may find."""


class ExternalDagNotFoundError(AirflowExternalTaskSensorException):
    """There is no such DAG."""


class ExternalDagFailedError(AirflowExternalTaskSensorException):
    """The run of the other DAG has failed."""


class ExternalTaskNotFoundError(AirflowExternalTaskSensorException):
    """There is no such task."""


class ExternalTaskFailedError(AirflowExternalTaskSensorException):
    """The task of the other DAG has failed."""


class ExternalTaskGroupNotFoundError(AirflowExternalTaskSensorException):
    """There is no such group."""


class ExternalTaskGroupFailedError(AirflowExternalTaskSensorException):
    """A task of the other DAG's group has failed."""


class DuplicateStateError(AirflowExternalTaskSensorException):
    """One state stands for two things that exclude each other."""
