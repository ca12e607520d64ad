"""Operators, sensors, hooks and a secrets back end of the amazon and google packages.

Amazon is played by moto, Google Cloud Storage by gcp-storage-emulator: servers on this machine.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.providers_official.conftest import connection
from tests.providers_official.environments import Environment

pytestmark = pytest.mark.provider_packages

PARAMETERS = "airflow.providers.amazon.aws.secrets.systems_manager.SystemsManagerParameterStoreBackend"


@pytest.fixture
def amazon(ports: Mapping[str, int]) -> str:
    """The address of an Amazon that holds nothing."""
    url = f"http://127.0.0.1:{ports['amazon']}"
    with urllib.request.urlopen(urllib.request.Request(f"{url}/moto-api/reset", method="POST")) as answer:
        assert answer.status == 200
    return url


def cloud(url: str) -> str:
    extra = {"region_name": "eu-west-1", "endpoint_url": url, "service_config": {"sts": {"endpoint_url": url}}}
    return connection("aws", extra, login="AKIA0000000000000000", password="a secret key")


@pytest.mark.spec("1:C9")
def test_amazon_s3(environment: Environment, amazon: str, tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text("one\ntwo\n")
    done = environment.try_dag(
        "with_s3",
        "amazon_dags.py",
        AIRFLOW_CONN_CLOUD=cloud(amazon),
        AIRFLOW_CONN_KEYS=connection(
            "aws",
            {
                "region_name": "eu-west-1",
                "endpoint_url": amazon,
                "aws_access_key_id": "AKIA0000000000000000",
                "aws_secret_access_key": "another secret",
            },
        ),
        AIRFLOW_CONN_DB=connection("sqlite", host=str(tmp_path / "launches.db")),
        AIRFLOW_VAR_FOLDER=str(tmp_path),
    )
    assert done.errors == {"again": "ValueError"}, done.log
    assert "The key 2026-01-05/orders.csv already exists." in done.log
    assert {task_id for task_id, state in done.states.items() if state != "success"} == {"again"}
    assert done.xcoms["every"] == [
        "2026-01-05/orders.csv",
        "copies/2026-01-05.csv",
        "local/orders.csv",
        "rows/2026-01-05.csv",
        "sorted/2026-01-05.csv",
    ]
    assert done.xcoms["by_hook"] == {
        "read": "a,b\n1,2",
        "rows": "rocket,kg\nR1,12\n",
        "left": ["by/file"],
        "refused": "The key by/file already exists.",
        "tested": True,
    }
    assert "a secret key" not in done.log
    assert "another secret" not in done.log


def test_amazon_queues_queries_and_training(environment: Environment, amazon: str, tmp_path: Path) -> None:
    done = environment.try_dag(
        "with_aws", "amazon_dags.py", AIRFLOW_CONN_CLOUD=cloud(amazon), AIRFLOW_VAR_FOLDER=str(tmp_path)
    )
    assert (done.state, done.errors) == ("success", {}), done.log
    assert [message["Body"] for message in done.xcoms["receive.messages"]] == ["2026-01-05"]
    assert done.xcoms["tell"]["MessageId"]
    assert len(done.xcoms["ask"]) == 36, "the id of the query"
    assert done.xcoms["train"]["Training"]["TrainingJobStatus"] == "Completed"


@pytest.mark.spec("3:X16")
def test_amazon_parameter_store(environment: Environment, amazon: str, tmp_path: Path) -> None:
    login = {
        "AWS_ENDPOINT_URL": amazon,
        "AWS_ACCESS_KEY_ID": "AKIA0000000000000000",
        "AWS_SECRET_ACCESS_KEY": "a secret key",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }
    put = (
        "import boto3; put = boto3.client('ssm').put_parameter; "
        "put(Name='/airflow/connections/from_there', Value='http://example.org', Type='SecureString'); "
        "put(Name='/airflow/variables/from_there', Value='Monday', Type='String')"
    )
    assert environment.run("-c", put, **login).returncode == 0
    prefixes = {"connections_prefix": "/airflow/connections", "variables_prefix": "/airflow/variables"}
    done = environment.try_dag(
        "with_parameter_store",
        "amazon_dags.py",
        AIRFLOW__SECRETS__BACKEND=PARAMETERS,
        AIRFLOW__SECRETS__BACKEND_KWARGS=json.dumps(prefixes),
        AIRFLOW_VAR_FOLDER=str(tmp_path),
        **login,
    )
    assert done.xcoms["look_up"] == {"host": "example.org", "day": "Monday"}, done.log


@pytest.mark.spec("1:C9", "3:O15")
def test_google_cloud_storage(environment: Environment, ports: Mapping[str, int], tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text("one\ntwo\n")
    done = environment.try_dag(
        "with_google",
        "google_dags.py",
        AIRFLOW_CONN_CLOUD=connection("google_cloud_platform", {"is_anonymous": True, "project": "p1"}),
        AIRFLOW_VAR_FOLDER=str(tmp_path),
        STORAGE_EMULATOR_HOST=f"http://127.0.0.1:{ports['google']}",
    )
    assert (done.state, done.errors) == ("success", {}), done.log
    assert set(done.states.values()) == {"success"}
    assert done.xcoms["every"] == ["2026-01-05/orders.csv", "copies/2026-01-05.csv", "sorted/2026-01-05.csv"]
    assert done.xcoms["by_hook"] == "one\ntwo\n"
    assert (tmp_path / "back.csv").read_text() == "one\ntwo\n"
