"""References to what a task will return: passing one on draws the edge and delivers the value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from tradewind.authoring.lazy_xcoms import ConcatenatedValues, MappedValues, ZippedValues, mappable
from tradewind.authoring.nodes import Dependencies, Dependency, EdgeText, TaskNode
from tradewind.model.errors import AuthoringError, SkipTask
from tradewind.model.outcomes import RETURN_KEY
from tradewind.model.specs import Json

if TYPE_CHECKING:
    _AnyValue = Any
else:
    _AnyValue = object

Lookup = Callable[["XComArg"], object]
"""At run time: the value of a reference that is fetched as a whole."""
Function = Callable[[Any], Any]

_LEAVES = frozenset({str, int, float, bool, bytes, type(None)})
_NO_FILL: Final[Any] = object()


class XComArg(Dependency, _AnyValue):  # type: ignore[misc]  # stands for a value of any type in the arguments of @task functions
    """The future value of `key` of a task; by default what the task returns.

    Usable wherever a task is (`>>`, `chain`) and wherever its value is wanted: as argument of a
    `@task` function, in `op_args`, in template fields, in nested lists and dicts, in `.expand(…)`. `result["a"]` is
    the value under key `a` of a task with `multiple_outputs`. As text it is the Jinja expression
    that pulls the value, so f-strings in template fields work.
    """

    operator: TaskNode
    key: str

    def __init__(self, operator: TaskNode, key: str = RETURN_KEY) -> None:
        self.operator = operator
        self.key = key

    @property
    def roots(self) -> Sequence[TaskNode]:
        """The tasks that make the value."""
        return (self.operator,)

    @property
    def leaves(self) -> Sequence[TaskNode]:
        """The tasks that make the value."""
        return self.roots

    def set_upstream(self, other: Dependencies, edge_modifier: EdgeText | None = None) -> None:
        """Makes `other` run before the tasks that make the value."""
        for task in self.roots:
            task.set_upstream(other, edge_modifier)

    def set_downstream(self, other: Dependencies, edge_modifier: EdgeText | None = None) -> None:
        """Makes `other` run after the tasks that make the value."""
        for task in self.roots:
            task.set_downstream(other, edge_modifier)

    # ------------------------------------------------------------------ what can be made of it

    def map(self, function: Function) -> XComArg:
        """The values with a function applied to each, in the task that uses them: `files.map(Path)`.

        A function that raises SkipTask skips the instance that is mapped over the value.
        """
        return MapXComArg(self, (_plain_function(function, "map"),))

    def filter(self, function: Function) -> XComArg:
        """The same values; an instance mapped over one for which the function is false is skipped."""
        return MapXComArg(self, (_Keep(_plain_function(function, "filter")),))

    def zip(self, *others: XComArg, fillvalue: Any = _NO_FILL) -> XComArg:
        """Tuples of the values at the same place; with `fillvalue` as many as the longest has."""
        parts = _parts(self, others, "zip")
        return ZipXComArg(parts, None if fillvalue is _NO_FILL else (fillvalue,)) if others else self

    def concat(self, *others: XComArg) -> XComArg:
        """The values of this, then those of the others."""
        return ConcatXComArg(_parts(self, others, "concat")) if others else self

    # ------------------------------------------------------------------ how it is resolved

    def references(self) -> Iterator[XComArg]:
        """The plain references that the value is computed from; itself, for a plain one."""
        yield self

    def pulled(self) -> Iterator[XComArg]:
        """What has to be looked up at run time; each is an argument of the `lookup` of `resolved`."""
        yield self

    def resolved(self, lookup: Lookup) -> object:
        """The value, taken from `lookup` for each reference that is looked up."""
        return lookup(self)

    def length(self) -> Json:
        """How many values there will be, as a length expression of `TaskSpec.expands`."""
        return {"of": self.operator.task_id, "key": self.key}

    # ------------------------------------------------------------------ setups

    def as_setup(self) -> XComArg:
        """Marks the task as a setup."""
        cast("Any", self.operator).as_setup()
        return self

    def as_teardown(self, **arguments: Any) -> XComArg:
        """Marks the task as a teardown; arguments as of `BaseOperator.as_teardown`."""
        cast("Any", self.operator).as_teardown(**arguments)
        return self

    def __enter__(self) -> XComArg:
        cast("Any", self.operator).__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        cast("Any", self.operator).__exit__(*exc)

    # ------------------------------------------------------------------ as a value

    def __getitem__(self, key: str) -> XComArg:
        if not isinstance(key, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # from user code, often untyped
            raise AuthoringError(
                f"task {self.operator.task_id!r}: its result is not there while the DAG is being defined; "
                f"[{key!r}] is only possible with a text (a key of multiple_outputs) or inside a task"
            )
        return XComArg(self.operator, key)

    def __iter__(self) -> Iterator[Any]:
        raise TypeError(
            f"task {self.operator.task_id!r}: its result is not there while the DAG is being defined, so it cannot be "
            "looped over here; hand it to a task, or map over it with .expand()"
        )

    def __getattr__(self, name: str) -> Any:
        if name in ("expand", "expand_kwargs", "partial", "override"):
            raise AttributeError(
                f"{self!r} has no .{name}(): the task has been made already. Ask the function itself, without calling "
                f"it first: {self.operator.task_id}.{name}(…)"
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __eq__(self, other: object) -> bool:
        return type(other) is XComArg and self.operator is other.operator and self.key == other.key

    def __hash__(self) -> int:
        return hash((id(self.operator), self.key))

    def __repr__(self) -> str:
        key = "" if self.key == RETURN_KEY else f", key={self.key!r}"
        return f"XComArg({self.operator.task_id!r}{key})"

    def __str__(self) -> str:
        text = f"task_ids='{self.operator.task_id}'"
        if self.operator.dag is not None:
            text += f", dag_id='{self.operator.dag.dag_id}'"
        if self.key != RETURN_KEY:
            text += f", key='{self.key}'"
        return f"{{{{ task_instance.xcom_pull({text}) }}}}"


class DerivedXComArg(XComArg):
    """Values computed from those of other references, where they are used."""

    def __init__(self, parts: Sequence[XComArg]) -> None:
        self.parts = tuple(parts)
        super().__init__(parts[0].operator)

    @property
    def roots(self) -> Sequence[TaskNode]:
        """The tasks that make the values, each once."""
        return list({id(ref.operator): ref.operator for ref in self.references()}.values())

    def references(self) -> Iterator[XComArg]:
        """The plain references of all parts."""
        return (ref for part in self.parts for ref in part.references())

    def pulled(self) -> Iterator[XComArg]:
        """What the parts need."""
        return (ref for part in self.parts for ref in part.pulled())

    def values(self, lookup: Lookup, what: str) -> list[Sequence[Any]]:
        """The values of the parts. Raises TypeError where one is no list or dict."""
        return [mappable(part.resolved(lookup), f"{what} over {part!r}") for part in self.parts]

    def __getitem__(self, key: str) -> XComArg:
        raise AuthoringError(f"{self!r} has no keys: take [{key!r}] of the task's own result")

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.parts))})"

    def __str__(self) -> str:
        raise AuthoringError(f"{self!r} cannot stand in a text: hand it to a task as an argument")


class MapXComArg(DerivedXComArg):
    """`reference.map(function)`."""

    def __init__(self, part: XComArg, functions: Sequence[Function]) -> None:
        super().__init__((part,))
        self.functions = tuple(functions)

    def map(self, function: Function) -> XComArg:
        """One function after the other."""
        return MapXComArg(self.parts[0], (*self.functions, _plain_function(function, "map")))

    def resolved(self, lookup: Lookup) -> object:
        """The values; the functions are called when one is looked at."""
        return MappedValues(self.values(lookup, "map()")[0], self.functions)

    def length(self) -> Json:
        """As many as are mapped."""
        return self.parts[0].length()


class ZipXComArg(DerivedXComArg):
    """`reference.zip(other, …)`."""

    def __init__(self, parts: Sequence[XComArg], fill: tuple[Any] | None = None) -> None:
        super().__init__(parts)
        self.fill = fill

    def resolved(self, lookup: Lookup) -> object:
        """The tuples."""
        return ZippedValues(self.values(lookup, "zip()"), self.fill)

    def length(self) -> Json:
        """The shortest, or with a fill value the longest."""
        return {"min" if self.fill is None else "max": [part.length() for part in self.parts]}


class ConcatXComArg(DerivedXComArg):
    """`reference.concat(other, …)`."""

    def concat(self, *others: XComArg) -> XComArg:
        """More at the end."""
        return ConcatXComArg((*self.parts, *_parts(self, others, "concat")[1:]))

    def resolved(self, lookup: Lookup) -> object:
        """The values of all parts."""
        return ConcatenatedValues(self.values(lookup, "concat()"))

    def length(self) -> Json:
        """All together."""
        return {"sum": [part.length() for part in self.parts]}


class _Keep:
    """A function that hands its argument on, or skips the instance."""

    def __init__(self, function: Function) -> None:
        self.function = function

    def __call__(self, value: Any) -> Any:
        if not self.function(value):
            name = getattr(self.function, "__name__", repr(self.function))
            raise SkipTask(f"filter {name}() is false for this value")
        return value


def _plain_function(function: object, method: str) -> Function:
    if hasattr(function, "expand") and hasattr(function, "override"):
        raise AuthoringError(f"{method}() argument must be a plain function, not a @task operator: {function!r}")
    if not callable(function):
        raise AuthoringError(f"{method}() needs a function, not {function!r}")
    return cast("Function", function)


def _parts(first: XComArg, others: Sequence[object], method: str) -> list[XComArg]:
    for other in others:
        if not isinstance(other, XComArg):
            raise AuthoringError(
                f"{method}() takes results of other tasks, not {type(other).__name__} {other!r}; "
                "make literal values the result of a @task function"
            )
    return [first, *cast("Sequence[XComArg]", others)]


def iter_xcom_refs(value: object) -> Iterator[XComArg]:
    """Every plain reference in `value`, however deep in lists, tuples, sets, dicts and templated objects."""
    for found in iter_args(value):
        yield from found.references()


def iter_args(value: object) -> Iterator[XComArg]:
    """Every reference in `value`, as it was passed."""
    kind = type(value)
    if kind in _LEAVES:
        return
    if isinstance(value, XComArg):
        yield value
    elif isinstance(value, Mapping):
        for item in cast("Mapping[object, object]", value).values():
            yield from iter_args(item)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in cast("Sequence[object]", value):
            yield from iter_args(item)
    elif kind is not type and hasattr(kind, "template_fields") and not isinstance(value, TaskNode):
        for name in cast("Sequence[str]", cast("Any", value).template_fields):
            yield from iter_args(getattr(value, name, None))


def resolve(value: object, lookup: Lookup) -> object:
    """`value` with every reference replaced by `lookup(reference)`.

    Containers that hold no reference are returned as they are; the others are copied, so the
    operator of the DAG file keeps its references for the next run.
    """
    kind = type(value)
    if kind in _LEAVES:
        return value
    if isinstance(value, XComArg):
        return value.resolved(lookup)
    if isinstance(value, dict):
        pairs = cast("dict[object, object]", value)
        changed = {k: resolve(v, lookup) for k, v in pairs.items()}
        return pairs if all(changed[k] is v for k, v in pairs.items()) else changed
    if isinstance(value, (list, tuple, set, frozenset)):
        items = list(cast("Sequence[object]", value))
        resolved = [resolve(item, lookup) for item in items]
        if all(new is old for new, old in zip(resolved, items, strict=True)):
            return cast("object", value)
        make = cast("Callable[[list[object]], object]", getattr(kind, "_make", kind))
        return make(resolved)
    return value
