"""What a call gets, read from the function's code: the same as from its signature."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.authoring.python_call import call_arguments

CONTEXT: Mapping[str, Any] = {"ds": "2026-01-05", "ti": "the task instance", "run_id": "by-hand"}
NAMES = ["ctx", "ds", "ti", "x", "y"]


@st.composite
def signatures(draw: st.DrawFn) -> str:
    """The text between the parentheses of a `def`."""
    names = draw(st.permutations(NAMES))[: draw(st.integers(0, len(NAMES)))]
    kinds = sorted(draw(st.lists(st.sampled_from(range(3)), min_size=len(names), max_size=len(names))))
    by_position = [name for name, kind in zip(names, kinds, strict=True) if kind < 2]
    defaults_from = draw(st.integers(0, len(by_position)))
    parts = [f"{name}=1" if place >= defaults_from else name for place, name in enumerate(by_position)]
    if 0 in kinds:
        parts.insert(kinds.count(0), "/")
    by_name = [name for name, kind in zip(names, kinds, strict=True) if kind == 2]
    if draw(st.booleans()):
        parts.append("*more")
    elif by_name:
        parts.append("*")
    parts += [f"{name}=1" if draw(st.booleans()) else name for name in by_name]
    return ", ".join([*parts, "**rest"] if draw(st.booleans()) else parts)


def outcome(function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> object:
    try:
        return call_arguments(function, args, kwargs, CONTEXT)
    except TypeError as error:
        return str(error)


@given(text=signatures(), args=st.lists(st.just("given"), max_size=3), named=st.sets(st.sampled_from(NAMES)))
def test_code_and_signature_ask_for_the_same(text: str, args: list[Any], named: set[str]) -> None:
    scope: dict[str, Any] = {}
    exec(f"def function({text}): pass", scope)
    plain: Callable[..., Any] = scope["function"]

    @functools.wraps(plain)  # sends the question to `inspect.signature`, which follows `__wrapped__`
    def wrapped(*args: Any, **kwargs: Any) -> None:
        plain(*args, **kwargs)

    kwargs = dict.fromkeys(sorted(named), "named")
    assert outcome(plain, args, kwargs) == outcome(wrapped, args, kwargs)


def test_functions_of_one_loop_keep_their_own_defaults() -> None:
    with_default = [lambda number=number: number for number in range(3)]
    assert [call_arguments(one, [], {}, CONTEXT) for one in with_default] == [([], {})] * 3

    def asks(x: int) -> int:
        return x

    asks_nothing = FunctionType(asks.__code__, {}, "asks", (1,))
    assert call_arguments(asks_nothing, [], {}, CONTEXT) == ([], {})
    with pytest.raises(TypeError, match=r"asks\(\) asks for 'x'"):
        call_arguments(asks, [], {}, CONTEXT)
