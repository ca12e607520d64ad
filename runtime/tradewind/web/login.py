"""POST /auth/login, POST /auth/logout, GET /auth/me: signing in with a browser."""

from __future__ import annotations

from typing import Final, cast

from aiohttp import web

from tradewind.web.answers import json_answer
from tradewind.web.auth.identity import COOKIE, Authenticator, Identity, login_needed
from tradewind.web.body import read_json
from tradewind.web.keys import AUTHENTICATOR, CONFIG, mount_path
from tradewind.web.origin import scheme
from tradewind.web.problems import bad_request
from tradewind.web.roles import role_of

_LONGEST: Final = 1024


async def log_in(request: web.Request) -> web.Response:
    """Checks a username and password, and begins a session."""
    authenticator = request.app[AUTHENTICATOR]
    authenticator.refuse_other_sites(request)
    username, password = await _credentials(request)
    user = await authenticator.check_password(request, username, password)
    response = json_answer(_who(Identity(user.username, role_of(user.role))))
    _set_cookie(request, response, authenticator.sessions.begin(user.username, user.password_hash))
    return response


async def log_out(request: web.Request) -> web.Response:
    """Ends the session, if there is one."""
    authenticator = request.app[AUTHENTICATOR]
    authenticator.refuse_other_sites(request)
    session = authenticator.sessions.read(request.cookies.get(COOKIE, ""))
    if session is not None:
        authenticator.sessions.end(session)
    response = web.Response(status=204)
    response.del_cookie(COOKIE, path=mount_path(request.app), secure=_is_secure(request), httponly=True, samesite="Lax")
    return response


async def who_am_i(request: web.Request) -> web.Response:
    """The caller's login and what it may do. Renews a session that is half over."""
    authenticator: Authenticator = request.app[AUTHENTICATOR]
    identity = await authenticator.identify(request)
    if not identity.username and not identity.permissions:
        raise login_needed(request)
    response = json_answer(_who(identity))
    if identity.session is not None:
        renewed = authenticator.sessions.renewed(identity.session)
        if renewed is not None:
            _set_cookie(request, response, renewed)
    return response


async def _credentials(request: web.Request) -> tuple[str, str]:
    body = await read_json(request)
    if not isinstance(body, dict):
        raise bad_request("the body must be a JSON object with username and password")
    given = cast("dict[str, object]", body)
    values = [given.get("username"), given.get("password")]
    username, password = (value if isinstance(value, str) else "" for value in values)
    if not username or not password or len(username) > _LONGEST or len(password) > _LONGEST:
        raise bad_request("send username and password as texts, neither empty")
    return username, password


def _who(identity: Identity) -> dict[str, object]:
    return {
        "username": identity.username,
        "roles": [identity.role.value],
        "permissions": sorted(permission.value for permission in identity.permissions),
    }


def _set_cookie(request: web.Request, response: web.Response, token: str) -> None:
    lifetime = request.app[AUTHENTICATOR].sessions.lifetime_seconds
    response.set_cookie(
        COOKIE,
        token,
        max_age=lifetime,
        path=mount_path(request.app),
        secure=_is_secure(request),
        httponly=True,
        samesite="Lax",
    )


def _is_secure(request: web.Request) -> bool:
    config = request.app[CONFIG]
    if config.cookie_secure is not None:
        return config.cookie_secure
    return scheme(request, config.forwarded_hops) == "https"


def add_routes(app: web.Application) -> None:
    """Registers the three addresses."""
    app.router.add_post("/auth/login", log_in, name="log_in")
    app.router.add_post("/auth/logout", log_out, name="log_out")
    app.router.add_get("/auth/me", who_am_i, name="who_am_i")
