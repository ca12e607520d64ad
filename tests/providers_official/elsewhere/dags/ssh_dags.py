"""Operators and sensors of the ssh and sftp packages."""

from datetime import datetime

from airflow import DAG
from airflow.decorators import task
from airflow.models import Variable
from airflow.providers.sftp.hooks.sftp import SFTPHook
from airflow.providers.sftp.operators.sftp import SFTPOperator
from airflow.providers.sftp.sensors.sftp import SFTPSensor
from airflow.providers.ssh.hooks.ssh import SSHHook
from airflow.providers.ssh.operators.ssh import SSHOperator

FOLDER = Variable.get("folder")

with DAG("with_ssh", start_date=datetime(2026, 1, 1), schedule=None):
    say = SSHOperator(
        task_id="say",
        ssh_conn_id="machine",
        command="echo {{ ds }} $GREETING; echo aside >&2",
        environment={"GREETING": "hello"},
    )
    ends_badly = SSHOperator(task_id="ends_badly", ssh_conn_id="machine", command="exit 3", do_xcom_push=True)
    put = SFTPOperator(
        task_id="put",
        ssh_conn_id="machine",
        local_filepath=f"{FOLDER}/{{{{ params.name }}}}",
        remote_filepath=f"{FOLDER}/there/deep/orders.csv",
        operation="put",
        create_intermediate_dirs=True,
        params={"name": "orders.csv"},
    )
    wait = SFTPSensor(
        task_id="wait", sftp_conn_id="machine", path=f"{FOLDER}/there/deep", file_pattern="*.csv", poke_interval=1
    )
    get = SFTPOperator(
        task_id="get",
        ssh_conn_id="machine",
        local_filepath=f"{FOLDER}/back.csv",
        remote_filepath=f"{FOLDER}/there/deep/orders.csv",
        operation="get",
    )
    delete = SFTPOperator(
        task_id="delete", ssh_conn_id="machine", remote_filepath=f"{FOLDER}/there/deep/orders.csv", operation="delete"
    )

    @task
    def by_hook():
        with SSHHook(ssh_conn_id="machine").get_conn() as client:
            _, out, _ = client.exec_command("echo from the hook")
            said = out.read().decode().strip()
        sftp = SFTPHook(ssh_conn_id="machine")
        return {"said": said, "left": sftp.list_directory(f"{FOLDER}/there/deep"), "tested": sftp.test_connection()[0]}

    @task.sftp_sensor(sftp_conn_id="machine", path=f"{FOLDER}/there/deep/orders.csv", poke_interval=1)
    def decorated(files_found=None):
        return {"seen": True}

    put >> wait >> decorated() >> get >> delete >> by_hook()
    say >> ends_badly
