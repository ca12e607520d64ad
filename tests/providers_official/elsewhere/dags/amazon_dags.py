"""Operators, sensors and hooks of the amazon package."""

import io
from datetime import datetime

from airflow import DAG
from airflow.decorators import task
from airflow.models import Variable
from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.operators.athena import AthenaOperator
from airflow.providers.amazon.aws.operators.s3 import (
    S3CopyObjectOperator,
    S3CreateBucketOperator,
    S3CreateObjectOperator,
    S3DeleteBucketOperator,
    S3DeleteObjectsOperator,
    S3FileTransformOperator,
    S3ListOperator,
)
from airflow.providers.amazon.aws.operators.sagemaker import SageMakerTrainingOperator
from airflow.providers.amazon.aws.operators.sns import SnsPublishOperator
from airflow.providers.amazon.aws.operators.sqs import SqsPublishOperator
from airflow.providers.amazon.aws.sensors.s3 import S3KeySensor
from airflow.providers.amazon.aws.sensors.sqs import SqsSensor
from airflow.providers.amazon.aws.transfers.local_to_s3 import LocalFilesystemToS3Operator
from airflow.providers.amazon.aws.transfers.sql_to_s3 import SqlToS3Operator

FOLDER = Variable.get("folder")

with DAG("with_s3", start_date=datetime(2026, 1, 1), schedule=None, default_args={"aws_conn_id": "cloud"}):
    bucket = S3CreateBucketOperator(task_id="bucket", bucket_name="launches", region_name="eu-west-1")
    create = S3CreateObjectOperator(
        task_id="create", s3_bucket="launches", s3_key="{{ ds }}/orders.csv", data="a,b\n1,2\n", replace=True
    )
    again = S3CreateObjectOperator(
        task_id="again", s3_bucket="launches", s3_key="{{ ds }}/orders.csv", data="c", replace=False
    )
    wait = S3KeySensor(
        task_id="wait", bucket_name="launches", bucket_key="{{ ds }}/*.csv", wildcard_match=True, deferrable=False
    )
    copy = S3CopyObjectOperator(
        task_id="copy",
        source_bucket_name="launches",
        source_bucket_key="{{ ds }}/orders.csv",
        dest_bucket_name="launches",
        dest_bucket_key="copies/{{ ds }}.csv",
    )
    transform = S3FileTransformOperator(
        task_id="transform",
        source_s3_key="s3://launches/copies/{{ ds }}.csv",
        dest_s3_key="s3://launches/sorted/{{ ds }}.csv",
        transform_script="/bin/cp",
        source_aws_conn_id="cloud",
        dest_aws_conn_id="cloud",
        replace=True,
    )
    upload = LocalFilesystemToS3Operator(
        task_id="upload", filename=f"{FOLDER}/orders.csv", dest_key="local/orders.csv", dest_bucket="launches"
    )
    rows = SqlToS3Operator(
        task_id="rows",
        query="select 'R1' as rocket, 12 as kg",
        s3_bucket="launches",
        s3_key="rows/{{ ds }}.csv",
        sql_conn_id="db",
        file_format="csv",
        pd_kwargs={"index": False},
    )
    every = S3ListOperator(task_id="every", bucket="launches", trigger_rule="all_done")

    @task
    def by_hook(ds=None):
        hook = S3Hook("keys")
        hook.load_string("x", "by/string", "launches")
        hook.load_file(f"{FOLDER}/orders.csv", key="by/file", bucket_name="launches", replace=True)
        hook.load_file_obj(io.BytesIO(b"y"), "by/object", "launches")
        hook.delete_objects("launches", ["by/string", "by/object"])
        try:
            hook.load_string("z", "by/file", "launches", replace=False)
        except ValueError as error:
            refused = str(error)
        return {
            "read": hook.read_key(f"sorted/{ds}.csv", "launches"),
            "rows": hook.read_key(f"rows/{ds}.csv", "launches"),
            "left": hook.list_keys("launches", prefix="by/"),
            "refused": refused,
            "tested": AwsBaseHook("cloud").test_connection()[0],
        }

    delete = S3DeleteObjectsOperator(task_id="delete", bucket="launches", prefix="")
    remove = S3DeleteBucketOperator(task_id="remove", bucket_name="launches", force_delete=True)

    bucket >> create >> [again, wait]
    wait >> copy >> transform >> [upload, rows] >> every >> by_hook() >> delete >> remove

with DAG("with_aws", start_date=datetime(2026, 1, 1), schedule=None, default_args={"aws_conn_id": "cloud"}):

    @task(multiple_outputs=True)
    def prepare():
        def client(kind):
            return AwsBaseHook("cloud", client_type=kind).get_conn()

        client("s3").create_bucket(Bucket="answers", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        return {
            "queue": client("sqs").create_queue(QueueName="launches")["QueueUrl"],
            "topic": client("sns").create_topic(Name="launches")["TopicArn"],
        }

    ready = prepare()
    publish = SqsPublishOperator(
        task_id="publish", sqs_queue=ready["queue"], message_content="{{ ds }}", region_name="eu-west-1"
    )
    receive = SqsSensor(task_id="receive", sqs_queue=ready["queue"], wait_time_seconds=0, deferrable=False)
    tell = SnsPublishOperator(task_id="tell", target_arn=ready["topic"], message="{{ ds }}", subject="x")
    ask = AthenaOperator(
        task_id="ask",
        query="select * from ratings where day = '{{ ds }}'",
        database="launches",
        output_location="s3://answers/{{ ds }}",
        sleep_time=1,
        deferrable=False,
    )
    train = SageMakerTrainingOperator(
        task_id="train",
        config={
            "TrainingJobName": "job-{{ ds_nodash }}",
            "AlgorithmSpecification": {"TrainingImage": "x", "TrainingInputMode": "File"},
            "OutputDataConfig": {"S3OutputPath": "s3://answers/models"},
            "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1},
            "RoleArn": "arn:aws:iam::123456789012:role/x",
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        },
        check_interval=1,
        print_log=False,
        wait_for_completion=True,
        deferrable=False,
        check_if_job_exists=False,
    )
    ready >> [publish, tell, ask, train]
    publish >> receive

with DAG("with_parameter_store", start_date=datetime(2026, 1, 1), schedule=None):

    @task
    def look_up():
        return {"host": AwsBaseHook.get_connection("from_there").host, "day": Variable.get("from_there")}

    look_up()
