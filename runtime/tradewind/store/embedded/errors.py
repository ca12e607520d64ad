"""The one error of the embedded server."""

from __future__ import annotations

from tradewind.model.errors import StoreError


class EmbeddedError(StoreError):
    """The embedded PostgreSQL cannot be used. The text says what was found and what to do."""
