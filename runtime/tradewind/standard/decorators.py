"""`task`, with all its kinds: `@task`, `@task.bash`, `@task.branch`, `@task.sensor`, `@task.virtualenv` and more."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, TypeVar, Unpack, cast, overload

from tradewind.authoring.dag import DAG
from tradewind.authoring.provider_packages import task_decorator
from tradewind.authoring.python_call import call_function
from tradewind.authoring.sensor import BaseSensorOperator, PokeReturnValue, SensorOptions
from tradewind.authoring.signatures import check_call
from tradewind.authoring.taskflow import TaskDecorator, TaskFunction, TaskOptions
from tradewind.authoring.templating import render_template
from tradewind.model.errors import AuthoringError, TaskFailed
from tradewind.standard import conditions
from tradewind.standard.bash import BashOperator, BashSettings
from tradewind.standard.python import BranchPythonOperator, FunctionTask, ShortCircuitOperator, is_async_callable

if TYPE_CHECKING:
    from tradewind.standard.virtualenv_decorators import ExternalPythonTaskDecorator, VirtualenvTaskDecorator

P = ParamSpec("P")
R = TypeVar("R")


class _Called:
    """The function and the arguments of a call, kept on the operator as fields that are rendered."""

    python_callable: Callable[..., Any]
    op_args: Collection[Any]
    op_kwargs: Mapping[str, Any]

    def keep_call(self, function: Callable[..., Any], args: Collection[Any], kwargs: Mapping[str, Any]) -> None:
        """Notes what was called with what."""
        self.python_callable = function
        self.op_args = tuple(args)
        self.op_kwargs = dict(kwargs)

    def call(self, context: Mapping[str, Any]) -> Any:
        """Calls it, with the values of the context that its signature names."""
        return call_function(self.python_callable, list(self.op_args), self.op_kwargs, context)


class DecoratedPythonOperator(FunctionTask):
    """The task of a `@task` function."""

    operator_name = "@task"


class DecoratedBranchOperator(FunctionTask, BranchPythonOperator):
    """The task of a `@task.branch` function."""

    operator_name = "@task.branch"


class DecoratedShortCircuitOperator(FunctionTask, ShortCircuitOperator):
    """The task of a `@task.short_circuit` function."""

    operator_name = "@task.short_circuit"


class DecoratedBashOperator(_Called, BashOperator):
    """The task of a `@task.bash` function: it returns the command, which is rendered and run."""

    operator_name = "@task.bash"
    template_fields: Sequence[str] = ("op_args", "op_kwargs", "bash_command", "env", "cwd")

    def __init__(self, *, function: Callable[..., Any], op_args: Any, op_kwargs: Any, **arguments: Any) -> None:
        where = f"@task.bash {arguments.get('task_id')!r}"
        if is_async_callable(function):
            raise AuthoringError(f"{where}: the function that makes the command has to be a plain one, not async")
        check_call(function, op_args, op_kwargs, where)
        super().__init__(bash_command="", **arguments)
        self.keep_call(function, op_args, op_kwargs)

    def execute(self, context: Any) -> Any:
        """Makes the command and runs it."""
        command = self.call(context)
        if not isinstance(command, str) or not command.strip():
            raise TaskFailed(
                f"@task.bash {self.task_id!r}: the function has to return a bash command as text, not {command!r}"
            )
        self.bash_command = command
        if isinstance(self.dag, DAG):
            self.bash_command = str(render_template(command, context, self.dag, self.template_ext))
        return super().execute(context)


class DecoratedSensorOperator(_Called, BaseSensorOperator):
    """The task of a `@task.sensor` function: it returns True or a `PokeReturnValue` when the wait is over."""

    operator_name = "@task.sensor"
    template_fields: Sequence[str] = ("op_args", "op_kwargs")

    def __init__(self, *, function: Callable[..., Any], op_args: Any, op_kwargs: Any, **arguments: Any) -> None:
        check_call(function, op_args, op_kwargs, f"@task.sensor {arguments.get('task_id')!r}")
        super().__init__(**arguments)
        self.keep_call(function, op_args, op_kwargs)

    @property
    def is_async(self) -> bool:
        """Whether the function is a coroutine function."""
        return is_async_callable(self.python_callable)

    def poke(self, context: Any) -> Any:
        """Asks the function once; for an `async def` function returns the awaitable of its answer."""
        answer = self.call(context)
        return answer if inspect.isawaitable(answer) else _answer(answer)


def _answer(answer: object) -> bool | PokeReturnValue:
    return answer if isinstance(answer, PokeReturnValue) else bool(answer)


class PythonTaskOptions(TaskOptions, total=False):
    """Arguments of `@task` and `@task.branch`."""

    templates_dict: dict[str, Any] | None
    templates_exts: Collection[str] | None
    show_return_value_in_logs: bool


class ShortCircuitTaskOptions(PythonTaskOptions, total=False):
    """Arguments of `@task.short_circuit`."""

    ignore_downstream_trigger_rules: bool


class BashTaskOptions(BashSettings, TaskOptions, total=False):
    """Arguments of `@task.bash`."""


class SensorTaskOptions(SensorOptions, TaskOptions, total=False):
    """Arguments of `@task.sensor`."""


class PythonTaskDecorator(TaskDecorator):
    """`@task` and `@task.branch`."""

    @overload
    def __call__(self, function: Callable[P, R], /) -> TaskFunction[P, R]: ...
    @overload
    def __call__(self, **settings: Unpack[PythonTaskOptions]) -> Callable[[Callable[P, R]], TaskFunction[P, R]]: ...
    def __call__(self, function: Any = None, **settings: Any) -> Any:
        """Decorates a function, bare or with arguments."""
        return self.apply(function, settings)


class ShortCircuitTaskDecorator(TaskDecorator):
    """`@task.short_circuit`."""

    @overload
    def __call__(self, function: Callable[P, R], /) -> TaskFunction[P, R]: ...
    @overload
    def __call__(
        self, **settings: Unpack[ShortCircuitTaskOptions]
    ) -> Callable[[Callable[P, R]], TaskFunction[P, R]]: ...
    def __call__(self, function: Any = None, **settings: Any) -> Any:
        """Decorates a function, bare or with arguments."""
        return self.apply(function, settings)


class BashTaskDecorator(TaskDecorator):
    """`@task.bash`."""

    @overload
    def __call__(self, function: Callable[P, str], /) -> TaskFunction[P, str]: ...
    @overload
    def __call__(self, **settings: Unpack[BashTaskOptions]) -> Callable[[Callable[P, str]], TaskFunction[P, str]]: ...
    def __call__(self, function: Any = None, **settings: Any) -> Any:
        """Decorates a function that returns the command, bare or with arguments."""
        return self.apply(function, settings)


class SensorTaskDecorator(TaskDecorator):
    """`@task.sensor`."""

    @overload
    def __call__(self, function: Callable[P, R], /) -> TaskFunction[P, R]: ...
    @overload
    def __call__(self, **settings: Unpack[SensorTaskOptions]) -> Callable[[Callable[P, R]], TaskFunction[P, R]]: ...
    def __call__(self, function: Any = None, **settings: Any) -> Any:
        """Decorates a function that says whether the wait is over, bare or with arguments."""
        return self.apply(function, settings)


class TaskDecorators(PythonTaskDecorator):
    """`task`: itself the decorator for Python functions, and the others as its attributes."""

    bash: ClassVar = BashTaskDecorator(DecoratedBashOperator, "@task.bash")
    branch: ClassVar = PythonTaskDecorator(DecoratedBranchOperator, "@task.branch")
    short_circuit: ClassVar = ShortCircuitTaskDecorator(DecoratedShortCircuitOperator, "@task.short_circuit")
    sensor: ClassVar = SensorTaskDecorator(DecoratedSensorOperator, "@task.sensor")
    run_if = staticmethod(conditions.run_if)
    skip_if = staticmethod(conditions.skip_if)

    @property
    def python(self) -> TaskDecorators:
        """`@task.python`, the same as `@task`."""
        return self

    @property
    def virtualenv(self) -> VirtualenvTaskDecorator:
        """`@task.virtualenv(requirements=…)`: runs in a virtual environment made for it."""
        from tradewind.standard.virtualenv_decorators import virtualenv  # takes time to load, few use it

        return virtualenv

    @property
    def branch_virtualenv(self) -> VirtualenvTaskDecorator:
        """`@task.virtualenv` whose result names the tasks to go on with."""
        from tradewind.standard.virtualenv_decorators import branch_virtualenv  # takes time to load, few use it

        return branch_virtualenv

    @property
    def external_python(self) -> ExternalPythonTaskDecorator:
        """`@task.external_python(python=…)`: runs with another interpreter."""
        from tradewind.standard.virtualenv_decorators import external_python  # takes time to load, few use it

        return external_python

    @property
    def branch_external_python(self) -> ExternalPythonTaskDecorator:
        """`@task.external_python` whose result names the tasks to go on with."""
        from tradewind.standard.virtualenv_decorators import branch_external_python  # takes time to load, few use it

        return branch_external_python

    def __getattr__(self, name: str) -> Callable[..., Any]:
        found = None if name.startswith("_") else task_decorator(name)
        if found is not None:
            return cast("Callable[..., Any]", found)
        kinds = ", ".join(f"@task.{kind}" for kind in sorted({"python", *vars(TaskDecorators)}) if kind[0] != "_")
        raise AttributeError(f"there is no @task.{name}; there are @task, {kinds}")


task = TaskDecorators(DecoratedPythonOperator, "@task", infers_outputs=True)


def _as_task(function: Any) -> TaskFunction[..., Any]:
    if isinstance(function, TaskFunction):
        return cast("TaskFunction[..., Any]", function)
    return task(cast("Callable[..., Any]", function))


@overload
def setup(function: TaskFunction[P, R]) -> TaskFunction[P, R]: ...
@overload
def setup(function: Callable[P, R]) -> TaskFunction[P, R]: ...
def setup(function: Any) -> Any:
    """`@setup`: the function's tasks are setups. Stands above or in place of `@task`."""
    marked = _as_task(function)
    marked.is_setup = True
    return marked


@overload
def teardown(function: TaskFunction[P, R]) -> TaskFunction[P, R]: ...
@overload
def teardown(function: Callable[P, R]) -> TaskFunction[P, R]: ...
@overload
def teardown(*, on_failure_fail_dagrun: bool = False) -> Callable[[Callable[P, R]], TaskFunction[P, R]]: ...
def teardown(function: Any = None, *, on_failure_fail_dagrun: bool = False) -> Any:
    """`@teardown(on_failure_fail_dagrun=…)`: the function's tasks are teardowns."""

    def mark(function: Any) -> Any:
        marked = _as_task(function)
        marked.is_teardown = True
        marked.on_failure_fail_dagrun = on_failure_fail_dagrun
        return marked

    return mark if function is None else mark(function)
