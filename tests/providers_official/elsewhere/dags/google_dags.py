"""Operators, sensors and hooks of the google package: Cloud Storage."""

from datetime import datetime

from airflow import DAG
from airflow.decorators import task
from airflow.models import Variable
from airflow.providers.google.cloud.hooks.gcs import GCSHook
from airflow.providers.google.cloud.operators.gcs import (
    GCSCreateBucketOperator,
    GCSDeleteBucketOperator,
    GCSDeleteObjectsOperator,
    GCSFileTransformOperator,
    GCSListObjectsOperator,
)
from airflow.providers.google.cloud.sensors.gcs import GCSObjectExistenceSensor, GCSObjectsWithPrefixExistenceSensor
from airflow.providers.google.cloud.transfers.gcs_to_gcs import GCSToGCSOperator
from airflow.providers.google.cloud.transfers.gcs_to_local import GCSToLocalFilesystemOperator
from airflow.providers.google.cloud.transfers.local_to_gcs import LocalFilesystemToGCSOperator

FOLDER = Variable.get("folder")

with DAG("with_google", start_date=datetime(2026, 1, 1), schedule=None, default_args={"gcp_conn_id": "cloud"}):
    bucket = GCSCreateBucketOperator(task_id="bucket", bucket_name="launches", project_id="p1")
    upload = LocalFilesystemToGCSOperator(
        task_id="upload", src=f"{FOLDER}/orders.csv", dst="{{ ds }}/orders.csv", bucket="launches"
    )
    wait = GCSObjectExistenceSensor(
        task_id="wait", bucket="launches", object="{{ ds }}/orders.csv", google_cloud_conn_id="cloud", deferrable=False
    )
    listed = GCSObjectsWithPrefixExistenceSensor(
        task_id="listed", bucket="launches", prefix="{{ ds }}/", google_cloud_conn_id="cloud", deferrable=False
    )
    transform = GCSFileTransformOperator(
        task_id="transform",
        source_bucket="launches",
        source_object="{{ ds }}/orders.csv",
        destination_object="sorted/{{ ds }}.csv",
        transform_script=["/bin/cp"],
    )
    copy = GCSToGCSOperator(
        task_id="copy",
        source_bucket="launches",
        source_object="sorted/{{ ds }}.csv",
        destination_bucket="launches",
        destination_object="copies/{{ ds }}.csv",
    )
    every = GCSListObjectsOperator(task_id="every", bucket="launches")
    get = GCSToLocalFilesystemOperator(
        task_id="get", bucket="launches", object_name="copies/{{ ds }}.csv", filename=f"{FOLDER}/back.csv"
    )

    @task
    def by_hook(ds=None):
        hook = GCSHook("cloud")
        hook.upload(bucket_name="launches", object_name="by/file", filename=f"{FOLDER}/orders.csv")
        assert hook.list("launches", prefix="by/") == ["by/file"]
        return hook.download(bucket_name="launches", object_name=f"sorted/{ds}.csv").decode()

    delete = GCSDeleteObjectsOperator(task_id="delete", bucket_name="launches", prefix="")
    remove = GCSDeleteBucketOperator(task_id="remove", bucket_name="launches", force=True)
    bucket >> upload >> [wait, listed] >> transform >> copy >> every >> get >> by_hook() >> delete >> remove
