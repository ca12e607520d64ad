"""What a secrets back end has, seen from a task, and an operator that uses a connection of it."""

from datetime import datetime

from airflow import DAG
from airflow.decorators import task
from airflow.hooks.base import BaseHook
from airflow.models import Variable

with DAG("with_secrets", start_date=datetime(2026, 1, 1), schedule=None):

    @task
    def look_up():
        found = BaseHook.get_connection("from_there")
        return {
            "host": found.host,
            "login": found.login,
            "extra": found.extra_dejson,
            "day": Variable.get("from_there"),
        }

    @task
    def elsewhere():
        return [BaseHook.get_connection("of_environment").host, Variable.get("nowhere", default_var="default")]

    look_up()
    elsewhere()
