"""The PostgreSQL store under the conformance suite."""

from __future__ import annotations

from tradewind.testing.store_suite import StoreSuite


class TestPostgresStore(StoreSuite):
    pass
