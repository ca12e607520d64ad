"""The quick answer of whether a call fits never says yes where the signature says no."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.authoring.python_call import call_arguments
from tradewind.authoring.signatures import CONTEXT_NAMES, Asked, asked_of, check_call
from tradewind.model.errors import AuthoringError

NAMES = ("a", "b", "c", "ds", "ti")
ARGUMENTS = st.lists(st.integers(), max_size=4)
KEYWORDS = st.dictionaries(st.sampled_from((*NAMES, "other")), st.integers(), max_size=4)


@st.composite
def functions(draw: st.DrawFn) -> Callable[..., Any]:
    """Functions of up to five arguments, of all kinds."""
    names = draw(st.lists(st.sampled_from(NAMES), unique=True))
    only_by_position, only_by_name = (draw(st.integers(0, len(names))) for _ in range(2))
    positional = names[: max(0, len(names) - only_by_name)]
    optional = draw(st.integers(0, len(positional)))
    written = [name + ("=None" if n >= len(positional) - optional else "") for n, name in enumerate(positional)]
    if 0 < only_by_position <= len(written):
        written.insert(only_by_position, "/")
    named = [name + draw(st.sampled_from(("", "=None"))) for name in names[len(positional) :]]
    rest = draw(st.sampled_from(([], ["*rest"])))
    written += rest or (["*"] if named else [])
    written += named + draw(st.sampled_from(([], ["**more"])))
    space: dict[str, Any] = {}
    exec(f"def made({', '.join(written)}): ...", space)
    made: Callable[..., Any] = space["made"]
    return made


def binds(function: Callable[..., Any], args: list[int], kwargs: dict[str, int]) -> bool:
    try:
        inspect.signature(function).bind(*args, **kwargs)
    except TypeError:
        return False
    return True


def never(*_: object, **__: object) -> bool:
    return False


@given(functions(), ARGUMENTS, KEYWORDS)
def test_a_plain_call(function: Callable[..., Any], args: list[int], kwargs: dict[str, int]) -> None:
    asked = asked_of(function)
    assert asked is not None
    if asked.surely_takes(args, kwargs):
        assert binds(function, args, kwargs)
    elif "rest" not in asked.names and not asked.takes_rest:
        assert not binds(function, args, kwargs)


@given(functions(), ARGUMENTS, KEYWORDS)
def test_a_call_of_a_task_function(function: Callable[..., Any], args: list[int], kwargs: dict[str, int]) -> None:
    asked = asked_of(function)
    assert asked is not None
    if not asked.surely_takes(args, kwargs, filled=CONTEXT_NAMES):
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Asked, "surely_takes", never)  # only the signature is asked
        check_call(function, args, kwargs, "here")


def test_what_does_not_fit_is_told_by_the_signature() -> None:
    def task(a: int, ds: str) -> None: ...

    check_call(task, [], {"a": 1}, "here")
    with pytest.raises(AuthoringError, match="here: missing a required argument: 'a'"):
        check_call(task, [], {}, "here")
    with pytest.raises(AuthoringError, match="here: got an unexpected keyword argument 'b'"):
        check_call(task, [1], {"b": 2}, "here")


def with_ti(x: int = 1, ti: int = 3) -> None: ...
def with_ds_by_name(*, ds: str = "2024-01-01") -> None: ...
@functools.wraps(with_ti)
def wrapped(*args: Any, **kwargs: Any) -> None: ...


@pytest.mark.parametrize(("function", "name"), [(with_ti, "ti"), (with_ds_by_name, "ds"), (wrapped, "ti")])
def test_a_name_of_the_context_has_no_default_of_its_own(function: Callable[..., Any], name: str) -> None:
    with pytest.raises(AuthoringError, match=f"@task 'f': '{name}' is a name of the context, "):
        check_call(function, (), {}, "@task 'f'")


def test_names_that_only_later_contexts_have_keep_a_default_of_their_own() -> None:
    def f(a: object, ctx: object = "gpu", partition_key: object = "k", ds: object = None) -> None: ...

    check_call(f, (1,), {}, "@task 'f'")
    context = {"partition_key": "of the run", "ds": "2024-01-01"}
    assert call_arguments(f, (1,), {}, context)[1] == {"ds": "2024-01-01"}
    assert call_arguments(f, (1,), {"ctx": 2}, context)[1] == {"ds": "2024-01-01", "ctx": 2}
