"""Operators and sensors of the http package."""

from datetime import datetime

from airflow import DAG
from airflow.decorators import task
from airflow.providers.http.hooks.http import HttpHook
from airflow.providers.http.operators.http import HttpOperator
from airflow.providers.http.sensors.http import HttpSensor

with DAG("with_http", start_date=datetime(2026, 1, 1), schedule=None):
    ready = HttpSensor(
        task_id="ready",
        http_conn_id="api",
        endpoint="status",
        response_check=lambda response, ds: response.json()["ready"] and len(ds) == 10,
        poke_interval=1,
        deferrable=False,
    )
    fetch = HttpOperator(
        task_id="fetch",
        http_conn_id="api",
        method="GET",
        endpoint="launches",
        data={"day": "{{ ds }}"},
        headers={"X-Asked-By": "{{ ti.task_id }}"},
        response_filter=lambda response: response.json(),
        log_response=True,
        deferrable=False,
    )
    pages = HttpOperator(
        task_id="pages",
        http_conn_id="api",
        method="GET",
        endpoint="pages/1",
        pagination_function=lambda response: {"endpoint": response.json()["next"]} if response.json()["next"] else None,
        response_filter=lambda responses: [response.json()["items"] for response in responses],
        deferrable=False,
    )
    post = HttpOperator(
        task_id="post",
        http_conn_id="api",
        endpoint="orders",
        data="{\"rocket\": \"{{ ti.xcom_pull(task_ids='fetch')['rocket'] }}\"}",
        response_check=lambda response: response.status_code == 201,
        deferrable=False,
    )
    refused = HttpOperator(task_id="refused", http_conn_id="api", method="GET", endpoint="nothing", deferrable=False)

    @task(trigger_rule="all_done")
    def by_hook():
        return HttpHook(method="GET", http_conn_id="api").run("launches", data={"day": "x"}).json()["rocket"]

    ready >> fetch >> [pages, post, refused] >> by_hook()
