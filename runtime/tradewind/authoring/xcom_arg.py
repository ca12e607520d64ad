"""References to what a task will return: passing one on draws the edge and delivers the value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from tradewind.authoring.nodes import Dependencies, Dependency, EdgeText, TaskNode
from tradewind.model.errors import AuthoringError
from tradewind.model.outcomes import RETURN_KEY

if TYPE_CHECKING:
    _AnyValue = Any
else:
    _AnyValue = object

_LEAVES = frozenset({str, int, float, bool, bytes, type(None)})


class XComArg(Dependency, _AnyValue):  # type: ignore[misc]  # stands for a value of any type in the arguments of @task functions
    """The future value of `key` of a task; by default what the task returns.

    Usable wherever a task is (`>>`, `chain`) and wherever its value is wanted: as argument of a
    `@task` function, in `op_args`, in template fields, in nested lists and dicts. `result["a"]` is
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
        """The task that makes the value."""
        return (self.operator,)

    @property
    def leaves(self) -> Sequence[TaskNode]:
        """The task that makes the value."""
        return (self.operator,)

    def set_upstream(self, other: Dependencies, label: EdgeText | None = None) -> None:
        """Makes `other` run before the task that makes the value."""
        self.operator.set_upstream(other, label)

    def set_downstream(self, other: Dependencies, label: EdgeText | None = None) -> None:
        """Makes `other` run after the task that makes the value."""
        self.operator.set_downstream(other, label)

    def references(self) -> Iterator[XComArg]:
        """The plain references that the value is computed from; itself, for a plain one."""
        yield self

    def resolved(self, lookup: Callable[[XComArg], object]) -> object:
        """The value, taken from `lookup` for each plain reference."""
        return lookup(self)

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

    def __eq__(self, other: object) -> bool:
        return isinstance(other, XComArg) and self.operator is other.operator and self.key == other.key

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


def iter_xcom_refs(value: object) -> Iterator[XComArg]:
    """Every plain reference in `value`, however deep in lists, tuples, sets, dicts and templated objects."""
    kind = type(value)
    if kind in _LEAVES:
        return
    if isinstance(value, XComArg):
        yield from value.references()
    elif isinstance(value, Mapping):
        for item in cast("Mapping[object, object]", value).values():
            yield from iter_xcom_refs(item)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in cast("Sequence[object]", value):
            yield from iter_xcom_refs(item)
    elif kind is not type and hasattr(kind, "template_fields") and not isinstance(value, TaskNode):
        for name in cast("Sequence[str]", cast("Any", value).template_fields):
            yield from iter_xcom_refs(getattr(value, name, None))


def resolve(value: object, lookup: Callable[[XComArg], object]) -> object:
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
