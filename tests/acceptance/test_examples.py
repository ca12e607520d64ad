"""The examples that come with the package: all load, all succeed, and the last one does its job on real input."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.acceptance.launch_service import PICTURES, LaunchService, closed_port, png
from tests.acceptance.standalone import standalone
from tradewind.authoring.xcom import decode
from tradewind.bundles.loader import load_file
from tradewind.config import Config, load_config
from tradewind.control_ports import TriggerRequest
from tradewind.host import Runtime
from tradewind.model.rows import RunRow
from tradewind.model.specs import Json
from tradewind.model.states import RunState
from tradewind.services.bundle_sources import EXAMPLES_FOLDER
from tradewind.store.migrate import migrate_url
from tradewind.trial import try_dag

pytestmark = [pytest.mark.slow, pytest.mark.blocks_the_loop]

IDS = sorted(path.stem for path in EXAMPLES_FOLDER.glob("*.py"))
ROCKETS = "example_12_rocket_launches"
SECONDS = 180.0

NOT_SUCCESSFUL: Mapping[str, Mapping[str, str]] = {
    "example_03_branching": {"large": "skipped", "publish": "skipped"},
    "example_06_retries": {"too_slow": "failed", "hopeless": "failed"},
    "example_07_sensors": {"letter": "skipped", "bell": "skipped"},
    "example_10_callbacks": {"does_not_apply": "skipped", "breaks": "failed"},
    "example_13_mapping": {"papers.checksum": "skipped", "papers.certificate": "skipped"},
}
"""What does not succeed in a successful run, on purpose."""


@pytest.fixture
async def config(database_url: str, tmp_path: Path) -> Config:
    """A home without DAG files of its own, on a real PostgreSQL."""
    await migrate_url(database_url)
    return load_config(tmp_path, {"database.url": database_url}, environ={})


@contextlib.asynccontextmanager
async def running(config: Config) -> AsyncGenerator[Runtime]:
    """A runtime with the examples and nothing else."""
    async with Runtime(config) as runtime:
        async with asyncio.timeout(SECONDS):
            await runtime.files_loaded()
        yield runtime


async def run_of(runtime: Runtime, dag_id: str, conf: Mapping[str, Json] | None = None) -> RunRow:
    """Triggers a run and waits for its end."""
    run = await runtime.control.run_trigger(TriggerRequest(dag_id, conf))
    return await runtime.control.run_wait(run.run_id, SECONDS)


async def result_of(runtime: Runtime, run: RunRow, task_id: str) -> Any:
    """What a task returned."""
    value = await runtime.control.reads.xcom_get(run.run_id, task_id, "return_value")
    assert value is not None, f"{task_id} returned nothing"
    return decode(value)


@pytest.mark.spec("3:A08")
async def test_examples_are_there_unpaused_and_explained(config: Config) -> None:
    async with running(config) as runtime:
        rows = await runtime.control.reads.dag_list()
        assert [row.dag_id for row in rows] == IDS
        assert IDS[0] == "example_01_hello"
        assert await runtime.control.reads.import_error_list() == []
        for row in rows:
            version = await runtime.control.reads.dag_version_get(row.dag_id)
            assert version is not None
            spec = version.spec
            assert not row.is_paused, row.dag_id
            assert "example" in spec.tags, row.dag_id
            assert spec.doc_md, row.dag_id
            assert spec.description, row.dag_id
            assert not spec.catchup, row.dag_id


async def test_every_example_succeeds(config: Config, launches: LaunchService, tmp_path: Path) -> None:
    async with running(config) as runtime:
        confs: dict[str, Mapping[str, Json]] = {
            ROCKETS: {"address": launches.address, "folder": str(tmp_path / "pictures")}
        }
        runs = await asyncio.gather(*(run_of(runtime, dag_id, confs.get(dag_id)) for dag_id in IDS))
        for run in runs:
            instances = await runtime.control.reads.instance_list(run.run_id)
            others = {one.task_id: one.state.value for one in instances if one.state.value != "success"}
            assert (run.dag_id, run.state, others) == (run.dag_id, RunState.SUCCESS, NOT_SUCCESSFUL.get(run.dag_id, {}))


async def test_every_example_succeeds_in_a_trial_without_a_database(launches: LaunchService, tmp_path: Path) -> None:
    confs: dict[str, Mapping[str, Json]] = {ROCKETS: {"address": launches.address, "folder": str(tmp_path)}}
    dags = [load_file(str(EXAMPLES_FOLDER / f"{dag_id}.py")).dags[dag_id] for dag_id in IDS]
    reports = await asyncio.gather(*(try_dag(dag, conf=confs.get(dag.dag_id)) for dag in dags))
    for report in reports:
        others = {one.task_id: one.state.value for one in report.instances if one.state.value != "success"}
        seen = (report.run.dag_id, report.run.state, others)
        assert seen == (report.run.dag_id, RunState.SUCCESS, NOT_SUCCESSFUL.get(report.run.dag_id, {}))


@pytest.mark.spec("1:UC-C", "1:15:https://ll.thespacedevs.com/2.0.0/launch/upcoming")
async def test_pictures_are_fetched_and_bad_addresses_reported(
    config: Config, launches: LaunchService, tmp_path: Path
) -> None:
    async with running(config) as runtime:
        folder = tmp_path / "pictures"
        run = await run_of(runtime, ROCKETS, {"address": launches.address, "folder": str(folder)})
        assert run.state is RunState.SUCCESS
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
            name: png(number) for number, name in enumerate(PICTURES)
        }
        assert await result_of(runtime, run, "notify") == len(PICTURES)
        problems = (await result_of(runtime, run, "fetch_pictures"))["problems"]
        host = launches.dead.split("/")[2]
        assert problems == {
            launches.missing: "127.0.0.1 answered 404 Not Found",
            launches.dead: f"{host}: Connection refused",
            "not an address": "this is no address of a web server",
        }
        assert launches.asked.count("/pictures/falcon.png") == 1, "named twice, fetched once"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/nowhere", "{host} answered 404 Not Found for {address}"),
        ("/throttled", "{host} sent JSON that is no list of launches: {address}"),
        ("/pictures/falcon.png", "{host} sent something that is no JSON"),
    ],
)
async def test_what_is_no_list_is_named(config: Config, launches: LaunchService, path: str, said: str) -> None:
    async with running(config) as runtime:
        address = launches.url + path
        run = await run_of(runtime, ROCKETS, {"address": address})
        assert run.state is RunState.FAILED
        assert said.format(host=launches.url.removeprefix("http://"), address=address) in await error_of(runtime, run)


async def test_an_unreachable_service_is_named_with_the_cause(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(config) as runtime:
        with closed_port() as port:
            monkeypatch.setenv("TRADEWIND_VAR_LAUNCHES_ADDRESS", f"http://127.0.0.1:{port}/launches")
            run = await run_of(runtime, ROCKETS)
        assert run.state is RunState.FAILED
        assert f"127.0.0.1:{port} cannot be reached: Connection refused" in await error_of(runtime, run)
        states = {one.task_id: one.state.value for one in await runtime.control.reads.instance_list(run.run_id)}
        assert states == {"fetch_launches": "failed", "fetch_pictures": "upstream_failed", "notify": "upstream_failed"}


async def error_of(runtime: Runtime, run: RunRow) -> str:
    """What the log of the last attempt of the first task ends with."""
    attempts = await runtime.control.reads.attempt_list(run.run_id, "fetch_launches")
    detail = attempts[-1].detail
    assert detail is not None
    return str(detail["error"])


@pytest.mark.spec("1:U14", "3:A03")
async def test_as_a_user_does_it(own_home: Path, launches: LaunchService) -> None:
    """One command starts everything; the job runs through the command line and through the API, and its log is read."""
    folder = own_home / "pictures"
    async with standalone(own_home, TRADEWIND_VAR_LAUNCHES_ADDRESS=launches.address) as system:
        assert system.where["DAGs"].startswith(f"{len(IDS)}, read after "), system.where
        listed = await system.tradewind("dags", "list", "--output", "plain")
        assert [line.split("\t")[0] for line in listed.output.splitlines()] == IDS, listed.errors
        errors = await system.tradewind("dags", "list-import-errors", "-o", "json")
        assert errors.output.strip() == "[]", errors

        conf = f'{{"folder": "{folder}"}}'
        done = await system.tradewind("dags", "trigger", ROCKETS, "--wait", "--run-id", "by-hand", "--conf", conf)
        assert done.code == 0, done
        log = await system.tradewind("tasks", "logs", ROCKETS, "notify", "by-hand")
        assert f"There are now {len(PICTURES)} images in {folder}." in log.output, log
        assert f"Missing: {launches.missing} (127.0.0.1 answered 404 Not Found)" in log.output

        headers = {"Authorization": aiohttp.encode_basic_auth(*system.login)}
        async with aiohttp.ClientSession(f"{system.url}/api/v1/dags/{ROCKETS}/", headers=headers) as api:
            body = {"conf": {"folder": str(folder)}, "dag_run_id": "by-api"}
            async with api.post("dagRuns", json=body) as answer:
                assert answer.status == 200, await answer.text()
            async with api.get("dagRuns/by-api/wait", params={"timeout": "60", "result": "notify"}) as answer:
                run = await answer.json()
                assert (answer.status, run["state"], run["results"]) == (200, "success", {"notify": len(PICTURES)})
            async with api.get(
                "dagRuns/by-api/taskInstances/notify/logs/1", headers={"Accept": "text/plain"}
            ) as answer:
                assert f"There are now {len(PICTURES)} images" in await answer.text()
        assert sorted(path.name for path in folder.iterdir()) == sorted(PICTURES)

        with closed_port() as port:
            bad = f'{{"address": "http://127.0.0.1:{port}/"}}'
            failed = await system.tradewind("dags", "trigger", ROCKETS, "--wait", "--conf", bad)
        assert failed.code == 1
        log = await system.tradewind("tasks", "logs", ROCKETS, "fetch_launches")
        assert "cannot be reached: Connection refused" in log.output, log
