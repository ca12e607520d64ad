"""`airflow.sdk.BaseAsyncOperator`: an operator whose work is a coroutine called `aexecute`."""

from __future__ import annotations

from typing import Any

from tradewind.authoring.operator import BaseOperator


class BaseAsyncOperator(BaseOperator):
    """Define `aexecute`; it runs as the `async def execute` of other operators does."""

    async def aexecute(self, context: Any) -> Any:
        """What the task does. Raises NotImplementedError where the class does not define it."""
        raise NotImplementedError(f"{type(self).__name__} defines no aexecute()")

    async def execute(self, context: Any) -> Any:
        """Calls `aexecute`."""
        return await self.aexecute(context)
