"""Operators, sensors, hooks, notifiers, strategies and callbacks of one's own."""

from datetime import datetime, timedelta

from airflow import DAG
from airflow.datasets import Dataset
from airflow.hooks.base import BaseHook
from airflow.models import BaseOperator
from airflow.models.baseoperatorlink import BaseOperatorLink
from airflow.notifications.basenotifier import BaseNotifier
from airflow.operators.empty import EmptyOperator
from airflow.sensors.base import BaseSensorOperator
from airflow.sensors.filesystem import FileSensor
from airflow.sensors.python import PythonSensor
from airflow.sensors.weekday import DayOfWeekSensor
from airflow.task.priority_strategy import PriorityWeightStrategy
from airflow.timetables.datasets import DatasetOrTimeSchedule
from airflow.timetables.trigger import CronTriggerTimetable
from airflow.utils.context import Context
from airflow.utils.log.secrets_masker import mask_secret
from airflow.utils.weight_rule import WeightRule


class Heavier(PriorityWeightStrategy):
    """The first try weighs most."""

    def get_weight(self, ti):
        return max(5 - ti.try_number, 1)


class Page(BaseOperatorLink):
    """Where the result is."""

    name = "Page"

    def get_link(self, operator, *, ti_key):
        return "https://example.com"


class ShopHook(BaseHook):
    """A client of a shop."""

    conn_name_attr = "shop_conn_id"

    def __init__(self, shop_conn_id="shop_default"):
        super().__init__()
        self.shop_conn_id = shop_conn_id

    def get_conn(self):
        return {"shop": self.shop_conn_id}


class ShopOperator(BaseOperator):
    """Reads a shop."""

    template_fields = ("path",)
    ui_color = "#fafafa"
    operator_extra_links = (Page(),)

    def __init__(self, *, path: str, **kwargs) -> None:
        super().__init__(**kwargs)
        self.path = path

    def execute(self, context: Context):
        self.log.info("reading %s", self.path)
        mask_secret("a-very-secret-word")
        return [self.path, ShopHook().get_conn()["shop"], self.render_template("{{ ds }}", context)]


class Told(BaseNotifier):
    """Says something."""

    template_fields = ("message",)

    def __init__(self, message):
        super().__init__()
        self.message = message

    def notify(self, context):
        print(self.message)


class Third(BaseSensorOperator):
    """There at the third look."""

    looks = 0

    def poke(self, context):
        type(self).looks += 1
        return self.looks >= 3


with DAG(
    "own_classes",
    schedule=DatasetOrTimeSchedule(
        timetable=CronTriggerTimetable("0 1 * * 3", timezone="UTC"), datasets=[Dataset("s3://lake/raw")]
    ),
    start_date=datetime(2021, 1, 1),
    catchup=False,
    on_success_callback=Told("run of {{ dag.dag_id }} is done"),
) as dag:
    shop = ShopOperator(
        task_id="shop",
        path="/in/{{ ds }}",
        weight_rule=Heavier(),
        on_success_callback=[Told("{{ ti.task_id }} is done"), lambda context: None],
    )
    third = Third(task_id="third", poke_interval=timedelta(hours=1), timeout=86400, mode="reschedule")
    late = PythonSensor(task_id="late", python_callable=lambda: False, poke_interval=3600, timeout=7200)
    soft = FileSensor(task_id="soft", filepath="/no/such/file", poke_interval=3600, timeout=7200, soft_fail=True)
    any_day = DayOfWeekSensor(task_id="any_day", week_day=["Monday", "Friday"], use_task_logical_date=True)
    after = EmptyOperator(task_id="after", trigger_rule="one_done", weight_rule=WeightRule.ABSOLUTE, priority_weight=7)
    late >> after
    [third, soft] >> EmptyOperator(task_id="after_soft")
