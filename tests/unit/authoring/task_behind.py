"""The task behind the result of a `@task` call, which type checkers take for the value itself."""

from __future__ import annotations

from typing import Any, cast

from tradewind.authoring.operator import BaseOperator


def operator_of(result: Any) -> BaseOperator:
    return cast("BaseOperator", result.operator)
