"""Large values and `ObjectStoragePath` in S3, by s3fs: Amazon is played by moto."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

import pytest

from tests.providers_official.conftest import connection
from tests.providers_official.environments import ELSEWHERE, Environment

pytestmark = pytest.mark.provider_packages


def test_large_values_and_files_in_s3(environments: Mapping[str, Environment], ports: Mapping[str, int]) -> None:
    url = f"http://127.0.0.1:{ports['amazon']}"
    done = environments["recent"].run(
        ELSEWHERE / "values_in_s3.py",
        url,
        AIRFLOW_CONN_LAKE=connection("aws", {"endpoint_url": url, "region_name": "us-east-1"}, login="a", password="b"),
        AWS_ACCESS_KEY_ID="a",
        AWS_SECRET_ACCESS_KEY="b",
        AWS_DEFAULT_REGION="us-east-1",
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    address = found.pop("address")
    assert re.fullmatch(r"s3://values/large/[0-9a-f]{12}/(?P<two>..)/(?P=two).{62}\.[0-9a-f]{16}", address)
    assert found == {
        "read": True,
        "of others": True,
        "listed": [[], True],
        "deleted": [1, [], 1],
        "gone": "the value at ADDRESS cannot be read",
        "path": ["by path", ["a.txt"]],
    }
