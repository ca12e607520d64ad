"""A task in a good mood."""

from __future__ import annotations

from typing import Any

from tradewind.authoring.operator import BaseOperator


class SmoothOperator(BaseOperator):
    """Logs a line and succeeds."""

    ui_color = "#e8f7e4"

    def execute(self, context: Any) -> None:
        """Says what it has to say."""
        self.log.info("Coast to coast, LA to Chicago: all smooth")
