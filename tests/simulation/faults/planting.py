"""How a fault is planted, and in which stories it soon shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tradewind.rules.run_machine import RunMachine

Patch = pytest.MonkeyPatch


@dataclass(frozen=True, slots=True)
class Fault:
    """A planted fault, and the stories in which it soon shows."""

    name: str
    plant: Callable[[Patch], None]
    processes: int = 1
    disturbed: bool = True
    """Whether the stories are ones in which processes die and connections break."""
    first_seed: int = 0
    story: Callable[[], None] | None = None
    """A story of its own instead, for what chance brings about too seldom."""
    mapped: bool = False
    """Whether the stories have mapped tasks."""
    waiting: bool = False
    """Whether tasks of the stories defer."""
    durable: bool = False
    """Whether some of these are durable."""


class Faults:
    """The faults of one file. Called as a decorator it takes in a function that plants one."""

    def __init__(self) -> None:
        self.all: list[Fault] = []

    def __call__(
        self,
        processes: int = 1,
        *,
        disturbed: bool = True,
        seed: int = 0,
        story: Callable[[], None] | None = None,
        mapped: bool = False,
        waiting: bool = False,
        durable: bool = False,
    ) -> Callable[[Callable[[Patch], None]], None]:
        def register(plant: Callable[[Patch], None]) -> None:
            self.all.append(Fault(plant.__name__, plant, processes, disturbed, seed, story, mapped, waiting, durable))

        return register


def giving(result: object) -> Callable[..., Any]:
    """A function or method that does nothing but give this."""

    def give(*_args: object, **_named: object) -> object:
        return result

    return give


def wrap(patch: Patch, owner: object, name: str, make: Callable[[Any], Any]) -> None:
    patch.setattr(owner, name, make(getattr(owner, name)))


def handle_by(patch: Patch, event: str, handler: Any) -> None:
    wrap_handler(patch, event, lambda _: handler)


def wrap_handler(patch: Patch, event: str, make: Callable[[Any], Any]) -> None:
    handlers: Any = vars(RunMachine)["_handlers"]
    key = next(kind for kind in handlers if kind.__name__ == event)
    patch.setattr(RunMachine, "_handlers", {**handlers, key: make(handlers[key])})
