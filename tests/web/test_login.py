"""Logins, sessions, roles, other sites, and the brake on guessing."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import ClientResponse

from tests.web.conftest import CHEAP, LOGINS, SECRET, Site, basic, serving
from tradewind.model.rows import UserRow
from tradewind.web.auth.guesses import GuessBrake
from tradewind.web.auth.identity import COOKIE
from tradewind.web.auth.passwords import PasswordCheck, hash_password
from tradewind.web.auth.sessions import SessionSigner, TokenSigner
from tradewind.web.keys import AUTHENTICATOR
from tradewind.web.problems import Problem
from tradewind.web.rest.table import ROUTES
from tradewind.web.roles import GRANTS, Permission, Role, role_of
from tradewind.web.settings import WebConfig

OWN = {"Sec-Fetch-Site": "same-origin"}
NOBODY: dict[str, str] = {}


async def log_in(site: Site, username: str = "uma", password: str | None = None) -> ClientResponse:
    password = LOGINS[username][0] if password is None else password
    return await site.client.post("/auth/login", json={"username": username, "password": password})


# -- who may do what

READ = "GET", "/dags", None
EDIT = "PATCH", "/dags/hourly", {"is_paused": True}
OPERATE = "GET", "/config", None


@pytest.fixture
def web_config(web_config: WebConfig) -> WebConfig:
    return replace(web_config, exposed_config={"core": {"parallelism": "32"}, "web": {"port": "8080"}})


@pytest.mark.parametrize(
    ("username", "statuses"),
    [
        (None, (401, 401, 401)),
        ("paul", (403, 403, 403)),
        ("vic", (200, 403, 403)),
        ("uma", (200, 200, 403)),
        ("olga", (200, 200, 200)),
        ("admin", (200, 200, 200)),
    ],
)
@pytest.mark.parametrize("how", ["basic", "cookie"])
@pytest.mark.spec("3:X03")
async def test_roles(site: Site, username: str | None, statuses: tuple[int, int, int], how: str) -> None:
    auth = NOBODY
    if username is not None and how == "basic":
        auth = basic(username, LOGINS[username][0])
    elif username is not None:
        assert (await log_in(site, username)).status == 200
    for (method, path, body), status in zip((READ, EDIT, OPERATE), statuses, strict=True):
        answer = await site.ask(method, path, status, auth=auth, json=body, headers=OWN)
        if status >= 400:
            problem = await answer.json()
            assert problem["title"] == {401: "Unauthorized", 403: "Forbidden"}[status]


BY_SIGNATURE = "post_webhook"
"""Who may is shown by the body's signature, not by a login."""


@pytest.mark.spec("3:X01")
async def test_every_operation_asks_who_is_there(site: Site) -> None:
    open_to_all = {"get_health", "get_version", "get_openapi_json", "get_openapi_yaml", "get_api_page"}
    for route in ROUTES:
        if route.operation == BY_SIGNATURE:
            continue
        path = re.sub(r"\{[^}]*\}", "1", route.path)
        status = 200 if route.operation in open_to_all else 401
        await site.ask(route.method, path, status, auth=NOBODY)


async def test_changing_routes_need_more_than_reading(site: Site) -> None:
    changing = [route for route in ROUTES if route.method != "GET" and not route.path.endswith("/list")]
    changing = [route for route in changing if route.operation != BY_SIGNATURE]
    assert all(route.permission in ("edit", "operate", "admin") for route in changing)
    vic = basic("vic", LOGINS["vic"][0])
    for route in changing:
        path = re.sub(r"\{[^}]*\}", "1", route.path)
        await site.ask(route.method, path, 403, auth=vic, json={})


NEVER_ENDS = {"stream_events"}
"""Whoever may gets an answer that goes on: here only the others ask for it."""
SECRETS = ("/connections", "/variables", "/config")


async def test_every_role_may_do_what_it_holds_and_nothing_else(site: Site) -> None:
    assert all(route.permission == Permission.OPERATE for route in ROUTES if route.path.startswith(SECRETS))
    for username, (password, role) in LOGINS.items():
        auth = basic(username, password)
        for route in (route for route in ROUTES if route.permission is not None):
            may = route.permission in GRANTS[role_of(role)]
            if may and route.operation in NEVER_ENDS:
                continue
            url = f"/api/v1{re.sub(r'{[^}]*}', '1', route.path)}"
            answer = await site.client.request(route.method, url, headers=auth, json=None if route.body is None else {})
            text = await answer.text()
            refused = answer.status == 403 and "this needs the permission" in text
            assert refused is not may, f"{role}: {route.operation}: {answer.status} {text}"


async def test_public_may_be_allowed_to_read(web_config: WebConfig, tmp_path: Path) -> None:
    async with serving(replace(web_config, public_role=Role.VIEWER), tmp_path) as site:
        await site.ask(*READ[:2], auth=NOBODY)
        await site.ask(*EDIT[:2], 401, auth=NOBODY, json={"is_paused": True})
        me = await (await site.client.get("/auth/me")).json()
        assert me == {"username": "", "roles": ["Viewer"], "permissions": ["read"]}


async def test_the_configuration_is_shown_to_operators(site: Site) -> None:
    body = await (await site.get("/config")).json()
    assert body["sections"][0] == {"name": "core", "options": [{"key": "parallelism", "value": "32"}]}
    assert len((await (await site.get("/config", section="web")).json())["sections"]) == 1
    await site.get("/config", 404, section="nothing")
    one = await (await site.get("/config/section/core/option/parallelism")).json()
    assert one["sections"][0]["options"][0]["value"] == "32"
    await site.get("/config/section/core/option/nothing", 404)
    text = await site.ask("GET", "/config", headers={"Accept": "text/plain"})
    assert "[core]\nparallelism = 32" in await text.text()


# -- signing in and out


@pytest.mark.spec("1:U1")
async def test_signing_in_and_out(site: Site) -> None:
    assert (await site.client.get("/auth/me")).status == 401
    answer = await log_in(site, "uma")
    assert await answer.json() == {"username": "uma", "roles": ["User"], "permissions": ["edit", "read"]}
    cookie = answer.cookies[COOKIE]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    assert not cookie["secure"]
    assert cookie["path"] == "/"
    assert (await (await site.client.get("/auth/me")).json())["username"] == "uma"
    token = cookie.value
    signed_out = await site.client.post("/auth/logout", json={}, headers=OWN)
    assert signed_out.status == 204
    assert (await site.client.get("/auth/me")).status == 401
    stolen = {"Cookie": f"{COOKIE}={token}"}
    assert (await site.client.get("/auth/me", headers=stolen)).status == 401


@pytest.mark.parametrize(
    ("username", "password"), [("uma", "wrong"), ("nobody", "x"), ("gone", "gone-password"), ("a\0b", "x")]
)
async def test_wrong_logins_all_say_the_same(site: Site, username: str, password: str) -> None:
    answer = await log_in(site, username, password)
    assert answer.status == 401
    assert (await answer.json())["detail"] == "Wrong username or password."
    assert COOKIE not in answer.cookies


@pytest.mark.parametrize(
    "body", [[], {}, {"username": "uma"}, {"username": "uma", "password": 7}, {"username": "", "password": ""}]
)
async def test_logins_without_credentials(site: Site, body: object) -> None:
    assert (await site.client.post("/auth/login", json=body)).status == 400


@pytest.mark.parametrize(
    "header", ["Bearer abc", "Basic", "Basic !!!", "Basic bm9jb2xvbg==", "Basic //8=", "Basic Og==", "x" * 5000]
)
async def test_strange_authorization_headers(site: Site, header: str) -> None:
    answer = await site.ask("GET", "/dags", 401, auth={"Authorization": header})
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")


async def test_our_own_pages_get_no_password_box(site: Site) -> None:
    answer = await site.ask("GET", "/dags", 401, auth=NOBODY, headers={"Sec-Fetch-Mode": "cors"})
    assert "WWW-Authenticate" not in answer.headers


async def test_a_new_password_ends_old_sessions(site: Site) -> None:
    await log_in(site, "uma")
    assert (await site.client.get("/auth/me")).status == 200
    await site.store.user_set(UserRow("uma", CHEAP.hash("new"), "User"))
    assert (await site.client.get("/auth/me")).status == 401


async def test_forged_cookies_are_nobody(site: Site) -> None:
    answer = await log_in(site, "uma")
    token = answer.cookies[COOKIE].value
    body, _, signature = token.partition(".")
    other = SessionSigner(b"another secret of some length", timedelta(days=1)).begin("admin", "x")
    for forged in (f"{body}x.{signature}", f"{body}.", body, ".", "", other, "é.ü", "x" * 5000):
        headers = {"Cookie": f"{COOKIE}={forged}"}
        site.client.session.cookie_jar.clear()
        assert (await site.client.get("/auth/me", headers=headers)).status == 401, forged


# -- other sites


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "X-Tradewind-CSRF": "1"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "{own}"}, 200),
        ({"Origin": "https{own}"}, 403),
        ({"X-Tradewind-CSRF": "1"}, 200),
    ],
)
async def test_changes_by_cookie_come_from_our_pages(site: Site, headers: dict[str, str], status: int) -> None:
    await log_in(site, "uma")
    own = str(site.client.make_url("/"))[:-1]
    sent = {name: value.replace("https{own}", own.replace("http", "https")) for name, value in headers.items()}
    sent = {name: value.replace("{own}", own) for name, value in sent.items()}
    await site.ask("PATCH", "/dags/hourly", status, auth=NOBODY, json={"is_paused": True}, headers=sent)


async def test_other_sites_cannot_use_a_remembered_basic_login_either(site: Site) -> None:
    await site.ask("PATCH", "/dags/hourly", 200, json={"is_paused": True})
    await site.ask("PATCH", "/dags/hourly", 403, json={"is_paused": True}, headers={"Sec-Fetch-Site": "cross-site"})
    answer = await site.client.post(
        "/auth/login", json={"username": "uma", "password": "uma-password"}, headers={"Origin": "http://evil.example"}
    )
    assert answer.status == 403


# -- cost and guessing


async def test_one_hash_for_many_requests(site: Site) -> None:
    check = site.client.app[AUTHENTICATOR].passwords
    await asyncio.gather(*(site.get("/dags") for _ in range(20)))
    assert check.hashes == 1
    await site.store.user_set(UserRow("admin", CHEAP.hash("changed"), "Admin"))
    await site.get("/dags", 401)
    assert check.hashes == 2
    await site.ask("GET", "/dags", auth=basic("admin", "changed"))


async def test_guessing_is_braked(site: Site) -> None:
    for _ in range(10):
        assert (await log_in(site, "uma", "guess")).status == 401
    braked = await log_in(site, "uma", "guess")
    assert braked.status == 429
    assert int(braked.headers["Retry-After"]) <= 300
    assert (await log_in(site, "uma")).status == 429
    await site.ask("GET", "/dags", 429, auth=basic("uma", "guess"))
    assert (await log_in(site, "vic")).status == 200


class Clock:
    def __init__(self) -> None:
        self.at = 1_000_000.0

    def __call__(self) -> float:
        return self.at


def test_the_brake_lets_go_after_its_window() -> None:
    clock = Clock()
    brake = GuessBrake(per_login=2, per_address=3, window=60, monotonic=clock)
    brake.begin("a", "10.0.0.1")
    brake.begin("a", "10.0.0.1")
    with pytest.raises(Problem, match="60 seconds"):
        brake.begin("a", "10.0.0.1")
    brake.begin("a", "10.0.0.2")
    brake.begin("b", "10.0.0.1")
    with pytest.raises(Problem, match="429"):
        brake.begin("c", "10.0.0.1")
    clock.at += 61
    brake.begin("a", "10.0.0.1")
    brake.succeeded("a", "10.0.0.1")
    for _ in range(2):
        brake.begin("a", "10.0.0.1")
    brake.begin("x", "2001:db8::1")
    brake.begin("x", "2001:db8::ffff")
    with pytest.raises(Problem, match="429"):
        brake.begin("x", "2001:db8::2")


async def test_verified_credentials_are_forgotten_in_time() -> None:
    clock = Clock()
    check = PasswordCheck(ttl=10, size=2, monotonic=clock, hasher=CHEAP)
    stored = CHEAP.hash("pw")
    calls: list[int] = []

    async def fits(password: str, hash_: str | None = stored) -> bool:
        return await check.fits("u", password, hash_, lambda: calls.append(1))

    assert await fits("pw")
    assert await fits("pw")
    assert not await fits("no")
    assert not await fits("pw", None)
    assert not await fits("pw", "not a hash")
    assert len(calls) == check.hashes == 4
    clock.at += 11
    assert await fits("pw")
    assert check.hashes == 5


async def test_hashes_are_argon2id() -> None:
    assert (await hash_password("x")).startswith("$argon2id$")


def test_sessions_end_and_are_renewed() -> None:
    clock = Clock()
    signer = SessionSigner(SECRET, timedelta(hours=10), clock)
    token = signer.begin("uma", "hash")
    session = signer.read(token)
    assert session is not None
    assert signer.fits(session, "hash")
    assert not signer.fits(session, "other")
    assert signer.renewed(session) is None
    clock.at += 6 * 3600
    renewed = signer.renewed(session)
    assert renewed is not None
    clock.at += 5 * 3600
    assert signer.read(token) is None
    again = signer.read(renewed)
    assert again is not None
    signer.end(again)
    assert signer.read(renewed) is None


def test_tokens_are_for_one_purpose() -> None:
    token = TokenSigner(SECRET, "file").sign(b"value")
    assert TokenSigner(SECRET, "file").read(token) == b"value"
    assert TokenSigner(SECRET, "log").read(token) is None
    assert TokenSigner(SECRET, "file").read("é") is None


async def test_behind_a_proxy(web_config: WebConfig, tmp_path: Path) -> None:
    headers = {
        "X-Forwarded-For": "1.2.3.4",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "flows.example",
        "Origin": "https://flows.example",
    }
    login = {"username": "uma", "password": "uma-password"}
    async with serving(replace(web_config, forwarded_hops=1), tmp_path) as site:
        answer = await site.client.post("/auth/login", json=login, headers=headers)
        assert answer.status == 200
        assert answer.cookies[COOKIE]["secure"]
    async with serving(web_config, tmp_path) as site:
        answer = await site.client.post("/auth/login", json=login, headers=headers)
        assert answer.status == 403
