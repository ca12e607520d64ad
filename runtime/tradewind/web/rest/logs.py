"""The logs of attempts: as text, in pieces of JSON, or record by record while they are written."""

from __future__ import annotations

from typing import Final

from tradewind.web.rest.route import Route

ROUTES: Final[tuple[Route, ...]] = ()
