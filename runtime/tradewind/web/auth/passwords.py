"""Passwords: argon2id hashes, made and checked in threads, each credential checked once in a while."""

from __future__ import annotations

import asyncio
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import anyio
import anyio.to_thread
from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from tradewind.web.problems import Problem

HASHES_AT_ONCE: Final = 2
"""Each check takes 64 MiB and 50 ms: more at once would only take the loop's cores."""
MOST_WAITING: Final = 64
LONGEST_PASSWORD: Final = 1024


async def hash_password(password: str) -> str:
    """The argon2id hash to keep for a login."""
    return await anyio.to_thread.run_sync(PasswordHasher().hash, password)


@dataclass(slots=True)
class _Check:
    """One credential being checked, for all requests that brought it."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    result: bool | None = None
    waiting: int = 0


class PasswordCheck:
    """Says whether a password fits a stored hash.

    A success is remembered for `ttl` seconds under a keyed digest of name, password and stored
    hash, so a changed hash is a new question. Failures are never remembered.
    """

    def __init__(
        self,
        *,
        ttl: float = 60.0,
        size: int = 1024,
        monotonic: Callable[[], float] = time.monotonic,
        hasher: PasswordHasher | None = None,
    ) -> None:
        self._key = secrets.token_bytes(32)
        self._ttl = ttl
        self._size = size
        self._monotonic = monotonic
        self._hasher = hasher if hasher is not None else PasswordHasher()
        self._known: OrderedDict[bytes, float] = OrderedDict()
        self._running: dict[bytes, _Check] = {}
        self._limiter = anyio.CapacityLimiter(HASHES_AT_ONCE)
        self._decoy: str | None = None
        self.hashes = 0
        """How often argon2 ran, for metrics and tests."""

    async def fits(self, username: str, password: str, stored: str | None, before: Callable[[], None]) -> bool:
        """Whether `password` belongs to `stored`; None (no such login) takes as long and is False.

        `before` is called once for each real check and may refuse it by raising.
        """
        digest = self._digest(username, password, stored or "")
        if self._is_known(digest):
            return True
        check = self._running.setdefault(digest, _Check())
        check.waiting += 1
        try:
            async with check.lock:
                if check.result is None:
                    before()
                    check.result = await self._compare(password, stored)
                    if check.result:
                        self._remember(digest)
                return check.result
        finally:
            check.waiting -= 1
            if not check.waiting:
                self._running.pop(digest, None)

    def _digest(self, *parts: str) -> bytes:
        packed = b"".join(len(raw).to_bytes(4, "big") + raw for raw in (part.encode() for part in parts))
        return hmac.digest(self._key, packed, "sha256")

    def _is_known(self, digest: bytes) -> bool:
        until = self._known.get(digest)
        return until is not None and until > self._monotonic()

    def _remember(self, digest: bytes) -> None:
        self._known[digest] = self._monotonic() + self._ttl
        self._known.move_to_end(digest)
        while len(self._known) > self._size:
            self._known.popitem(last=False)

    async def _compare(self, password: str, stored: str | None) -> bool:
        if len(password) > LONGEST_PASSWORD:
            return False
        if self._limiter.statistics().tasks_waiting >= MOST_WAITING:
            raise Problem(503, "Too many logins at once", "Try again in a few seconds.", headers={"Retry-After": "5"})
        self.hashes += 1
        return await anyio.to_thread.run_sync(self._compare_blocking, password, stored, limiter=self._limiter)

    def _compare_blocking(self, password: str, stored: str | None) -> bool:
        if stored is None:
            if self._decoy is None:
                self._decoy = self._hasher.hash(secrets.token_hex(16))
            stored, is_real = self._decoy, False
        else:
            is_real = True
        try:
            return self._hasher.verify(stored, password) and is_real
        except (Argon2Error, InvalidHashError):
            return False
