"""`Operator.partial(…).expand(…)`: tasks that exist once for each of several values."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, cast
from weakref import WeakKeyDictionary

from tradewind.authoring.arguments import CHECKS, OLD_SPELLINGS, OperatorArguments
from tradewind.authoring.expand_input import (
    Element,
    ExpandInput,
    Mappable,
    MappableKwargs,
    check_names,
    check_no_duplicates,
    dicts_input,
    lists_input,
)
from tradewind.authoring.mapped_group import mapped_group_of, warn_of_group_results
from tradewind.authoring.open_partials import note_expanded, note_partial
from tradewind.authoring.operator import BaseOperator, defaults_for
from tradewind.authoring.scope import current_dag, detached
from tradewind.authoring.xcom_arg import Lookup, XComArg, iter_args, iter_xcom_refs
from tradewind.model.errors import AuthoringError
from tradewind.model.states import TriggerRule

_COMMON: Final = frozenset(OperatorArguments.__annotations__)
_PLACES: Final = ("task_id", "dag", "task_group", "default_args")
_OF_THE_CLASS: Final = ("template_fields", "template_ext", "template_fields_renderers", "ui_color", "ui_fgcolor")
_ADOPTED: Final = ("dag", "task_group", "upstream_task_ids", "downstream_task_ids", "is_setup", "is_teardown")


@dataclass(frozen=True, slots=True)
class MappedCall:
    """How the instances of a mapped task are made.

    `partial` are arguments of `operator_class` that all have in common. What an instance gets of `expand` joins
    them, or, where `into` is given, the dict under that name. `strict`: it may not replace any of them.
    """

    operator_class: type[BaseOperator]
    partial: Mapping[str, Any]
    expand: ExpandInput
    into: str | None = None
    strict: bool = True


class Unmapped(NamedTuple):
    """One instance as an operator, and what was found out on the way."""

    operator: BaseOperator
    element: Element


class MappedOperator(BaseOperator):
    """A task that is expanded at run time: an instance for each value, made of `mapped_call`."""

    is_mapped = True

    def __init__(self, *, mapped_call: MappedCall, **arguments: Any) -> None:
        self.mapped_call = mapped_call
        kind = mapped_call.operator_class
        for name in _OF_THE_CLASS:
            vars(self)[name] = getattr(kind, name)
        vars(self)["outcome_kind"] = kind.outcome_kind
        vars(self)["inherits_from_empty_operator"] = kind.inherits_from_empty_operator
        common = {name: value for name, value in mapped_call.partial.items() if name in _COMMON}
        super().__init__(**{**common, **arguments})
        self.default_args = dict(defaults_for(arguments))
        outer = mapped_group_of(self)
        if outer is not None:
            raise AuthoringError(
                f"task {self.task_id!r}: operator expansion in an expanded task group is not yet supported; "
                f"{outer.node_id!r} is mapped already"
            )
        warn_of_group_results(f"task {self.task_id!r}", mapped_call.expand)

    @property
    def operator_class(self) -> type[BaseOperator]:
        """The class of the instances."""
        return self.mapped_call.operator_class

    @property
    def partial_kwargs(self) -> Mapping[str, Any]:
        """The arguments that all instances have in common."""
        return self.mapped_call.partial

    @property
    def expand_input(self) -> ExpandInput:
        """What is mapped over."""
        return self.mapped_call.expand

    @property
    def task_type(self) -> str:
        """Name of the instances' class."""
        return self.operator_class.operator_name or self.operator_class.__name__

    @property
    def is_async(self) -> bool:
        """Whether instances wait on a loop, as far as the common arguments tell."""
        kind = self.operator_class
        pattern = kind.__new__(kind)
        vars(pattern).update(self.partial_kwargs)
        vars(pattern).setdefault("python_callable", self.partial_kwargs.get("function"))
        try:
            return pattern.is_async
        except AttributeError:  # it depends on an argument that is mapped over
            return inspect.iscoroutinefunction(kind.execute)

    def refs(self) -> Iterator[XComArg]:
        """All results that instances use: those that are mapped over, and those in common template fields."""
        yield from iter_args(self.expand_input.values)
        for name, value in self.partial_kwargs.items():
            if name in self.template_fields:
                yield from iter_args(value)

    def built(self) -> None:
        """Draws the edges of all that instances use."""
        for ref in iter_xcom_refs(list(self.refs())):
            if ref.operator is not self and ref.operator.task_id not in self.upstream_task_ids:
                self.set_upstream(ref.operator)

    def unmapped(self, index: int, lookup: Lookup) -> Unmapped:
        """The operator of the instance with this map index. Raises what its constructor raises."""
        if index < 0:
            raise AuthoringError(
                f"task {self.task_id!r} is mapped: say which instance is meant by its map index (0, 1 …)"
            )
        call = self.mapped_call
        element = call.expand.element(index, lookup)
        common = dict(call.partial)
        if call.into is None:
            _check_override(call, common, element.arguments)
            common.update(element.arguments)
        else:
            shared: Mapping[str, Any] = common.get(call.into) or {}
            _check_override(call, shared, element.arguments)
            common[call.into] = {**shared, **element.arguments}
        with detached():
            operator = call.operator_class(task_id=self.task_id, default_args=self.default_args, **common)
        mine = vars(self)
        for name in itertools.chain(_ADOPTED, CHECKS):
            if name in mine:
                vars(operator)[name] = mine[name]
        return Unmapped(operator, element)

    def __repr__(self) -> str:
        return f"<Mapped({self.task_type}): {self.task_id}>"


def _check_override(call: MappedCall, shared: Mapping[str, Any], mapped: Mapping[str, Any]) -> None:
    if call.strict:
        check_no_duplicates(shared, mapped, "unmappable or already specified")


class OperatorPartial:
    """What `Operator.partial(…)` gives: the common arguments of tasks that `.expand(…)` makes."""

    def __init__(self, operator_class: type[BaseOperator], arguments: Mapping[str, Any]) -> None:
        self.operator_class = operator_class
        self.arguments = {OLD_SPELLINGS.get(name, name): value for name, value in arguments.items()}
        if "task_id" not in arguments:
            raise AuthoringError(f"{operator_class.__name__}.partial(): missing keyword argument 'task_id'")
        self._name = f"{operator_class.__name__} {arguments['task_id']!r}"
        check_names(self._name, "partial", self._known, self.arguments)
        self._dag = _dag_of(arguments)
        note_partial(self._dag, self, self._name)

    def expand(self, **lists: Mappable) -> MappedOperator:
        """A task for each combination of the values. Raises AuthoringError."""
        if any(isinstance(value, XComArg) for value in lists.values()):
            check_not_always(self.arguments, "expand")
        self._check_unmappable(lists)
        found = lists_input(self._name, self._known, lists)
        missing = _required(self.operator_class) - self.arguments.keys() - lists.keys() - self._defaults().keys()
        if missing:
            raise AuthoringError(f"{self._name}: missing keyword argument {', '.join(map(repr, sorted(missing)))}")
        return self._made(found, strict=False)

    def expand_kwargs(self, kwargs: MappableKwargs, *, strict: bool = True) -> MappedOperator:
        """A task for each dict of arguments. `strict=False`: they may replace what `partial` has."""
        found = dicts_input(self._name, self._known, kwargs)
        literal = [] if isinstance(kwargs, XComArg) else [item for item in kwargs if not isinstance(item, XComArg)]
        if literal and any(True for item in literal for _ in iter_args(item)):
            check_not_always(self.arguments, "expand_kwargs")
        for item in literal:
            self._check_unmappable(item, strict=strict)
        return self._made(found, strict=strict)

    def _made(self, expand: ExpandInput, *, strict: bool) -> MappedOperator:
        note_expanded(self._dag, self)
        common = {name: value for name, value in self.arguments.items() if name not in _PLACES}
        places = {name: self.arguments[name] for name in _PLACES if name in self.arguments}
        return MappedOperator(mapped_call=MappedCall(self.operator_class, common, expand, None, strict), **places)

    def _known(self, name: str) -> bool:
        return name in known_arguments(self.operator_class)

    def _defaults(self) -> Mapping[str, Any]:
        return defaults_for(self.arguments)

    def _check_unmappable(self, mapped: Mapping[str, Any], *, strict: bool = True) -> None:
        again = self.arguments if strict else {}
        refused = sorted(name for name in mapped if name in _COMMON or name in again)
        if refused:
            plural = "s" if len(refused) > 1 else ""
            raise AuthoringError(
                f"{self._name}: unmappable or already specified argument{plural}: {', '.join(refused)}. What the "
                "scheduler needs is the same for all instances, and nothing can be in partial() and expanded too"
            )

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        return f"{self.operator_class.__name__}.partial({given})"


def check_not_always(arguments: Mapping[str, Any], method: str) -> None:
    """Raises AuthoringError for a mapping over results of tasks that would not wait for them."""
    if arguments.get("trigger_rule") in (TriggerRule.ALWAYS, TriggerRule.ALWAYS.value):
        raise AuthoringError(
            f"task {arguments.get('task_id')!r}: Task-generated mapping within a task using {method!r} is not allowed "
            "with trigger rule 'always'"
        )


def _dag_of(arguments: Mapping[str, Any]) -> Any:
    group = arguments.get("task_group")
    return arguments.get("dag") or (group.dag if group is not None else current_dag())


def known_arguments(kind: type[BaseOperator]) -> frozenset[str]:
    """All arguments that the constructors of a class and its bases name."""
    found = _known.get(kind)
    if found is None:
        found = _known[kind] = _known_arguments(kind)
    return found


_known: WeakKeyDictionary[type[BaseOperator], frozenset[str]] = WeakKeyDictionary()


def _known_arguments(kind: type[BaseOperator]) -> frozenset[str]:
    names = set(_COMMON) | OLD_SPELLINGS.keys()
    for parent in kind.__mro__:
        if issubclass(parent, BaseOperator) and "__init__" in parent.__dict__:
            names.update(parameter.name for parameter in _named(parent))
            names.update(parent.__dict__.get("own_arguments", ()))
    return frozenset(names)


def _required(kind: type[BaseOperator]) -> frozenset[str]:
    """The arguments that the class's constructor cannot do without."""
    return frozenset(p.name for p in _named(kind) if p.default is p.empty)


def _named(kind: type[BaseOperator]) -> Sequence[inspect.Parameter]:
    init = cast("Callable[..., None]", kind.__init__)
    parameters = list(inspect.signature(init).parameters.values())[1:]
    return [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
