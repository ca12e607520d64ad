"""Tasks that do nothing: where branches begin and end."""

from __future__ import annotations

from typing import Any, ClassVar

from tradewind.authoring.operator import BaseOperator


class EmptyOperator(BaseOperator):
    """Does nothing. Without callbacks it ends without being started at all."""

    ui_color = "#e8f7e4"
    inherits_from_empty_operator: ClassVar[bool] = True

    def execute(self, context: Any) -> None:
        """Nothing."""


DummyOperator = EmptyOperator
