"""Imports as files for Airflow 3 have them."""

from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.datetime import BranchDateTimeOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import BranchPythonOperator, PythonOperator
from airflow.providers.standard.operators.weekday import BranchDayOfWeekOperator
from airflow.providers.standard.sensors.bash import BashSensor
from airflow.providers.standard.sensors.time_delta import TimeDeltaSensor
from airflow.providers.standard.utils.weekday import WeekDay
from airflow.sdk import (
    DAG,
    Asset,
    AssetAlias,
    Label,
    Metadata,
    Param,
    TaskGroup,
    TriggerRule,
    chain,
    dag,
    task,
    task_group,
)
from airflow.sdk.definitions.asset import AssetAll
from airflow.timetables.trigger import CronTriggerTimetable

with DAG(
    dag_id="sdk_classic",
    schedule=CronTriggerTimetable("0 6 * * *", timezone="UTC"),
    start_date=datetime(2021, 1, 1),
    params={
        "name": Param("x", type="string", minLength=1, title="A name", section="Words"),
        "kind": Param("a", enum=["a", "b"], values_display={"a": "first", "b": "second"}),
        "maybe": Param(None, type=["null", "string"], format="date"),
        "many": Param(["one"], type="array", examples=["one", "two"]),
        "thing": Param({"k": 1}, type="object"),
        "plain": 3,
    },
    render_template_as_native_obj=True,
) as classic:
    say = BashOperator(task_id="say", bash_command="echo {{ params.name }}", env={"A": "{{ ds }}"}, append_env=True)
    call = PythonOperator(
        task_id="call",
        python_callable=lambda n, at: [n, at is not None],
        op_kwargs={"n": "{{ params.plain }}", "at": "{{ ts }}"},
    )
    at_once = TimeDeltaSensor(task_id="at_once", delta=timedelta(seconds=1))
    shell = BashSensor(task_id="shell", bash_command="exit 0")
    early = EmptyOperator(task_id="early")
    late = EmptyOperator(task_id="late")
    by_time = BranchDateTimeOperator(
        task_id="by_time",
        follow_task_ids_if_true=["late"],
        follow_task_ids_if_false=["early"],
        target_lower=datetime(2021, 1, 1),
        target_upper=datetime(2100, 1, 1),
    )
    week = EmptyOperator(task_id="week")
    weekend = EmptyOperator(task_id="weekend")
    by_day = BranchDayOfWeekOperator(
        task_id="by_day",
        follow_task_ids_if_true="weekend",
        follow_task_ids_if_false="week",
        week_day={WeekDay.SATURDAY, WeekDay.SUNDAY},
        use_task_logical_date=True,
    )
    nothing = BranchPythonOperator(task_id="nothing", python_callable=lambda: None)
    chain([say, call], [at_once, shell])
    by_time >> [early, late]
    by_day >> Label("free") >> weekend
    by_day >> Label("work") >> week
    nothing >> EmptyOperator(task_id="left_out") >> EmptyOperator(task_id="anyway", trigger_rule=TriggerRule.ALL_DONE)


@dag(schedule=None)
def sdk_mapping():
    @task
    def numbers():
        return [1, 2, 3]

    @task
    def add_one(x: int, by: int = 1):
        return x + by

    @task
    def total(values):
        return sum(values)

    @task_group
    def section(x):
        return add_one(add_one(x))

    listed = numbers()
    total(add_one.expand(x=listed))
    total.override(task_id="partly")(add_one.partial(by=10).expand(x=listed.map(lambda n: n * 2)))
    total.override(task_id="grouped")(section.expand(x=[1, 2]))
    BashOperator.partial(task_id="many").expand(bash_command=["echo 1", "echo 2"])
    BashOperator.partial(task_id="pairs", bash_command="echo $A").expand_kwargs(
        [{"env": {"A": "1"}}, {"env": {"A": "2"}}]
    )


sdk_mapping()

orders, clicks = Asset("orders", uri="s3://lake/orders"), Asset("s3://lake/clicks")

with DAG(dag_id="sdk_produces", schedule=None):

    @task(outlets=[orders, AssetAlias("some")])
    def write(*, outlet_events):
        outlet_events[orders].extra = {"rows": 3}
        yield Metadata(orders, {"rows": 4})

    with TaskGroup("more"):
        EmptyOperator(task_id="click", outlets=[clicks])
    write()

with DAG(dag_id="sdk_consumes", schedule=(orders & clicks) | AssetAlias("some"), start_date=datetime(2021, 1, 1)):
    BashOperator(task_id="read", bash_command="echo read", inlets=[AssetAll(orders, clicks)])
