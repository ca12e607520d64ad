"""Who is asking: HTTP Basic, then the session cookie, then nobody; and what routes demand."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Final

from aiohttp import hdrs, web

from tradewind.control_ports import Control
from tradewind.model.rows import UserRow
from tradewind.web.auth.guesses import GuessBrake
from tradewind.web.auth.passwords import PasswordCheck
from tradewind.web.auth.sessions import Session, SessionSigner
from tradewind.web.origin import READING_METHODS, client_address, is_from_elsewhere, is_surely_own
from tradewind.web.problems import Problem
from tradewind.web.roles import GRANTS, Permission, Role, role_of
from tradewind.web.settings import WebConfig

COOKIE: Final = "tradewind_session"
LONGEST_NAME: Final = 250


@dataclass(frozen=True, slots=True)
class Identity:
    """The caller of one request. `username` is empty for somebody without a login."""

    username: str
    role: Role
    session: Session | None = None

    @property
    def permissions(self) -> frozenset[Permission]:
        """What the role allows."""
        return GRANTS[self.role]


class Authenticator:
    """Finds out who makes a request and refuses what they may not do."""

    def __init__(self, control: Control, config: WebConfig, passwords: PasswordCheck | None = None) -> None:
        self._control = control
        self._config = config
        self.passwords = passwords if passwords is not None else PasswordCheck()
        self.sessions = SessionSigner(config.secret_key, config.session_lifetime)
        self._brake = GuessBrake()

    async def demand(self, request: web.Request, permission: Permission | None) -> Identity:
        """The caller, if it may do this. Raises Problem 401 (log in), 403 (you may not), 429."""
        if permission is None:
            # Health must answer without the database, so nobody is looked up here.
            return Identity("", self._config.public_role)
        identity = await self.identify(request)
        if permission not in identity.permissions:
            if not identity.username:
                raise login_needed(request)
            detail = f"{identity.username} has the role {identity.role}; this needs the permission '{permission}'."
            raise Problem(403, "Forbidden", detail)
        self.refuse_other_sites(request, identity)
        return identity

    def refuse_other_sites(self, request: web.Request, identity: Identity | None = None) -> None:
        """Raises Problem 403 for a change that another site's page asks for in a user's name."""
        if request.method in READING_METHODS:
            return
        hops = self._config.forwarded_hops
        by_cookie = identity is not None and identity.session is not None
        if is_from_elsewhere(request, hops) or (by_cookie and not is_surely_own(request, hops)):
            detail = (
                "A change made with a session cookie must come from this site's own pages. "
                "Programs use HTTP Basic, or send the header X-Tradewind-CSRF: 1 with the cookie."
            )
            raise Problem(403, "Cross-site request refused", detail)

    async def identify(self, request: web.Request) -> Identity:
        """The caller, whatever it may do. Raises Problem 401 for wrong credentials."""
        header = request.headers.get(hdrs.AUTHORIZATION)
        if header is not None:
            username, password = _basic(request, header)
            user = await self.check_password(request, username, password)
            return Identity(user.username, role_of(user.role))
        token = request.cookies.get(COOKIE)
        if token is not None:
            known = await self._by_session(token)
            if known is not None:
                return known
        return Identity("", self._config.public_role)

    async def check_password(self, request: web.Request, username: str, password: str) -> UserRow:
        """The login that these credentials open. Raises Problem 401 or 429; both say the same for
        a login that does not exist, is switched off, or has another password.
        """
        address = client_address(request, self._config.forwarded_hops)
        user = await self._user(username)
        stored = user.password_hash if user is not None and user.is_active else None
        fits = await self.passwords.fits(username, password, stored, lambda: self._brake.begin(username, address))
        if not fits or user is None:
            raise login_needed(request, "Wrong username or password.")
        self._brake.succeeded(username, address)
        return user

    async def _by_session(self, token: str) -> Identity | None:
        session = self.sessions.read(token)
        if session is None:
            return None
        user = await self._user(session.username)
        if user is None or not user.is_active or not self.sessions.fits(session, user.password_hash):
            return None
        return Identity(user.username, role_of(user.role), session)

    async def _user(self, username: str) -> UserRow | None:
        if not username or len(username) > LONGEST_NAME or "\0" in username:
            return None
        return await self._control.reads.user_get(username)


def login_needed(request: web.Request, detail: str = "Log in first.") -> Problem:
    """401. Browsers' own password box is for people who open an API address, not for our pages."""
    is_page = request.headers.get("Sec-Fetch-Mode", "navigate") != "navigate" or hdrs.ORIGIN in request.headers
    headers = {} if is_page else {"WWW-Authenticate": 'Basic realm="Tradewind", charset="UTF-8"'}
    return Problem(401, "Unauthorized", detail, headers=headers)


def _basic(request: web.Request, header: str) -> tuple[str, str]:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        raise login_needed(request, f"The Authorization scheme {scheme[:20]!r} is not known; use Basic.")
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        raise login_needed(request, "The Authorization header is not valid base64 of user:password.") from None
    username, colon, password = text.partition(":")
    if not colon:
        raise login_needed(request, "The Authorization header holds no user:password.")
    return username, password
