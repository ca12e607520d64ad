# pyright: reportUnusedExpression=false
"""HTTP tasks against a real server, on a real runtime and alone."""

from __future__ import annotations

import asyncio
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, cast
from unittest.mock import patch

import pytest
from aiohttp.test_utils import TestServer
from requests.auth import HTTPBasicAuth

from tests.providers.conftest import Service, StartRuntime, ended, log_of, store, value_of
from tests.served_airflow import served_airflow
from tradewind import DAG, Connection, PokeReturnValue, task
from tradewind.authoring.hook import hook_of
from tradewind.authoring.loop_clients import clients_here, hold_clients
from tradewind.host import Runtime
from tradewind.model.errors import AuthoringError, ClientError, TaskFailed, TradewindError
from tradewind.model.rows import InstanceRow
from tradewind.ports import RunFilter
from tradewind.trial import try_dag
from tradewind.trial_time import SkippingLoop
from tradewind_providers.http import (
    HttpAsyncHook,
    HttpHook,
    HttpOperator,
    HttpResponse,
    HttpSensor,
    HttpStatusError,
    http,
)
from tradewind_providers.http.settings import HttpSettings, seconds_of

SECRET = {"token": "supersecret", "User-Agent": "tests"}


def of(service: Service, **more: Any) -> Connection:
    return Connection("api", "http", host=service.url, extra=SECRET, **more)


async def test_tasks_share_one_session_and_see_changes(start: StartRuntime, service: Service) -> None:
    sessions: list[Any] = []

    async with TestServer(__import__("aiohttp").web.Application()) as other:
        with DAG("d", schedule=None) as dag:

            @task
            async def call(n: int) -> int:
                async with http("api") as session:
                    sessions.append(session)
                    async with session.get("echo", params={"n": n}) as answer:
                        return int((await answer.json())["query"]["n"])

            call.expand(n=list(range(50)))
        runtime = await start(dag)
        await store(runtime, "api", of(service))
        assert (await ended(runtime, "d")).state == "success"
        assert (len({id(each) for each in sessions}), len(service.requests)) == (1, 50)
        assert clients_here().names() == ["connection 'api' (HttpClientHook)"]
        await store(runtime, "api", of(service, login="me", password="pw"))
        run = await ended(runtime, "d")
        assert run.state == "success", await log_of(runtime)
        assert len({id(each) for each in sessions}) == 2
        assert service.login == "me:pw"
        assert sessions[0].closed
        assert not sessions[-1].closed
        await store(runtime, "api", Connection("api", "http", host=str(other.make_url("/"))))
        assert (await ended(runtime, "d")).state == "failed"
        await store(runtime, "api", Connection("api", "http"))
        run = await ended(runtime, "d")
        assert run.state == "failed"
        assert "connection 'api' names no host" in await log_of(runtime)


async def test_nothing_stays_open_after_the_runtime(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADEWIND_CONN_API", service.url)
    async with hold_clients():
        async with http("api") as session:
            assert not session.closed
        assert not session.closed
    assert session.closed


@pytest.mark.spec(
    "3:X19",
    "3:O04",
    "1:14:SimpleHttpOperator",
    "3:12c:airflow.providers.http.operators.http.SimpleHttpOperator",
)
@pytest.mark.parametrize("path", ["airflow.providers.http.operators.http", "airflow.operators.http_operator"])
async def test_the_operator_sends_the_extra_as_headers(start: StartRuntime, service: Service, path: str) -> None:
    names: dict[str, Any] = {}
    with served_airflow():
        exec(f"from {path} import SimpleHttpOperator", names)
        operator = names["SimpleHttpOperator"]
    with DAG("secretsbackend_with_vault", schedule=None) as dag:
        operator(task_id="call_api", http_conn_id="secure_api", method="GET", endpoint="", log_response=True)
        operator(task_id="silent", http_conn_id="secure_api", method="GET", xcom_push=False)
    runtime = await start(dag)
    await store(runtime, "secure_api", of(service))
    run = await ended(runtime, "secretsbackend_with_vault")
    assert run.state == "success"
    assert service.requests[0].headers["token"] == "supersecret"
    assert service.requests[0].headers["User-Agent"] == "tests"
    assert json.loads(await value_of(runtime, run, "call_api"))["method"] == "GET"
    assert '\\"method\\": \\"GET\\"' in await log_of(runtime)
    assert await runtime.control.reads.xcom_get(run.run_id, "silent", "return_value") is None


async def test_all_that_the_operator_can(start: StartRuntime, service: Service) -> None:
    def following(answer: HttpResponse) -> dict[str, Any] | None:
        page = answer.json()["next"]
        return {"data": {"page": page}} if page else None

    def all_items(answers: list[HttpResponse], ds: str) -> list[Any]:
        return [ds[:2], *(item for answer in answers for item in answer.json()["items"])]

    def unknown(_: HttpResponse) -> dict[str, Any]:
        return {"url": "x"}

    def checked(answer: HttpResponse, params: Any) -> bool:
        return bool(answer.json()["method"] == params["expected"])

    with DAG("d", schedule=None, params={"expected": "PUT"}, default_args={"http_conn_id": "api"}) as dag:
        pages = HttpOperator(
            task_id="pages",
            method="GET",
            endpoint="items",
            pagination_function=following,
            response_filter=all_items,
            deferrable=True,
        )
        form = HttpOperator(task_id="form", endpoint="/echo", data={"day": "{{ ds }}", "n": [1, 2], "none": None})
        body = HttpOperator(
            task_id="body",
            method="PUT",
            endpoint="echo",
            data='{"x": 1}',
            headers={"X-Run": "{{ run_id }}"},
            response_check=checked,
            extra_options={"timeout": 10},
        )
        sent = HttpOperator(task_id="sent", endpoint="echo", request_kwargs={"json": {"a": 1}})
        pages >> form >> body >> sent
        HttpOperator(task_id="bad", method="GET", endpoint="missing")
        HttpOperator(task_id="refused", method="POST", endpoint="echo", response_check=checked)
        HttpOperator(
            task_id="unchecked", method="GET", endpoint="missing", extra_options={"check_response": False}, retries=0
        )
        HttpOperator(task_id="wrong", method="GET", endpoint="items", pagination_function=unknown)
    runtime = await start(dag)
    await store(runtime, "api", of(service))
    run = await ended(runtime, "d")
    states = {row.task_id: row.state for row in await runtime.control.reads.instance_list(run.run_id)}
    good = dict.fromkeys(["pages", "form", "body", "sent", "unchecked"], "success")
    assert states == {**good, "bad": "failed", "refused": "failed", "wrong": "failed"}
    today = f"{run.logical_date:%Y-%m-%d}"
    assert (await value_of(runtime, run, "pages")) == ["20", 1, 2, 3]
    assert json.loads(await value_of(runtime, run, "form"))["body"] == f"day={today}&n=1&n=2"
    assert json.loads(await value_of(runtime, run, "body"))["body"] == '{"x": 1}'
    assert json.loads(await value_of(runtime, run, "sent"))["body"] == '{"a": 1}'
    assert any(request.headers.get("X-Run") == run.dag_run_id for request in service.requests)
    log = await log_of(runtime)
    assert "HttpStatusError: 404:Not Found" in log
    assert "Response check returned False." in log
    assert "pagination_function: it said 'url'" in log


async def test_the_sensor(start: StartRuntime, service: Service) -> None:
    service.status = 404
    seen: list[int] = []

    def done(response: HttpResponse) -> bool:
        seen.append(len(service.requests))
        if len(seen) == 1:
            service.status = 503
        return "done" in response.text and len(seen) > 1

    def carries(response: HttpResponse) -> PokeReturnValue:
        return PokeReturnValue(is_done=True, xcom_value=response.text)

    with DAG("d", schedule=None, default_args={"http_conn_id": "api", "poke_interval": 0.01, "timeout": 30}) as dag:
        HttpSensor(
            task_id="wait",
            endpoint="ready",
            response_check=done,
            response_error_codes_allowlist=["404", "503"],
            request_params={"day": "{{ ds }}"},
        )
        HttpSensor(task_id="value", endpoint="echo", response_check=carries)
        HttpSensor(task_id="fails", endpoint="/ready", deferrable=True)
    runtime = await start(dag)
    await store(runtime, "api", of(service))
    run_of = asyncio.create_task(ended(runtime, "d"))
    async with asyncio.timeout(60):
        await _until(lambda: len(service.requests) > 6)
        service.status = 200
        await _until(lambda: bool(seen))
        await _until(lambda: sum(r.path.endswith("ready") and not r.query for r in service.requests) > 1)
        service.status = 503
        await asyncio.sleep(0)
        await _until(lambda: len(service.requests) > 8)
        service.status = 200
        run = await run_of
    states = {row.task_id: row.state for row in await runtime.control.reads.instance_list(run.run_id)}
    assert states["wait"] == states["value"] == "success"
    assert json.loads(await value_of(runtime, run, "value"))["method"] == "GET"


async def _until(holds: Any) -> None:
    while not holds():  # noqa: ASYNC110 - the server notes what it is asked
        await asyncio.sleep(0.002)


async def test_which_statuses_mean_not_yet(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADEWIND_CONN_HTTP_DEFAULT", service.url)
    with DAG("d", schedule=None):
        usual = HttpSensor(task_id="a", endpoint="ready")
        patient = HttpSensor(task_id="b", endpoint="ready", response_error_codes_allowlist=["404", "5"])
        strict = HttpSensor(task_id="c", endpoint="ready", response_error_codes_allowlist=[])
    async with hold_clients():
        service.status = 404
        assert (await usual.poke({}), await patient.poke({})) == (False, False)
        with pytest.raises(HttpStatusError, match=r"^404:Not Found$"):
            await strict.poke({})
        service.status = 503
        assert await patient.poke({}) is False
        with pytest.raises(HttpStatusError, match=r"^503:") as caught:
            await usual.poke({})
        assert caught.value.status == 503
        service.status = 204
        assert await strict.poke({}) is True


async def test_a_sensor_that_defers_waits_in_the_runtime(start: StartRuntime, service: Service) -> None:
    service.status = 404
    with DAG("d", schedule=None, default_args={"http_conn_id": "api", "deferrable": True}) as dag:
        HttpSensor(task_id="ready", endpoint="ready", poke_interval=0.01, request_params={"a": 1})
        HttpSensor(task_id="there", endpoint="echo")
        HttpSensor(task_id="late", endpoint="missing", poke_interval=0.01, timeout=0.1, soft_fail=True)
        HttpSensor(task_id="bad", endpoint="ready", poke_interval=0.01, response_error_codes_allowlist=["404"])
    runtime = await start(dag)
    await store(runtime, "api", of(service))
    running = asyncio.create_task(ended(runtime, "d"))

    def asked(name: str, query: str = "") -> int:
        return sum(r.path.endswith(name) and r.query_string == query for r in service.requests)

    async with asyncio.timeout(60):
        await _until(lambda: asked("ready", "a=1") > 3 and asked("ready") > 3)
        states = {row.task_id: row.state for run in [await running_run(runtime)] for row in run}
        assert (states["ready"], states["bad"]) == ("deferred", "deferred")
        service.status = 503
        await _until(lambda: asked("ready") > 4)
        run_rows = await running_run(runtime)
        assert {row.task_id for row in run_rows if row.state == "deferred"} <= {"ready", "bad", "late"}
        run = await running
    states = {row.task_id: row.state for row in await runtime.control.reads.instance_list(run.run_id)}
    assert states == {"ready": "failed", "there": "success", "late": "skipped", "bad": "failed"}
    assert "503:Service Unavailable" in await log_of(runtime)


async def test_a_deferred_sensor_goes_on(start: StartRuntime, service: Service) -> None:
    service.status = 404
    with DAG("d", schedule=None) as dag:
        HttpSensor(task_id="ready", endpoint="ready", http_conn_id="api", poke_interval=0.01, deferrable=True)
    runtime = await start(dag)
    await store(runtime, "api", of(service))
    running = asyncio.create_task(ended(runtime, "d"))
    async with asyncio.timeout(60):
        await _until(lambda: len(service.requests) > 3)
        service.status = 200
        run = await running
    assert run.state == "success"
    assert "ready completed successfully." in await log_of(runtime)


@pytest.mark.blocks_the_loop
@pytest.mark.parametrize("deferrable", [False, True])
def test_a_trial_skips_the_waits(monkeypatch: pytest.MonkeyPatch, deferrable: bool) -> None:
    """Though the session would keep its socket open: on such a loop clients close as soon as nobody uses them."""
    asked: list[str] = []

    class Answers(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200 if len(asked) > 3 else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    with DAG("d", schedule=None) as dag:
        HttpSensor(task_id="s", endpoint="x", poke_interval=3600, timeout=86400, deferrable=deferrable)
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        serving = Thread(target=server.serve_forever)
        serving.start()
        monkeypatch.setenv("TRADEWIND_CONN_HTTP_DEFAULT", f"http://127.0.0.1:{server.server_port}")
        with asyncio.Runner(loop_factory=SkippingLoop) as runner:
            report = runner.run(try_dag(dag))
        server.shutdown()
        serving.join()
    assert (report.run.state, len(asked)) == ("success", 4)


async def running_run(runtime: Runtime) -> list[InstanceRow]:
    (run,), _ = await runtime.control.reads.run_list(RunFilter("d"))
    return await runtime.control.reads.instance_list(run.run_id)


@pytest.mark.blocks_the_loop
async def test_code_that_does_not_await(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hook and operator in a thread, as in a process of their own, and a subclass that calls its base."""
    monkeypatch.setenv("AIRFLOW_CONN_HTTP_DEFAULT", service.url)

    class Own(HttpOperator):
        def execute(self, context: Any) -> Any:
            return json.loads(super().execute(context))["method"]

    class OwnSensor(HttpSensor):
        def poke(self, context: Any) -> Any:
            return bool(super().poke(context))

    with DAG("d", schedule=None):
        own = Own(task_id="own", endpoint="echo")
        plain = HttpOperator(task_id="plain", endpoint="echo", method="GET")
        sensor = OwnSensor(task_id="sensor", endpoint="ready")
    assert (own.is_async, plain.is_async, sensor.is_async) == (False, True, False)

    def use() -> list[Any]:
        hook = HttpHook("GET")
        answer = hook.run("echo", {"a": 1, "b": True}, headers={"n": 5})
        found = [answer.json()["query"], answer.ok, answer.headers["content-type"], hook.base_url]
        with pytest.raises(HttpStatusError, match="404"):
            hook.run("missing")
        assert hook.run("missing", extra_options={"check_response": False}).status_code == 404
        assert hook.test_connection() == (True, f"{service.url} answers 200 OK")
        assert hook.url_from_endpoint("x") == f"{service.url}/x"
        return [*found, own.execute({}), json.loads(plain.execute({}))["method"], sensor.poke({})]

    found = await asyncio.to_thread(use)
    assert found == [{"a": "1", "b": "True"}, True, "application/json; charset=utf-8", service.url, "POST", "GET", True]
    with pytest.raises(RuntimeError, match="run_async"):
        HttpHook().run()
    assert (await HttpHook("GET").run_async("echo")).url == f"{service.url}/echo"
    assert (await HttpAsyncHook("GET").run("echo")).status_code == 200
    async with http("http_default") as session:
        assert not session.closed
    assert len(clients_here()) == 1, "all that open the same share it"
    made = hook_of(Connection("http_default", "http"))
    assert isinstance(made, HttpHook)
    await clients_here().close()


async def test_logins(service: Service) -> None:
    with patch.object(HttpHook, "get_connection", return_value=of(service, login="me", password="pw")) as asked:
        async with hold_clients():
            await HttpHook("GET", "api").run_async("echo")
            assert (service.login, service.requests[-1].headers["token"]) == ("me:pw", "supersecret")
            await HttpHook("GET", "api", auth_type=lambda login, _: HTTPBasicAuth(login, "other")).run_async("echo")
            assert service.login == "me:other"
            with pytest.raises(ClientError, match="is no basic authentication"):
                await HttpHook("GET", "api", auth_type=lambda login, _: login).run_async("echo")
    asked.assert_called_with("api")


async def test_secrets_stay_with_their_host(service: Service) -> None:
    """Headers of the connection go to its own host, wherever it sends us."""
    other = service.url.replace("127.0.0.1", "localhost")
    assert other != service.url
    with patch.object(HttpHook, "get_connection", return_value=of(service, login="me", password="pw")):
        async with hold_clients():
            hook = HttpHook("GET", "api")
            answer = await hook.run_async("elsewhere", {"to": f"{other}/echo"})
            assert answer.history == (f"{service.url}/elsewhere?to={other}/echo",) or len(answer.history) == 1
            assert "token" not in service.requests[-1].headers
            assert "Authorization" not in service.requests[-1].headers
            await hook.run_async(f"{other}/echo")
            assert "token" not in service.requests[-1].headers
            await hook.run_async("elsewhere", {"to": f"{service.url}/echo"})
            assert service.requests[-1].headers["token"] == "supersecret"
            stays = await hook.run_async("elsewhere", {"to": other}, extra_options={"allow_redirects": False})
            assert stays.status_code == 302


async def test_nobody_answers() -> None:
    nobody = Connection("api", "http", host="127.0.0.1", port=1, extra={"timeout": [1, 2], "verify": False})
    with patch.object(HttpHook, "get_connection", return_value=nobody):
        async with hold_clients():
            with pytest.raises(OSError, match=r"127\.0\.0\.1"):
                await HttpHook("GET", "api").run_async("x")


def test_what_a_connection_says() -> None:
    def settings(**fields: Any) -> HttpSettings:
        return HttpSettings.of(Connection("c", "http", **fields))

    assert settings(host="h").base_url == "http://h"
    assert settings(host="h", schema="https", port=8443).url_of("/a/b") == "https://h:8443/a/b"
    assert settings(host="https://h/v1/").url_of("a") == "https://h/v1/a"
    assert settings(host="https://h/v1/").url_of("") == "https://h/v1"
    assert HttpSettings.of(Connection("c", uri="http://me:pw@h:81/v1")).base_url == "http://h:81/v1"
    assert HttpSettings.of(Connection("c", uri="https://h")).base_url == "https://h"
    assert settings(host="h").url_of("https://other/x") == "https://other/x"
    both = settings(host="h", extra={"X-Key": 1, "timeout": 5, "verify": False})
    assert (both.headers, both.options) == ({"X-Key": "1"}, {"timeout": 5, "verify": False})
    with pytest.raises(TradewindError, match="must be a JSON object"):
        settings(host="h", extra="[1]")
    assert seconds_of((1, 2)) == (1.0, 2.0)
    assert seconds_of(None, 300.0) == (None, 300.0)
    with pytest.raises(TradewindError, match="timeout: a number of seconds is needed"):
        seconds_of("soon")


def test_mistakes_are_import_errors() -> None:
    with DAG("d", schedule=None):
        with pytest.raises(AuthoringError, match="response_check must be a function"):
            HttpOperator(task_id="a", response_check=cast("Any", "text"))
        with pytest.raises(AuthoringError, match="missing keyword argument 'endpoint'"):
            cast("Any", HttpSensor)(task_id="b")
        with pytest.raises(AuthoringError, match="respnse_check"):
            cast("Any", HttpOperator)(task_id="c", respnse_check=None)
    with pytest.raises(TaskFailed):
        raise TaskFailed


def test_a_session_of_requests_needs_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADEWIND_CONN_HTTP_DEFAULT", '{"host": "h", "login": "me", "extra": {"token": "t"}}')
    with HttpHook().get_conn({"own": "1"}) as session:
        assert (session.auth, session.headers["token"], session.headers["own"]) == (("me", ""), "t", "1")
    with HttpHook(auth_type=HTTPBasicAuth).get_conn() as session:
        assert session.auth == HTTPBasicAuth("me", "")

    def nothing(_: str) -> None: ...

    monkeypatch.setattr("importlib.util.find_spec", nothing)
    with pytest.raises(TradewindError, match="`requests`, which is not installed"):
        HttpHook().get_conn()
