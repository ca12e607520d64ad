"""Asks the database for what a command wants: connects, asks, closes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from tradewind.cli.failures import run_async

if TYPE_CHECKING:
    from tradewind.config import Config
    from tradewind.control_ports import Control
    from tradewind.ports import Store

T = TypeVar("T")


def ask_store(config: Config, work: Callable[[Store], Awaitable[T]]) -> T:
    """What `work` gives, which gets the store of the configuration. Raises what `open_store` raises."""
    from tradewind.database import open_store

    async def connected() -> T:
        async with open_store(config) as store:
            return await work(store)

    return run_async(connected())


def ask_control(config: Config, work: Callable[[Control], Awaitable[T]]) -> T:
    """The same for what is asked of the system: wishes go by mail to the runtimes that own the DAGs."""
    from tradewind.database import open_control

    async def connected() -> T:
        async with open_control(config) as control:
            return await work(control)

    return run_async(connected())
