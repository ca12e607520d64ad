"""Airflow 1's names of what provider packages hold now, and what to use in place of modules that are not here.

The values name modules of provider packages: they are imported when the name is used, and what is missing then is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_AWS: Final = "airflow.providers.amazon.aws"
_GCP: Final = "airflow.providers.google.cloud"
_K8S: Final = "airflow.providers.cncf.kubernetes"

MOVED: Final[Mapping[str, Mapping[str, str]]] = {
    "airflow.contrib.hooks.aws_hook": {"AwsHook": f"{_AWS}.hooks.base_aws:AwsBaseHook"},
    "airflow.contrib.hooks.bigquery_hook": {"BigQueryHook": f"{_GCP}.hooks.bigquery:BigQueryHook"},
    "airflow.contrib.hooks.gcs_hook": {"GoogleCloudStorageHook": f"{_GCP}.hooks.gcs:GCSHook"},
    "airflow.contrib.hooks.ssh_hook": {"SSHHook": "airflow.providers.ssh.hooks.ssh:SSHHook"},
    "airflow.contrib.hooks.wasb_hook": {"WasbHook": "airflow.providers.microsoft.azure.hooks.wasb:WasbHook"},
    "airflow.contrib.kubernetes.volume": {"Volume": "kubernetes.client.models:V1Volume"},
    "airflow.contrib.kubernetes.volume_mount": {"VolumeMount": "kubernetes.client.models:V1VolumeMount"},
    "airflow.contrib.operators.aws_athena_operator": {
        "AWSAthenaOperator": f"{_AWS}.operators.athena:AthenaOperator",
    },
    "airflow.contrib.operators.bigquery_operator": {
        "BigQueryOperator": f"{_GCP}.operators.bigquery:BigQueryExecuteQueryOperator",
    },
    "airflow.contrib.operators.bigquery_table_delete_operator": {
        "BigQueryTableDeleteOperator": f"{_GCP}.operators.bigquery:BigQueryDeleteTableOperator",
    },
    "airflow.contrib.operators.bigquery_to_gcs": {
        "BigQueryToCloudStorageOperator": f"{_GCP}.transfers.bigquery_to_gcs:BigQueryToGCSOperator",
    },
    "airflow.contrib.operators.file_to_gcs": {
        "FileToGoogleCloudStorageOperator": f"{_GCP}.transfers.local_to_gcs:LocalFilesystemToGCSOperator",
    },
    "airflow.contrib.operators.gcs_to_bq": {
        "GoogleCloudStorageToBigQueryOperator": f"{_GCP}.transfers.gcs_to_bigquery:GCSToBigQueryOperator",
    },
    "airflow.contrib.operators.kubernetes_pod_operator": {
        "KubernetesPodOperator": f"{_K8S}.operators.pod:KubernetesPodOperator",
    },
    "airflow.contrib.operators.s3_copy_object_operator": {
        "S3CopyObjectOperator": f"{_AWS}.operators.s3:S3CopyObjectOperator",
    },
    "airflow.contrib.operators.sagemaker_endpoint_operator": {
        "SageMakerEndpointOperator": f"{_AWS}.operators.sagemaker:SageMakerEndpointOperator",
    },
    "airflow.contrib.operators.sagemaker_training_operator": {
        "SageMakerTrainingOperator": f"{_AWS}.operators.sagemaker:SageMakerTrainingOperator",
    },
    "airflow.contrib.operators.ssh_operator": {"SSHOperator": "airflow.providers.ssh.operators.ssh:SSHOperator"},
    "airflow.hooks.S3_hook": {"S3Hook": f"{_AWS}.hooks.s3:S3Hook"},
    "airflow.hooks.dbapi": {"DbApiHook": "airflow.providers.common.sql.hooks.sql:DbApiHook"},
    "airflow.hooks.dbapi_hook": {"DbApiHook": "airflow.providers.common.sql.hooks.sql:DbApiHook"},
    "airflow.hooks.http_hook": {"HttpHook": "airflow.providers.http.hooks.http:HttpHook"},
    "airflow.hooks.mysql_hook": {"MySqlHook": "airflow.providers.mysql.hooks.mysql:MySqlHook"},
    "airflow.hooks.postgres_hook": {"PostgresHook": "airflow.providers.postgres.hooks.postgres:PostgresHook"},
    "airflow.hooks.sqlite_hook": {"SqliteHook": "airflow.providers.sqlite.hooks.sqlite:SqliteHook"},
    "airflow.operators.check_operator": {
        f"{name}CheckOperator": f"airflow.providers.common.sql.operators.sql:SQL{name}CheckOperator"
        for name in ("", "Interval", "Threshold", "Value")
    },
    "airflow.operators.docker_operator": {
        "DockerOperator": "airflow.providers.docker.operators.docker:DockerOperator",
    },
    "airflow.operators.email": {"EmailOperator": "airflow.providers.smtp.operators.smtp:EmailOperator"},
    "airflow.operators.email_operator": {"EmailOperator": "airflow.providers.smtp.operators.smtp:EmailOperator"},
    "airflow.operators.generic_transfer": {
        "GenericTransfer": "airflow.providers.common.sql.operators.generic_transfer:GenericTransfer",
    },
    "airflow.operators.http_operator": {"SimpleHttpOperator": "airflow.providers.http.operators.http:HttpOperator"},
    "airflow.operators.mysql_operator": {"MySqlOperator": "airflow.providers.mysql.operators.mysql:MySqlOperator"},
    "airflow.operators.postgres_operator": {
        "PostgresOperator": "airflow.providers.postgres.operators.postgres:PostgresOperator",
    },
    "airflow.operators.sql": {
        name: f"airflow.providers.common.sql.operators.sql:{name}"
        for name in (
            *("BaseSQLOperator", "BranchSQLOperator", "SQLCheckOperator", "SQLColumnCheckOperator"),
            *(
                "SQLIntervalCheckOperator",
                "SQLTableCheckOperator",
                "SQLThresholdCheckOperator",
                "SQLValueCheckOperator",
            ),
        )
    },
    "airflow.operators.sql_branch_operator": {
        "BranchSqlOperator": "airflow.providers.common.sql.operators.sql:BranchSQLOperator",
        "BranchSQLOperator": "airflow.providers.common.sql.operators.sql:BranchSQLOperator",
    },
    "airflow.operators.sqlite_operator": {
        "SqliteOperator": "airflow.providers.sqlite.operators.sqlite:SqliteOperator",
    },
    "airflow.sensors.s3_key_sensor": {"S3KeySensor": f"{_AWS}.sensors.s3:S3KeySensor"},
    "airflow.sensors.http_sensor": {"HttpSensor": "airflow.providers.http.sensors.http:HttpSensor"},
    "airflow.sensors.sql": {"SqlSensor": "airflow.providers.common.sql.sensors.sql:SqlSensor"},
    "airflow.sensors.sql_sensor": {"SqlSensor": "airflow.providers.common.sql.sensors.sql:SqlSensor"},
}

OTHER_PLACES: Final[Mapping[str, str]] = {
    "airflow.contrib.sensors.bash_sensor": "airflow.sensors.bash",
    "airflow.contrib.sensors.file_sensor": "airflow.sensors.filesystem",
    "airflow.contrib.sensors.python_sensor": "airflow.sensors.python",
    "airflow.contrib.sensors.weekday_sensor": "airflow.sensors.weekday",
    "airflow.contrib.operators.branch_operator": "airflow.operators.branch",
    "airflow.contrib.operators.weekday_operator": "airflow.operators.weekday",
}
"""Airflow 1's modules whose content is served under a later name."""

INSTEAD: Final[Mapping[str, str]] = {
    "airflow.settings": "use the `tradewind` command or the REST API instead of the database session",
    "airflow.utils.session": "use the REST API instead of the database session",
    "airflow.utils.db": "use the REST API instead of the database session",
    "airflow.models.dagbag": "the runtime reads DAG files; `tradewind dags export` says what one defines",
    "airflow.models.DagBag": "the runtime reads DAG files; `tradewind dags export` says what one defines",
    "airflow.models.DagModel": "use the REST API instead of the database session",
    "airflow.models.Pool": "pools are made with `tradewind pools set` or over the REST API",
    "airflow.models.pool": "pools are made with `tradewind pools set` or over the REST API",
    "airflow.contrib": "its classes moved to provider packages; import them from airflow.providers",
    "airflow.auth": "who may do what is set in Tradewind's own configuration",
    "airflow.security": "who may do what is set in Tradewind's own configuration",
    "airflow.utils.cli": "packages add no commands here; the `tradewind` command has its own",
    "airflow.utils.python_virtualenv": "use @task.virtualenv, or PythonVirtualenvOperator",
    "airflow.cli": "packages add no commands here; the `tradewind` command has its own",
    "airflow.dag_processing": "where DAG files come from is set in `dags.bundles`",
    "airflow.stats": "the runtime has metrics of its own",
    "airflow.utils.log.file_task_handler": "logs are kept by the runtime; log handlers of packages are not used",
    "airflow.utils.log.trigger_handler": "logs are kept by the runtime; log handlers of packages are not used",
    "airflow.utils.email": "send mail with EmailOperator of apache-airflow-providers-smtp",
    "airflow.www": "the pages of Tradewind have no plug-ins; use the REST API",
    "airflow.api_fastapi": "the REST API of Tradewind is asked over HTTP",
    "airflow.jobs": "Tradewind has one runtime; `tradewind run` starts it",
    "airflow.executors": "executors are written for `tradewind.executor_ports.Executor`",
    "airflow.providers.standard.triggers.hitl.HITLTrigger": "a task waits for a person without a trigger: HITLOperator",
    "airflow.models": "use the REST API instead of the database session",
    "airflow.api": "start runs with TriggerDagRunOperator, `tradewind dags trigger` or the REST API",
    "airflow.callbacks": "the runtime calls callbacks itself; give functions to tasks and DAGs",
    "airflow.datasets.manager": "what changes a dataset is in `outlets` of a task; from outside, use the REST API",
    "airflow.assets.manager": "what changes an asset is in `outlets` of a task; from outside, use the REST API",
    "airflow.policies": "there are no rules for all DAGs in a module; shared arguments stand in `default_args`",
    "airflow.serialization": "values of XComs are written by the runtime; a dataclass needs no serializer",
    "airflow.ti_deps": "what a task waits for are the tasks before it, its trigger rule, and sensors",
    "airflow.triggers.testing": "make a BaseTrigger that yields one TriggerEvent",
    "airflow.secrets": "the environment and the database are always looked into; see BaseSecretsBackend for others",
    "airflow.sensors.smart_sensor": "sensors hold no process here; leave the base class away",
    "airflow.operators.sensors": "import it from airflow.sensors",
    "airflow.utils.dates": "make datetimes with pendulum",
    "airflow.utils.sqlalchemy": "use the REST API instead of the database session",
    "airflow.utils.task_instance_session": "use the REST API instead of the database session",
    "airflow.utils.retries": "use the REST API instead of the database session",
    "airflow.example_dags": "Tradewind has examples of its own: `tradewind.examples`",
}
"""What to use in place of modules that will not come."""

NOTHING: Final = "nothing here takes its place; tasks have the context, other programs the REST API"
"""What can be said of all other names."""

TWO_PARTS: Final = ("apache", "cncf", "common", "dbt", "microsoft")
"""First parts of module names whose packages are named for two."""


def provider_package(module: str) -> str:
    """The PyPI package that holds a module below `airflow.providers`."""
    parts = module.split(".")[2:]
    return "apache-airflow-providers-" + "-".join(parts[: 2 if parts[0] in TWO_PARTS else 1])


def advice(name: str) -> str:
    """What can be done about a name that is not served."""
    if name.startswith("airflow.providers.") and not name.startswith("airflow.providers.standard"):
        package = provider_package(name)
        return f"install the provider package ({package}, with `pip install --no-deps` and what it imports)"
    for prefix, hint in INSTEAD.items():
        if name == prefix or name.startswith(f"{prefix}."):
            return hint
    return NOTHING
