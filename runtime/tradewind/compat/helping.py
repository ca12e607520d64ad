"""Functions that provider packages and DAG files take from `airflow.utils`, and bases of what has no place here."""

from __future__ import annotations

import getpass
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, ClassVar, Final, NamedTuple, TypeVar, cast

T = TypeVar("T")

XCOM_RETURN_KEY: Final = "return_value"
_TRUE: Final = frozenset({"on", "t", "true", "y", "yes", "1"})


def to_boolean(text: str | None) -> bool:
    """Whether the text says yes."""
    return text is not None and text.strip().lower() in _TRUE


def getuser() -> str:
    """The name of the user that this process runs as."""
    return getpass.getuser()


def exactly_one(*given: object) -> bool:
    """Whether one of the values is true, and no other."""
    return sum(map(bool, given)) == 1


def at_most_one(*given: object) -> bool:
    """Whether not more than one of the values is given (neither None nor not set)."""
    from tradewind.compat.words import ArgNotSet

    return sum(value is not None and not isinstance(value, ArgNotSet) for value in given) <= 1


def is_container(value: object) -> bool:
    """Whether it can be iterated over and is no text."""
    return hasattr(value, "__iter__") and not isinstance(value, str)


def as_tuple(value: object) -> tuple[Any, ...]:
    """A container as a tuple, anything else as a tuple of it."""
    return tuple(cast("Iterable[Any]", value)) if is_container(value) else (value,)


def chunks(items: Sequence[T], chunk_size: int) -> Iterator[Sequence[T]]:
    """The items in pieces of this size. Raises ValueError below 1."""
    if chunk_size <= 0:
        raise ValueError("Chunk size must be a positive integer")
    for start in range(0, len(items), chunk_size):
        yield items[start : start + chunk_size]


def convert_camel_to_snake(name: str) -> str:
    """`SomeName` as `some_name`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def merge_dicts(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Both, the second's values over the first's, dicts in them merged in the same way."""
    merged = dict(first)
    for key, value in second.items():
        mine: object = merged.get(key)
        if isinstance(mine, Mapping) and isinstance(value, Mapping):
            value = merge_dicts(cast("Mapping[str, Any]", mine), cast("Mapping[str, Any]", value))
        merged[key] = value
    return merged


def prune_dict(value: Any, mode: str = "strict") -> Any:
    """Without what is None (`strict`) or empty (`truthy`), in all dicts and lists inside."""

    def is_kept(item: object) -> bool:
        return item is not None if mode == "strict" else bool(item)

    inner: Any = value
    if isinstance(value, Mapping):
        return {key: pruned for key, item in inner.items() if is_kept(pruned := prune_dict(item, mode))}
    if isinstance(value, list):
        return [pruned for item in inner if is_kept(pruned := prune_dict(item, mode))]
    return value


def determine_kwargs(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the keyword arguments that the function takes beside its positional ones."""
    parameters = inspect.signature(function).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return dict(kwargs)
    names = [p.name for p in parameters if p.kind is not p.VAR_POSITIONAL][len(args) :]
    return {name: kwargs[name] for name in names if name in kwargs}


class HookLineage(NamedTuple):
    """What hooks have said about the data they touch."""

    inputs: Sequence[Any] = ()
    outputs: Sequence[Any] = ()
    extra: Sequence[Any] = ()


class NoCollector:
    """Takes what hooks say about the data they touch, and keeps none of it."""

    has_collected = False
    _extra: ClassVar[Mapping[str, Any]] = {}

    @property
    def collected_assets(self) -> HookLineage:
        """Nothing."""
        return HookLineage()

    collected_datasets = collected_assets

    def create_asset(self, *args: Any, **kwargs: Any) -> None:
        """Makes none."""

    def add_input_asset(self, *args: Any, **kwargs: Any) -> None:
        """Does nothing."""

    def add_output_asset(self, *args: Any, **kwargs: Any) -> None:
        """Does nothing."""

    def add_extra(self, *args: Any, **kwargs: Any) -> None:
        """Does nothing."""

    create_dataset = create_asset
    add_input_dataset = add_input_asset
    add_output_dataset = add_output_asset


def get_hook_lineage_collector() -> NoCollector:
    """The collector of this process."""
    return NoCollector()


class TriggerFailureReason(StrEnum):
    """What `resume_execution` finds as `error` where the wait has failed."""

    TRIGGER_TIMEOUT = "Trigger timeout"
    TRIGGER_FAILURE = "Trigger failure"
