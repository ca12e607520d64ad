"""The conformance suite of `ports.Store`: every sentence of its contracts as a test.

A store passes if a subclass of `StoreSuite` does, in a module with an async fixture `new_store`
(see `store_world.NewStore`) that gives one more opened store on a fresh database at each call::

    class TestMyStore(StoreSuite):
        pass

The tests are coroutines (pytest-asyncio in mode `auto`).
"""

from __future__ import annotations

from tradewind.testing.store_suite_assets import AssetSuite
from tradewind.testing.store_suite_batches import BatchSuite
from tradewind.testing.store_suite_deadlines import DeadlineSuite
from tradewind.testing.store_suite_mapping import MappingSuite
from tradewind.testing.store_suite_ownership import MailSuite, OwnershipSuite
from tradewind.testing.store_suite_runs import NamedSuite, PublishSuite, RunSuite
from tradewind.testing.store_suite_states import StatesSuite
from tradewind.testing.store_suite_waits import WaitsSuite
from tradewind.testing.store_world import NewStore

__all__ = ["NewStore", "StoreSuite"]


class StoreSuite(
    BatchSuite,
    OwnershipSuite,
    MailSuite,
    DeadlineSuite,
    PublishSuite,
    RunSuite,
    NamedSuite,
    AssetSuite,
    MappingSuite,
    WaitsSuite,
    StatesSuite,
):
    """All of it."""
