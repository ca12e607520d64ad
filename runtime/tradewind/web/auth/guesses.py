"""A brake on guessing passwords: few tries for a login from one address, more for an address."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Final

from tradewind.web.problems import Problem

MOST_TRACKED: Final = 10_000


@dataclass(slots=True)
class _Tries:
    count: int
    until: float


class GuessBrake:
    """Counts tries that were not a success within a window of time.

    Counting both by (login, address) and by address keeps a stranger from locking a login out for
    others, and from trying one password on many logins.
    """

    def __init__(
        self,
        *,
        per_login: int = 10,
        per_address: int = 100,
        window: float = 300.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._per_login = per_login
        self._per_address = per_address
        self._window = window
        self._monotonic = monotonic
        self._tries: OrderedDict[tuple[str, str], _Tries] = OrderedDict()

    def begin(self, username: str, address: str) -> None:
        """Counts a try before it is made. Raises Problem 429 where there were too many."""
        near = _network(address)
        self._check((username, near), self._per_login)
        self._check(("", near), self._per_address)
        self._count((username, near))
        self._count(("", near))

    def succeeded(self, username: str, address: str) -> None:
        """The try was right: the login's count begins anew, the address gets its try back."""
        near = _network(address)
        self._tries.pop((username, near), None)
        tries = self._tries.get(("", near))
        if tries is not None:
            tries.count -= 1

    def _check(self, key: tuple[str, str], most: int) -> None:
        tries = self._tries.get(key)
        if tries is None:
            return
        left = tries.until - self._monotonic()
        if left <= 0:
            del self._tries[key]
        elif tries.count >= most:
            detail = f"Too many failed logins; try again in {ceil(left)} seconds."
            raise Problem(429, "Too many failed logins", detail, headers={"Retry-After": str(ceil(left))})

    def _count(self, key: tuple[str, str]) -> None:
        tries = self._tries.get(key)
        if tries is None:
            self._tries[key] = _Tries(1, self._monotonic() + self._window)
            while len(self._tries) > MOST_TRACKED:
                self._tries.popitem(last=False)
        else:
            tries.count += 1


def _network(address: str) -> str:
    """One person holds a /64 of IPv6 addresses; of IPv4 one."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    if ip.version == 6:
        return str(ipaddress.ip_network((ip, 64), strict=False))
    return address
