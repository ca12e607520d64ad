"""Whole pipelines of the specification, on stand-ins of this machine."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.spec.authored import load, load_one, ran, states

pytestmark = pytest.mark.blocks_the_loop  # a trial has the loop for itself


NEVER = datetime.max.replace(tzinfo=UTC)


class Events(http.server.BaseHTTPRequestHandler):
    """The events service: a list of what users did, from `start_date` up to but without `end_date`."""

    def do_GET(self) -> None:
        """Two users on each of five days."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        days = [f"2019-01-0{n}" for n in range(1, 6)]
        chosen = [day for day in days if query.get("start_date", "") <= day < query.get("end_date", "9")]
        found = [{"date": day, "user": user} for day in chosen for user in ("ada", "bob", "ada")]
        body = json.dumps(found).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture
def events() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Events)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.spec("1:UC-A", "1:C3", "1:O4")
def test_weather_dashboard(tmp_path: Path) -> None:
    (tmp_path / "forecast.json").write_text(json.dumps({"mon": 68, "tue": 50}))
    text = f"""
        import json
        from datetime import datetime
        from pathlib import Path

        from airflow import DAG
        from airflow.operators.bash import BashOperator
        from airflow.operators.python import PythonOperator

        HERE = Path("{tmp_path}")

        def clean():
            found = json.loads((HERE / "fetched.json").read_text())
            (HERE / "clean.json").write_text(json.dumps({{day: round((f - 32) / 1.8) for day, f in found.items()}}))

        with DAG("weather_dashboard", start_date=datetime(2026, 1, 1), schedule_interval="@daily"):
            fetch = BashOperator(task_id="fetch_forecast", bash_command=f"cp '{{HERE}}'/SOURCE '{{HERE}}'/fetched.json")
            cleaned = PythonOperator(task_id="clean_forecast", python_callable=clean)
            push = BashOperator(
                task_id="push_to_dashboard", bash_command=f"cd '{{HERE}}'; cp clean.json dashboard.json"
            )
            fetch >> cleaned >> push
    """
    report = ran(load_one(tmp_path, text.replace("SOURCE", "forecast.json")))
    assert report.run.state == "success"
    assert json.loads((tmp_path / "dashboard.json").read_text()) == {"mon": 20, "tue": 10}
    ends = {row.task_id: (row.started_at or NEVER, row.ended_at or NEVER) for row in report.instances}
    assert ends["fetch_forecast"][1] <= ends["clean_forecast"][0]
    assert ends["clean_forecast"][1] <= ends["push_to_dashboard"][0]
    assert states(ran(load_one(tmp_path, text.replace("SOURCE", "nowhere.json")))) == {
        "fetch_forecast": "failed",
        "clean_forecast": "upstream_failed",
        "push_to_dashboard": "upstream_failed",
    }


@pytest.mark.spec("1:UC-D", "1:P1", "1:J1", "1:J9", "1:15:http://localhost:5000/events")
def test_user_events_by_partition(tmp_path: Path, events: str) -> None:
    dag = load_one(
        tmp_path,
        f"""
        import csv
        import json
        from collections import Counter
        from datetime import datetime
        from pathlib import Path

        from airflow import DAG
        from airflow.operators.bash import BashOperator
        from airflow.operators.python import PythonOperator

        def calculate(templates_dict, **context):
            found = json.loads(Path(templates_dict["input_path"]).read_text())
            counted = Counter((event["date"], event["user"]) for event in found)
            with Path(templates_dict["output_path"]).open("w", newline="") as out:
                lines = [(*who, n) for who, n in sorted(counted.items())]
                csv.writer(out).writerows([("date", "user", "size"), *lines])

        with DAG("user_events", start_date=datetime(2019, 1, 1), schedule_interval="@daily", catchup=False):
            fetch_events = BashOperator(
                task_id="fetch_events",
                bash_command=(
                    "mkdir -p '{tmp_path}/events' '{tmp_path}/stats' && "
                    "curl -sSo '{tmp_path}/events/{{{{ds}}}}.json' "
                    "'{events}/events?start_date={{{{execution_date.strftime('%Y-%m-%d')}}}}&end_date={{{{next_ds}}}}'"
                ),
            )
            calculate_stats = PythonOperator(
                task_id="calculate_stats",
                python_callable=calculate,
                templates_dict={{
                    "input_path": "{tmp_path}/events/{{{{ds}}}}.json",
                    "output_path": "{tmp_path}/stats/{{{{ds}}}}.csv",
                }},
            )
            fetch_events >> calculate_stats
        """,
    )
    for _ in range(2):  # a run for the same day again writes the same file
        assert ran(dag, "2019-01-03", until="2019-01-04").run.state == "success"
        assert (tmp_path / "stats/2019-01-03.csv").read_bytes() == (
            b"date,user,size\r\n2019-01-03,ada,2\r\n2019-01-03,bob,1\r\n"
        )


MODEL = """
import uuid
from datetime import datetime

from airflow import DAG
from airflow.decorators import task
from airflow.operators.dummy import DummyOperator
from airflow.operators.python import PythonOperator

with DAG("umbrella_model", start_date=datetime(2026, 1, 1), schedule_interval="@daily") as dag:
    join_datasets = DummyOperator(task_id="join_datasets")
    BODY
"""

BY_PUSH = """
    def train(**context):
        context["task_instance"].xcom_push(key="model_id", value=str(uuid.UUID(int=7)))

    def deploy(templates_dict, **context):
        print("Deploying model", templates_dict["model_id"])
        pulled = context["task_instance"].xcom_pull(task_ids="train_model", key="model_id")
        assert pulled == templates_dict["model_id"]
        return pulled

    trained = PythonOperator(task_id="train_model", python_callable=train)
    deployed = PythonOperator(
        task_id="deploy_model",
        python_callable=deploy,
        templates_dict={"model_id": "{{task_instance.xcom_pull(task_ids='train_model', key='model_id')}}"},
    )
    join_datasets >> trained >> deployed
"""

BY_RETURN = """
    def deploy(**context):
        return context["ti"].xcom_pull(task_ids="train_model", key="return_value")

    trained = PythonOperator(task_id="train_model", python_callable=lambda: str(uuid.UUID(int=7)))
    join_datasets >> trained >> PythonOperator(task_id="deploy_model", python_callable=deploy)
"""

BY_TASKFLOW = """
    @task
    def train_model():
        return str(uuid.UUID(int=7))

    @task
    def deploy_model(model_id: str):
        print(f"Deploying model {model_id}")
        return model_id

    model_id = train_model()
    deploy_model(model_id)
    join_datasets >> model_id
"""


@pytest.mark.spec("1:J11", "1:P11", "1:O8", "1:UC-B")
@pytest.mark.parametrize("body", [BY_PUSH, BY_RETURN, BY_TASKFLOW], ids=["push", "return", "taskflow"])
def test_a_model_id_goes_from_task_to_task(tmp_path: Path, body: str, capfd: pytest.CaptureFixture[str]) -> None:
    dag = load_one(tmp_path, MODEL.replace("BODY", body.strip()))
    assert dag.get_task("train_model").upstream_task_ids == {"join_datasets"}
    report = ran(dag)
    assert report.run.state == "success", report.errors
    model_id = "00000000-0000-0000-0000-000000000007"
    assert report.results["deploy_model", -1] == model_id
    if body is not BY_RETURN:
        assert f"Deploying model {model_id}" in capfd.readouterr().out


FACTORY = """
from datetime import datetime

from airflow import DAG
from airflow.operators.bash import BashOperator
from airflow.utils.task_group import TaskGroup


def generate_tasks(dataset_name, raw_dir, dag):
    fetch = BashOperator(
        task_id=f"fetch_{dataset_name}",
        bash_command=(
            f"echo 'curl http://example.com/{dataset_name}.csv > {raw_dir}/{dataset_name}/{{{{ds_nodash}}}}.csv'"
        ),
        dag=dag,
    )
    export = BashOperator(task_id=f"export_{dataset_name}", bash_command="echo exported", dag=dag)
    fetch >> export
    return fetch, export


def generate_dag(name):
    with DAG(dag_id=f"02_dag_factory_{name}", start_date=datetime(2019, 1, 1), schedule_interval="@daily") as made:
        generate_tasks(name, "/data/raw", made)
    return made


for dataset in ["sales", "customers"]:
    globals()[f"02_dag_factory_{dataset}"] = generate_dag(dataset)

with DAG(dag_id="03_task_groups", start_date=datetime(2019, 1, 1), schedule_interval="@daily") as dag:
    for dataset in ["sales", "customers"]:
        with TaskGroup(dataset, tooltip=f"Tasks for processing {dataset}"):
            generate_tasks(dataset, "/data/raw", dag)
"""


@pytest.mark.spec("2:B-10", "2:B-11", "2:B-12", "2:U17", "2:U18")
def test_factories_of_tasks_and_dags(tmp_path: Path) -> None:
    dags = load(tmp_path, FACTORY)
    assert set(dags) == {"02_dag_factory_sales", "02_dag_factory_customers", "03_task_groups"}
    sales = dags["02_dag_factory_sales"]
    assert sales.task_ids == ["fetch_sales", "export_sales"]
    report = ran(sales, "2019-01-06")
    assert report.run.state == "success"
    assert report.results["fetch_sales", -1] == "curl http://example.com/sales.csv > /data/raw/sales/20190106.csv"


@pytest.mark.spec("2:B-14", "2:U19")
def test_task_groups_take_in_what_is_made_inside_them(tmp_path: Path) -> None:
    dag = load(tmp_path, FACTORY)["03_task_groups"]
    assert dag.task_ids == [
        "sales.fetch_sales",
        "sales.export_sales",
        "customers.fetch_customers",
        "customers.export_customers",
    ]
    groups = {group.group_id: group for group in dag.to_spec().groups}
    assert groups["sales"].tooltip == "Tasks for processing sales"
    assert groups["sales"].children == ("sales.fetch_sales", "sales.export_sales")
    assert dag.get_task("customers.export_customers").upstream_task_ids == {"customers.fetch_customers"}


@pytest.mark.spec("2:B-01", "2:B-02", "1:D3", "1:O5", "1:O6")
def test_every_notation_of_dependencies(tmp_path: Path) -> None:
    dag = load_one(
        tmp_path,
        """
        from datetime import datetime

        from airflow import DAG
        from airflow.operators.bash import BashOperator

        dag = DAG("notations", start_date=datetime(2026, 1, 1), schedule_interval=None)
        a, b, c, d, e, f, g, h = (BashOperator(task_id=name, bash_command="true", dag=dag) for name in "abcdefgh")
        a >> b
        c << b
        [b, c] >> d
        d >> [e, f]
        e.set_downstream(g)
        h.set_upstream([g, f])
        """,
    )
    edges = {(up, task.task_id) for task in dag.tasks for up in task.upstream_task_ids}
    assert edges == {tuple(pair) for pair in ("ab", "bc", "bd", "cd", "de", "df", "eg", "gh", "fh")}


@pytest.mark.spec("2:B-05", "2:B-13", "2:U23")
def test_a_dag_from_a_yaml_file_beside_it(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("input_path: /data\noutput_path: /output\n")
    dag = load_one(
        tmp_path,
        """
        from datetime import datetime
        from pathlib import Path

        import yaml
        from airflow import DAG
        from airflow.operators.python import PythonOperator

        config = yaml.safe_load(Path(__file__).with_name("config.yaml").read_text())

        with DAG("configured", start_date=datetime(2026, 1, 1), schedule_interval=None):
            PythonOperator(
                task_id="process",
                python_callable=lambda input_path, output_path: [input_path, output_path],
                op_kwargs=config,
            )
        """,
    )
    assert ran(dag).results["process", -1] == ["/data", "/output"]
