"""Secrets back ends of the amazon and hashicorp packages, and Airflow's name for the one of files.

Amazon is played by moto; Vault by a server that answers as its HTTP API does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.providers_official.environments import Environment, TrialRun

pytestmark = pytest.mark.provider_packages

VAULT = "airflow.providers.hashicorp.secrets.vault.VaultBackend"
MANAGER = "airflow.providers.amazon.aws.secrets.secrets_manager.SecretsManagerBackend"
FILES = "airflow.secrets.local_filesystem.LocalFilesystemBackend"

FOUND = {"host": "example.org", "login": "ann", "extra": {"token": "supersecret"}, "day": "Monday"}


def look_up(environment: Environment, backend: str, arguments: Mapping[str, object], **variables: str) -> TrialRun:
    """Has a task ask for a connection and a variable, and for others that the back end does not have."""
    done = environment.try_dag(
        "with_secrets",
        "secret_dags.py",
        AIRFLOW__SECRETS__BACKEND=backend,
        AIRFLOW__SECRETS__BACKEND_KWARGS=json.dumps(arguments),
        AIRFLOW_CONN_OF_ENVIRONMENT="http://here.example.org",
        **variables,
    )
    assert done.xcoms["elsewhere"] == ["here.example.org", "default"], done.log
    return done


@pytest.mark.spec("3:X15")
@pytest.mark.parametrize(
    "arguments",
    [
        {"token": "airflow", "connections_path": "connections"},
        {"auth_type": "approle", "role_id": "the role", "secret_id": "the role's secret"},
        {"token": "airflow", "mount_point": "old", "kv_engine_version": 1},
    ],
    ids=["token", "role", "version 1"],
)
def test_vault(environment: Environment, ports: Mapping[str, int], arguments: Mapping[str, object]) -> None:
    done = look_up(environment, VAULT, {"url": f"http://127.0.0.1:{ports['vault']}", **arguments})
    assert done.xcoms["look_up"] == FOUND, done.log


def test_vault_that_refuses_is_named_and_the_next_place_asked(
    environment: Environment, ports: Mapping[str, int]
) -> None:
    arguments = {"url": f"http://127.0.0.1:{ports['vault']}", "token": "another"}
    done = look_up(
        environment,
        VAULT,
        arguments,
        AIRFLOW_CONN_FROM_THERE="http://bob:x@of.environment.example.org",
        AIRFLOW_VAR_FROM_THERE="Tuesday",
    )
    assert done.xcoms["look_up"] == {
        "host": "of.environment.example.org",
        "login": "bob",
        "extra": {},
        "day": "Tuesday",
    }
    assert f"secrets back end {VAULT} failed for connection 'from_there': the next place is asked." in done.log


@pytest.mark.parametrize("as_json", [False, True], ids=["uri", "json"])
def test_amazon_secrets_manager(environment: Environment, ports: Mapping[str, int], as_json: bool) -> None:
    login = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{ports['amazon']}",
        "AWS_ACCESS_KEY_ID": "AKIA0000000000000000",
        "AWS_SECRET_ACCESS_KEY": "a secret key",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }
    fields = {"conn_type": "http", "host": "example.org", "login": "ann", "extra": {"token": "supersecret"}}
    secret = json.dumps(fields) if as_json else "http://ann:s3cr3t@example.org/?token=supersecret"
    folder = f"{environment.name}/{as_json}"
    put = (
        "import boto3, sys; put = boto3.client('secretsmanager').create_secret; "
        f"put(Name='{folder}/connections/from_there', SecretString=sys.argv[1]); "
        f"put(Name='{folder}/variables/from_there', SecretString='Monday')"
    )
    made = environment.run("-c", put, secret, **login)
    assert made.returncode == 0, made.stderr
    arguments = {"connections_prefix": f"{folder}/connections", "variables_prefix": f"{folder}/variables"}
    assert look_up(environment, MANAGER, arguments, **login).xcoms["look_up"] == FOUND


def test_files(environment: Environment, tmp_path: Path) -> None:
    (tmp_path / "variables.env").write_text("from_there=Monday\n")
    uri = "http://ann:s3cr3t@example.org/?token=supersecret"
    (tmp_path / "connections.json").write_text(json.dumps({"from_there": uri}))
    arguments = {
        "variables_file_path": str(tmp_path / "variables.env"),
        "connections_file_path": str(tmp_path / "connections.json"),
    }
    assert look_up(environment, FILES, arguments).xcoms["look_up"] == FOUND
