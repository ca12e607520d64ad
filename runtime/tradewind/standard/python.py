"""Tasks that call a Python function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, ClassVar, Final, TypedDict, Unpack, cast

from tradewind.authoring.arguments import OperatorArguments
from tradewind.authoring.dag_arguments import texts_needed
from tradewind.authoring.operator import BaseOperator, OutcomeForm
from tradewind.authoring.python_call import call_function
from tradewind.authoring.signatures import check_call
from tradewind.model.errors import AuthoringError

LOGGED_VALUE_MAX: Final = 5_000
"""Characters of a returned value that the attempt's log shows."""


class CallSettings(TypedDict, total=False):
    """What the function is called with, and how that is rendered and logged."""

    op_args: Collection[Any] | None
    op_kwargs: Mapping[str, Any] | None
    templates_dict: dict[str, Any] | None
    templates_exts: Collection[str] | None
    show_return_value_in_logs: bool


class PythonArguments(CallSettings, OperatorArguments, total=False):
    """All arguments of `PythonOperator` beside the function."""


class PythonOperator(BaseOperator):
    """Calls `python_callable(*op_args, **op_kwargs)`; what it returns is the task's result.

    The function gets those values of the context that its signature names (`ds`, `ti`, `params` …),
    all of them where it has `**kwargs`, and `templates_dict` where given. An `async def` function
    runs as a coroutine on the event loop, a plain one in a process of its own.
    """

    template_fields: Sequence[str] = ("templates_dict", "op_args", "op_kwargs")
    template_fields_renderers: ClassVar[Mapping[str, str]] = {
        "templates_dict": "json",
        "op_args": "py",
        "op_kwargs": "py",
    }
    ui_color = "#ffefeb"
    own_arguments: ClassVar[frozenset[str]] = frozenset(CallSettings.__annotations__)

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        **arguments: Unpack[PythonArguments],
    ) -> None:
        given = cast("dict[str, Any]", arguments)
        own = {name: given.pop(name) for name in CallSettings.__annotations__.keys() & given.keys()}
        if not callable(python_callable):
            owner = f"{type(self).__name__} (task_id: {arguments.get('task_id')})"
            raise AuthoringError(f"{owner}: `python_callable` param must be callable, not {python_callable!r}")
        super().__init__(**given)
        self.python_callable = python_callable
        self.op_args: Collection[Any] = _or(own.get("op_args"), [])
        self.op_kwargs: Mapping[str, Any] = _or(own.get("op_kwargs"), {})
        self.templates_dict: dict[str, Any] | None = own.get("templates_dict")
        self.show_return_value_in_logs: bool = own.get("show_return_value_in_logs", True)
        if own.get("templates_exts"):
            texts_needed(own["templates_exts"], f"{type(self).__name__} {self.task_id!r}: templates_exts")
            self.template_ext = tuple(own["templates_exts"])

    @property
    def is_async(self) -> bool:
        """Whether the function is a coroutine function."""
        return is_async_callable(self.python_callable)

    def execute(self, context: Any) -> Any:
        """Calls the function; for an `async def` function returns the awaitable of its result."""
        return self.call(context)

    def call(self, context: Mapping[str, Any]) -> Any:
        """The call itself, with the arguments that the signature asks for."""
        offered = context
        if self.templates_dict is not None:
            offered = {**context, "templates_dict": self.templates_dict}
        return call_function(self.python_callable, list(self.op_args), self.op_kwargs, offered)

    def result_note(self, value: object) -> str:
        """What the attempt's log says about the returned value."""
        if not self.show_return_value_in_logs:
            return "Done. Returned value not shown"
        try:
            text = str(value)
        except Exception as why:
            return (
                f"Done. Returned value is of a kind ({type(value).__name__}) that cannot be shown: {type(why).__name__}"
            )
        if len(text) > LOGGED_VALUE_MAX:
            text = f"{text[:LOGGED_VALUE_MAX]}… ({len(text):,} characters)"
        return f"Done. Returned value was: {text}"


class BranchPythonOperator(PythonOperator):
    """Calls a function that returns the id of the task to go on with, or a list of ids.

    All other tasks directly downstream are skipped. Ids of task groups stand for what the group
    begins with; None or an empty list skips all.
    """

    outcome_kind: ClassVar[OutcomeForm] = "branch"


class ShortCircuitOperator(PythonOperator):
    """Calls a function; if the result is false, what follows is skipped.

    With `ignore_downstream_trigger_rules=False` only the tasks directly downstream are skipped,
    and the trigger rules of the later ones decide about them.
    """

    outcome_kind: ClassVar[OutcomeForm] = "short_circuit"

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        ignore_downstream_trigger_rules: bool = True,
        **arguments: Unpack[PythonArguments],
    ) -> None:
        super().__init__(python_callable=python_callable, **arguments)
        self.ignore_downstream_trigger_rules = ignore_downstream_trigger_rules


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value


def is_async_callable(function: Callable[..., Any]) -> bool:
    """Whether calling it gives a coroutine: functions, partials and objects with an async `__call__`."""
    while hasattr(function, "func") and hasattr(function, "keywords"):
        function = cast("Any", function).func
    if inspect.isasyncgenfunction(function):
        return True
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004


class FunctionTask(PythonOperator):
    """What a decorated function becomes: goes before the operator class that carries it out."""

    def __init__(self, *, function: Callable[..., Any], op_args: Any, op_kwargs: Any, **arguments: Any) -> None:
        check_call(function, op_args, op_kwargs, f"{self.operator_name} {arguments.get('task_id')!r}")
        super().__init__(python_callable=function, op_args=op_args, op_kwargs=op_kwargs, **arguments)
