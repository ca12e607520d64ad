# pyright: basic, reportUnnecessaryTypeIgnoreComment=error
# mypy: ignore-errors
"""Mistakes in calls of `@task` functions, as pyright finds them: mypy takes any first parameter for the context."""

from __future__ import annotations

from typing import Any

from tradewind import Context, task


@task
def count(word: str, times: int = 1) -> int:
    return len(word) * times


@task
async def with_context(ctx: Context, word: str) -> int:
    return len(word)


@task(durable=True)
def anything(x: Any, y: Any) -> None: ...


def never_called() -> None:
    count(5)  # type: ignore[arg-type]
    count()  # type: ignore[call-arg]
    count("a", tims=2)  # type: ignore[call-arg]
    with_context("a")
    with_context(5)  # type: ignore[arg-type]
    with_context()  # type: ignore[call-arg]
    anything(x=1, y=2)
