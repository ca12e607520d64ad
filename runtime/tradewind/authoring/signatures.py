"""What the signatures of authors' functions ask for, and whether a call fits them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import CodeType, FunctionType
from typing import Any, Final

from tradewind.model.errors import AuthoringError

CONTEXT_NAMES: Final = frozenset(
    {
        "asset_state_store",
        "conf",
        "conn",
        "ctx",
        "dag",
        "dag_run",
        "data_interval_end",
        "data_interval_start",
        "ds",
        "ds_nodash",
    }
    | {"execution_date", "expanded_ti_count", "exception", "inlet_events", "inlets", "logical_date", "macros"}
    | {"map_index_template", "next_ds", "next_ds_nodash", "next_execution_date", "outlet_events", "outlets", "params"}
    | {"prev_data_interval_end_success", "prev_data_interval_start_success", "prev_ds", "prev_ds_nodash"}
    | {"prev_end_date_success", "prev_execution_date", "prev_execution_date_success", "prev_start_date_success"}
    | {
        "task_state_store",
        "reason",
        "run_id",
        "task",
        "task_instance",
        "task_instance_key_str",
        "task_reschedule_count",
    }
    | {"partition_date", "partition_key"}
    | {"templates_dict", "test_mode", "ti", "tomorrow_ds", "tomorrow_ds_nodash", "triggering_asset_events"}
    | {"triggering_dataset_events", "ts", "ts_nodash", "ts_nodash_with_tz", "var", "yesterday_ds"}
    | {"yesterday_ds_nodash"}
)
"""Names that the context of a task has: parameters of these names need no argument."""

LATER_NAMES: Final = frozenset(
    {"asset_state_store", "ctx", "partition_date", "partition_key", "task_state_store", "triggering_asset_events"}
)
"""Those that came late: a file from before may have parameters of these names, with defaults of its own."""

_BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a signature asks for. Names, in its order; `required` have no default."""

    names: frozenset[str]
    positional: tuple[str, ...]
    by_name: tuple[str, ...]
    required: tuple[str, ...]
    takes_rest: bool

    def surely_takes(self, args: Sequence[Any], kwargs: Collection[str], *, filled: Collection[str] = ()) -> bool:
        """Whether a call with these fits without a doubt. False says nothing: ask the signature, which says why.

        `filled`: names that need no argument, and are no places for arguments without a name.
        """
        taken = self.positional[: len(args)]
        if len(taken) < len(args) or (args and not self.names.isdisjoint(filled)):
            return False
        for name in kwargs:
            if name in taken or not (name in self.by_name or (self.takes_rest and name not in self.positional)):
                return False
        return all(
            name in taken or (name in self.by_name and (name in kwargs or name in filled)) for name in self.required
        )


def asked_of(function: Callable[..., Any]) -> Asked | None:
    """None for builtins that tell nothing: only what was given is passed.

    A loop that defines a hundred thousand tasks makes as many functions of one code object, and each is called once a
    run: what the code asks for is kept, not what the function does, for `inspect.signature` takes 10 us.
    """
    if type(function) is FunctionType and not function.__dict__:  # else `__wrapped__` or `__signature__` may be there
        return _asked_by_code(
            function.__code__, len(function.__defaults__ or ()), frozenset(function.__kwdefaults__ or ())
        )
    try:
        return _asked_by_signature(function)
    except TypeError:  # a callable object that cannot be hashed
        return _asked_by_signature.__wrapped__(function)


@lru_cache(maxsize=4096)
def _asked_by_code(code: CodeType, defaults: int, named_defaults: frozenset[str]) -> Asked:
    positional = code.co_varnames[: code.co_argcount]
    only_by_name = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    flags = inspect.CO_VARARGS, inspect.CO_VARKEYWORDS
    parameters = len(positional) + len(only_by_name) + sum(bool(code.co_flags & flag) for flag in flags)
    return Asked(
        names=frozenset(code.co_varnames[:parameters]),
        positional=positional,
        by_name=positional[code.co_posonlyargcount :] + only_by_name,
        required=positional[: len(positional) - defaults]
        + tuple(name for name in only_by_name if name not in named_defaults),
        takes_rest=bool(code.co_flags & inspect.CO_VARKEYWORDS),
    )


@lru_cache(maxsize=4096)
def _asked_by_signature(function: Callable[..., Any]) -> Asked | None:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    return Asked(
        names=frozenset(p.name for p in parameters),
        positional=tuple(p.name for p in parameters if p.kind in _BY_POSITION),
        by_name=tuple(p.name for p in parameters if p.kind in _BY_NAME),
        required=tuple(p.name for p in parameters if p.default is p.empty and p.kind in {*_BY_POSITION, *_BY_NAME}),
        takes_rest=any(p.kind is p.VAR_KEYWORD for p in parameters),
    )


def has_own_default(function: Callable[..., Any], asked: Asked | None, name: str) -> bool:
    """Whether the parameter has a default other than None. `asked` is what `asked_of` gives."""
    if asked is None or name in asked.required or name not in asked.names:
        return False
    return inspect.signature(function).parameters[name].default is not None


def takes(function: Callable[..., Any], name: str) -> bool:
    """Whether the function has an argument of this name."""
    parameters = inspect.signature(function).parameters
    found = parameters.get(name)
    if found is not None:
        return found.kind in _BY_NAME
    return any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def check_call(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], where: str) -> None:
    """Checks, while the DAG is defined, that a call of a `@task` function can work.

    Parameters with names of the context need no argument, and may have no default but None: it would never count.
    Raises AuthoringError.
    """
    asked = asked_of(function)
    for name in () if asked is None else asked.by_name:
        if name in CONTEXT_NAMES and name not in LATER_NAMES and has_own_default(function, asked, name):
            raise AuthoringError(
                f"{where}: {name!r} is a name of the context, which is what it is given; it can't have a default "
                "other than None"
            )
    if asked is not None and asked.surely_takes(args, kwargs, filled=CONTEXT_NAMES):
        return
    signature = inspect.signature(function)
    relaxed = [p.replace(default=None) if _comes_from_context(p) else p for p in signature.parameters.values()]
    try:
        _with_parameters(relaxed).bind(*args, **kwargs)
    except TypeError as why:
        raise AuthoringError(f"{where}: {why}") from None


def _comes_from_context(parameter: inspect.Parameter) -> bool:
    return parameter.name in CONTEXT_NAMES and parameter.default is parameter.empty and parameter.kind in _BY_NAME


def _with_parameters(parameters: Sequence[inspect.Parameter]) -> inspect.Signature:
    """A signature of these, where a parameter that became optional may stand before required ones."""
    optional_seen = False
    ordered: list[inspect.Parameter] = []
    late: list[inspect.Parameter] = []
    for p in parameters:
        if p.kind in _BY_POSITION and p.name in CONTEXT_NAMES and p.default is None:
            late.append(p.replace(kind=inspect.Parameter.KEYWORD_ONLY))
            optional_seen = True
        else:
            ordered.append(p)
    if not optional_seen:
        return inspect.Signature(parameters)
    at = next((n for n, p in enumerate(ordered) if p.kind is p.VAR_KEYWORD), len(ordered))
    return inspect.Signature([*ordered[:at], *late, *ordered[at:]])
