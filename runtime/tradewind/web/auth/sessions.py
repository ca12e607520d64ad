"""Sessions as signed tokens: nothing is stored, everything is checked.

A token is ``payload.signature``, both base64url. The payload holds the login, when the session
began and ends, its own id and a fingerprint of the stored password hash, so that a new password
ends every session made with the old one. A sign-out is remembered by the process that saw it
until the session would have ended.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final, NamedTuple

import orjson

MOST_ENDED: Final = 100_000
LONGEST_TOKEN: Final = 2048


class Session(NamedTuple):
    """A signed-in browser. Times are Unix seconds."""

    username: str
    began: int
    ends: int
    session_id: str
    fingerprint: str


class SessionSigner:
    """Makes and checks session tokens."""

    def __init__(self, secret: bytes, lifetime: timedelta, now: Callable[[], float] = time.time) -> None:
        self._key = hmac.digest(secret, b"tradewind session", "sha256")
        self._lifetime = int(lifetime.total_seconds())
        self._now = now
        self._ended: dict[str, int] = {}

    @property
    def lifetime_seconds(self) -> int:
        """How long a new session lasts."""
        return self._lifetime

    def begin(self, username: str, password_hash: str) -> str:
        """A token for a login whose password has just been checked."""
        now = int(self._now())
        mark = self._fingerprint(password_hash)
        return self._sign(Session(username, now, now + self._lifetime, secrets.token_hex(8), mark))

    def read(self, token: str) -> Session | None:
        """The session of a token, or None if it is forged, over, or signed out of."""
        if len(token) > LONGEST_TOKEN:
            return None
        body, _, signature = token.partition(".")
        if not hmac.compare_digest(self._signature(body).encode(), signature.encode("utf-8", "replace")):
            return None
        try:
            session = Session(*orjson.loads(_unpack(body)))
        except (ValueError, TypeError, binascii.Error):
            return None
        is_over = session.ends <= self._now() or session.session_id in self._ended
        return None if is_over else session

    def fits(self, session: Session, password_hash: str) -> bool:
        """Whether the login still has the password that the session was made with."""
        return hmac.compare_digest(session.fingerprint, self._fingerprint(password_hash))

    def renewed(self, session: Session) -> str | None:
        """A token that ends later, once half of the session's time is over."""
        now = int(self._now())
        if session.ends - now > self._lifetime // 2:
            return None
        return self._sign(session._replace(ends=now + self._lifetime))

    def end(self, session: Session) -> None:
        """Signs out: this session's tokens are refused from now on."""
        now = self._now()
        if len(self._ended) >= MOST_ENDED:
            self._ended = {sid: ends for sid, ends in self._ended.items() if ends > now}
        self._ended[session.session_id] = int(now) + self._lifetime

    def _fingerprint(self, password_hash: str) -> str:
        return hmac.digest(self._key, b"password\0" + password_hash.encode(), "sha256").hex()[:16]

    def _sign(self, session: Session) -> str:
        body = _pack(orjson.dumps(list(session)))
        return f"{body}.{self._signature(body)}"

    def _signature(self, body: str) -> str:
        return _pack(hmac.digest(self._key, body.encode("utf-8", "replace"), "sha256"))


class TokenSigner:
    """Signs short public values, such as the place of a file, so that nobody can make up others."""

    def __init__(self, secret: bytes, purpose: str) -> None:
        self._key = hmac.digest(secret, b"tradewind token " + purpose.encode(), "sha256")

    def sign(self, value: bytes) -> str:
        """`value` as URL-safe text."""
        return _pack(hmac.digest(self._key, value, "sha256")[:12] + value)

    def read(self, token: str) -> bytes | None:
        """What was signed, or None."""
        try:
            raw = _unpack(token)
        except (ValueError, binascii.Error):
            return None
        mac, value = raw[:12], raw[12:]
        return value if hmac.compare_digest(mac, hmac.digest(self._key, value, "sha256")[:12]) else None


def _pack(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _unpack(text: str) -> bytes:
    return base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
