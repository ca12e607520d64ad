"""Named points at which a crash test can kill, stop or fail this process.

A failpoint that is not armed costs one look at a module variable. They are armed by the environment,
``TRADEWIND_FAILPOINTS="store.batch.before_commit=kill@3,worker.frame.sent=pause"``, or in a test by
`armed`. Actions:

``kill``   SIGKILL to this process, as the machine's power cut would
``pause``  SIGSTOP to this process, until somebody sends SIGCONT
``raise``  raises `FailpointHit`
``@n``     (after any of them) acts at the n-th pass only

Names begin with the layer: ``store.``, ``dispatcher.``, ``worker.``.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

from tradewind.model.errors import ConfigError

VARIABLE: Final = "TRADEWIND_FAILPOINTS"


class FailpointHit(Exception):
    """An armed failpoint was passed (only in tests)."""


class _Armed:
    """One armed failpoint: what it does, and at which pass (None: every one)."""

    def __init__(self, act: Callable[[], None], at_pass: int | None) -> None:
        self._act = act
        self._at_pass = at_pass
        self._passes = 0

    def passed(self) -> None:
        self._passes += 1
        if self._at_pass is None or self._passes == self._at_pass:
            self._act()


_armed: dict[str, _Armed] = {}


def failpoint(name: str) -> None:
    """Marks a point of the code. Does nothing unless `name` is armed."""
    if _armed:
        point = _armed.get(name)
        if point is not None:
            point.passed()


@contextmanager
def armed(name: str, action: str | Callable[[], None]) -> Generator[None]:
    """Arms one failpoint for the time of a block; `action` as in the environment, or a function."""
    before = _armed.get(name)
    _armed[name] = _Armed(action, None) if callable(action) else _parse(name, action)
    try:
        yield
    finally:
        del _armed[name]
        if before is not None:
            _armed[name] = before


def arm_from(text: str) -> None:
    """Arms what ``name=action,name=action`` says. Raises ConfigError for what it does not know."""
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, equals, action = item.partition("=")
        if not equals:
            raise ConfigError(f"{VARIABLE}: {item!r} is not of the form name=action")
        _armed[name.strip()] = _parse(name.strip(), action.strip())


def _parse(name: str, action: str) -> _Armed:
    verb, _, at_pass = action.partition("@")
    if at_pass and not at_pass.isdecimal():
        raise ConfigError(f"{VARIABLE}: {name}={action}: {at_pass!r} is not the number of a pass")
    acts: dict[str, Callable[[], None]] = {
        "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
        "pause": lambda: os.kill(os.getpid(), signal.SIGSTOP),
        "raise": lambda: _raise(name),
    }
    if verb not in acts:
        raise ConfigError(f"{VARIABLE}: {name}={action}: the actions are {', '.join(acts)}")
    return _Armed(acts[verb], int(at_pass) if at_pass else None)


def _raise(name: str) -> None:
    raise FailpointHit(name)


# A switch of crash tests, which must work before any configuration is read.
arm_from(os.environ.get(VARIABLE, ""))
