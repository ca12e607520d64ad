"""What a task or a group is mapped over, and which part of it one instance gets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any, Final, NamedTuple, Protocol, TypeAlias, cast

from tradewind.authoring.lazy_xcoms import is_mappable, mappable
from tradewind.authoring.nodes import TaskNode
from tradewind.authoring.xcom_arg import Lookup, XComArg, iter_xcom_refs
from tradewind.model.errors import AuthoringError
from tradewind.model.specs import Json

Mappable: TypeAlias = Sequence[Any] | Mapping[Any, Any] | XComArg
"""What `.expand(name=…)` takes: a list, a dict (for its pairs), or the result of another task."""
MappableKwargs: TypeAlias = Sequence[Mapping[str, Any] | XComArg] | XComArg
"""What `.expand_kwargs(…)` takes."""


class Element(NamedTuple):
    """The arguments of one instance. `pulled`: those of its values that other tasks made; they are no templates.

    `total`: how many instances there are.
    """

    arguments: dict[str, Any]
    pulled: tuple[object, ...]
    total: int


class ExpandInput(Protocol):
    """What is mapped over."""

    @property
    def values(self) -> object:
        """As it was written."""
        ...

    def args(self) -> Iterator[XComArg]:
        """The references that are mapped over: the instances exist once these have their values."""
        ...

    def length(self) -> Json:
        """How many instances there will be, as a length expression of `TaskSpec.expands`."""
        ...

    def element(self, index: int, lookup: Lookup) -> Element:
        """What the instance with this map index gets. Raises TypeError for what cannot be mapped over."""
        ...


class ListsInput:
    """`.expand(a=…, b=…)`: every combination, the last argument varies fastest."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = dict(values)

    def args(self) -> Iterator[XComArg]:
        """The references among the arguments."""
        return (value for value in self.values.values() if isinstance(value, XComArg))

    def length(self) -> Json:
        """The product of the lengths."""
        lengths = [_length(value) for value in self.values.values()]
        return lengths[0] if len(lengths) == 1 else {"product": lengths}

    def element(self, index: int, lookup: Lookup) -> Element:
        """One combination."""
        found: dict[str, Any] = {}
        pulled: list[object] = []
        total = 1
        for name, value in reversed(self.values.items()):
            is_pulled = isinstance(value, XComArg)
            column = mappable(value.resolved(lookup) if isinstance(value, XComArg) else value, f"expand({name}=…)")
            count = len(column)
            if not count:
                raise IndexError(f"expand({name}=…): there is nothing to map over any more")
            found[name] = column[index % count]
            if is_pulled:
                found[name] = deepcopy(found[name])  # other instances may hold the same value
                pulled.append(found[name])
            index //= count
            total *= count
        if index:
            raise IndexError(f"expand(): the values that are mapped over have become fewer; now there are {total}")
        return Element({name: found[name] for name in self.values}, tuple(pulled), total)


class DictsInput:
    """`.expand_kwargs(…)`: each dict is the arguments of one instance."""

    def __init__(self, values: Any) -> None:
        self.values: Any = values

    def args(self) -> Iterator[XComArg]:
        """The references that dicts come from."""
        if isinstance(self.values, XComArg):
            yield self.values
        else:
            yield from (item for item in self.values if isinstance(item, XComArg))

    def length(self) -> Json:
        """How many dicts."""
        return _length(self.values)

    def element(self, index: int, lookup: Lookup) -> Element:
        """One of the dicts. Raises TypeError where it is none."""
        is_pulled = isinstance(self.values, XComArg)
        items: Any = self.values.resolved(lookup) if isinstance(self.values, XComArg) else self.values
        if isinstance(items, Mapping) or not is_mappable(items):
            raise TypeError(f"expand_kwargs() expects a list[dict], not {type(cast('object', items)).__name__}")
        listed = cast("Sequence[Any]", items)
        item: Any = listed[index]
        if isinstance(item, XComArg):
            item, is_pulled = item.resolved(lookup), True
        if not isinstance(item, Mapping):
            raise TypeError(f"expand_kwargs() expects a list[dict], not list[{type(item).__name__}]")
        arguments = cast("Mapping[object, Any]", item)
        for key in arguments:
            if not isinstance(key, str):
                raise TypeError(f"expand_kwargs(): the keys name arguments, so they have to be texts, not {key!r}")
        found = cast("dict[str, Any]", deepcopy(dict(arguments)) if is_pulled else dict(arguments))
        return Element(found, tuple(found.values()) if is_pulled else (), len(listed))


def _length(value: object) -> Json:
    return value.length() if isinstance(value, XComArg) else {"n": len(cast("Sequence[Any]", value))}


NOT_GIVEN: Final[Any] = object()


class MappedArgument(XComArg):
    """Inside a mapped task group: what the group's function was given, different in each of its instances."""

    def __init__(self, source: ExpandInput, name: str, default: Any = NOT_GIVEN) -> None:
        self.source = source
        self.name = name
        self.default = default

    @property
    def roots(self) -> Sequence[TaskNode]:
        """The tasks that make what the group is mapped over."""
        return list({id(ref.operator): ref.operator for ref in self.references()}.values())

    def references(self) -> Iterator[XComArg]:
        """All that the group is mapped over."""
        return iter_xcom_refs(self.source.values)

    def element(self, index: int, lookup: Lookup) -> Element:
        """The arguments of one instance of the group. Raises AuthoringError without a map index."""
        if index < 0:
            raise AuthoringError(
                f"argument {self.name!r}: the task is in a mapped group, so say which instance is meant (0, 1 …)"
            )
        return self.source.element(index, lookup)

    def of(self, element: Element) -> Any:
        """The argument's value in one instance. Raises KeyError."""
        value = element.arguments.get(self.name, self.default)
        if value is NOT_GIVEN:
            raise KeyError(f"expand_kwargs(): this instance has no argument {self.name!r}, and it has no default")
        return value

    def length(self) -> Json:
        """There is none: raises AuthoringError."""
        raise AuthoringError(
            f"argument {self.name!r}: operator expansion in an expanded task group is not yet supported; "
            "expand before the group, or after it"
        )

    def __getitem__(self, key: str) -> XComArg:
        raise AuthoringError(f"argument {self.name!r} of a mapped group has no keys before it runs; use .map(…)")

    def __iter__(self) -> Iterator[Any]:
        raise TypeError(
            f"argument {self.name!r} of a mapped group has no value while the DAG is being defined; hand it to a task"
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MappedArgument) and other.source is self.source and other.name == self.name

    def __hash__(self) -> int:
        return hash((id(self.source), self.name))

    def __repr__(self) -> str:
        return f"MappedArgument({self.name!r})"

    def __str__(self) -> str:
        raise AuthoringError(f"{self!r} cannot stand in a text: hand it to a task as an argument")


# ------------------------------------------------------------------------------- checks while the DAG is defined


def lists_input(owner: str, known: Callable[[str], bool], lists: Mapping[str, Any]) -> ListsInput:
    """The input of `.expand(…)`. `known` says which arguments there are. Raises AuthoringError."""
    if not lists:
        raise AuthoringError(f"{owner}.expand(): no arguments to expand against")
    check_names(owner, "expand", known, lists)
    for name, value in lists.items():
        if not isinstance(value, XComArg) and not is_mappable(value):
            raise AuthoringError(
                f"{owner}.expand() got an unexpected type {type(value).__name__!r} for keyword argument {name!r}; "
                "it takes a list, a dict or the result of a task. What is the same for all instances goes to .partial()"
            )
    return ListsInput(lists)


def dicts_input(owner: str, known: Callable[[str], bool], values: Any) -> DictsInput:
    """The input of `.expand_kwargs(…)`. Raises AuthoringError."""
    if not isinstance(values, XComArg):
        if not is_mappable(values) or isinstance(values, Mapping):
            kind = type(cast("object", values)).__name__
            raise AuthoringError(f"{owner}.expand_kwargs(): expected XComArg or list[dict], not {kind}")
        for item in cast("Sequence[object]", values):
            if isinstance(item, Mapping):
                check_names(owner, "expand_kwargs", known, cast("Mapping[str, Any]", item))
            elif not isinstance(item, XComArg):
                kind = type(item).__name__
                raise AuthoringError(f"{owner}.expand_kwargs(): expected XComArg or list[dict], not list[{kind}]")
    return DictsInput(values)


def check_names(owner: str, method: str, known: Callable[[str], bool], given: Mapping[str, Any]) -> None:
    """Raises AuthoringError naming arguments that the operator or function does not have."""
    unknown = [name for name in given if not known(name)]
    if len(unknown) == 1:
        raise AuthoringError(f"{owner}.{method}() got an unexpected keyword argument {unknown[0]!r}")
    if unknown:
        raise AuthoringError(f"{owner}.{method}() got unexpected keyword arguments {', '.join(map(repr, unknown))}")


def check_no_duplicates(first: Mapping[str, Any], second: Mapping[str, Any], reason: str) -> None:
    """Raises AuthoringError naming the arguments that both have."""
    both = sorted(first.keys() & second.keys())
    if both:
        raise AuthoringError(f"{reason} argument{'s' if len(both) > 1 else ''}: {', '.join(both)}")
