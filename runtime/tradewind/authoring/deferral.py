"""Deferral: a task hands its wait to a trigger, ends its attempt, and goes on in a method of its operator.

`TaskDeferred` is what carries it out of user code; `wait_of` makes of it what is stored, `trigger_of` makes the trigger
again of what was stored, and `go_on` calls the method.
"""

from __future__ import annotations

import base64
import inspect
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NoReturn, cast

from tradewind.authoring.nodes import DagContainer, TaskNode
from tradewind.authoring.signatures import asked_of
from tradewind.authoring.stored_values import packed, unpacked
from tradewind.authoring.trigger_kinds import TriggerSource, found_class, is_at_hand, module_seen, path_of
from tradewind.authoring.triggers import BaseTrigger, StartTriggerArgs
from tradewind.model.errors import AuthoringError, NotFoundError, TaskFailed
from tradewind.model.outcomes import EncodedValue, Wait
from tradewind.model.specs import Json
from tradewind.model.waits import Resume

FAILED: Final = "__fail__"
"""The method that a task is resumed with when its wait has failed."""
TIMED_OUT: Final = "Trigger timeout"
BROKE: Final = "Trigger failure"


class TaskDeferralError(TaskFailed):
    """The trigger that the task waited for has failed."""


class TaskDeferralTimeout(TaskDeferralError):
    """The task has waited too long."""


class TaskDeferred(BaseException):
    """Raised in a task to wait for a trigger; the attempt ends, and a later one calls `method_name` with the event.

    Not an Exception, so that `except Exception` lets it by. `kwargs` are handed to the method along with `event`;
    `timeout` (a timedelta or seconds) bounds this one wait. Raises AuthoringError for what cannot be.
    """

    def __init__(
        self,
        *,
        trigger: BaseTrigger,
        method_name: str = "execute",
        kwargs: Mapping[str, Any] | None = None,
        timeout: timedelta | float | None = None,
    ) -> None:
        super().__init__()
        _check_given(trigger, method_name, kwargs)
        self.trigger = trigger
        self.method_name = method_name
        self.kwargs = dict(kwargs) if kwargs is not None else None
        self.timeout = _timeout(timeout)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Path of the class, and the keyword arguments of an equal one."""
        names = ("trigger", "method_name", "kwargs", "timeout")
        return f"{type(self).__module__}.{type(self).__name__}", {name: getattr(self, name) for name in names}

    def __str__(self) -> str:
        return f"waiting for {self.trigger!r}, to go on in {self.method_name}()"

    def __repr__(self) -> str:
        return f"<TaskDeferred trigger={self.trigger} method={self.method_name}>"


def defer(
    trigger: BaseTrigger, *, kwargs: Mapping[str, Any] | None = None, timeout: timedelta | float | None = None
) -> NoReturn:
    """For `@task` functions: waits for the trigger, then the function is called again with `event` (and `kwargs`).

    The function names them as arguments with defaults: `def wait(path, event=None)`. Raises TaskDeferred.
    """
    raise TaskDeferred(trigger=trigger, method_name="execute", kwargs=kwargs, timeout=timeout)


def _check_given(trigger: object, method: object, kwargs: object) -> None:
    if not isinstance(trigger, BaseTrigger):
        raise AuthoringError(f"defer: trigger has to be a trigger, an instance of BaseTrigger, not {trigger!r}")
    if not isinstance(method, str) or not method:
        raise AuthoringError(f"defer: method_name has to be the name of a method of the operator, not {method!r}")
    if kwargs is not None and not _is_keywords(kwargs):
        raise AuthoringError(f"defer: kwargs have to be a dict with texts as keys, not {kwargs!r}")


def _is_keywords(given: object) -> bool:
    return isinstance(given, Mapping) and all(isinstance(key, str) for key in cast("Mapping[object, object]", given))


def _timeout(given: object, where: str = "defer") -> timedelta | None:
    if given is None:
        return None
    if isinstance(given, (int, float)) and not isinstance(given, bool):
        try:
            given = timedelta(seconds=given)
        except (OverflowError, ValueError) as why:
            raise AuthoringError(f"{where}: a timeout of {given!r} seconds cannot be: {why}") from why
    if not isinstance(given, timedelta):
        raise AuthoringError(f"{where}: timeout has to be a timedelta or a number of seconds, not {given!r}")
    if given < timedelta():
        raise AuthoringError(f"{where}: timeout must not be negative; it is {given.total_seconds():g} seconds")
    return given


# ------------------------------------------------------------------------------- what is stored


def wait_of(
    deferred: TaskDeferred, *, now: datetime, until: datetime | None = None, operator: TaskNode | None = None
) -> Wait:
    """The wait as it is stored. `until` is the end of the task's own time, which covers the wait too.

    With the `operator`, its method and the kind of the trigger are looked up, so that what would fail when
    the task goes on fails now. Raises AuthoringError, XComError (what cannot be stored).
    """
    trigger = deferred.trigger
    dag = None if operator is None else operator.dag
    cls, arguments = _said_by(trigger, dag)
    if operator is not None:
        check_method(operator, deferred.method_name, deferred.kwargs)
        _check_found(cls, dag)
    kind = cls.trigger_kind
    due = _due(trigger) if isinstance(trigger, cls) else None
    where = f"trigger {kind}"
    args = packed(arguments, f"{where}: serialize()") if due is None else packed(due, f"{where}: due()")
    kwargs = None if not deferred.kwargs else packed(deferred.kwargs, f"defer({where}): kwargs")
    moments = [until] if until is not None else []
    if deferred.timeout is not None:
        moments.append(now + deferred.timeout)
    return Wait(kind, args, deferred.method_name, kwargs, due, min(moments, default=None))


def stored_trigger(trigger: BaseTrigger, dag: DagContainer, where: str) -> tuple[str, EncodedValue]:
    """Kind and arguments under which `trigger_of` makes an equal trigger again. Raises AuthoringError, XComError."""
    cls, arguments = _said_by(trigger, dag)
    _check_found(cls, dag)
    return cls.trigger_kind, packed(arguments, f"{where}: serialize() of {cls.trigger_kind}")


def _due(trigger: BaseTrigger) -> datetime | None:
    due = trigger.due()
    if due is None:
        return None
    if due.tzinfo is None:
        raise AuthoringError(f"{trigger!r}: due() has to give an aware datetime, not {due!r}")
    return due.astimezone(UTC)


def _said_by(trigger: BaseTrigger, dag: DagContainer | None) -> tuple[type[BaseTrigger], dict[str, Any]]:
    """The class and the arguments that `serialize` names. Raises AuthoringError where it says nothing usable."""
    own = type(trigger)
    said = cast("object", trigger.serialize())
    if not (isinstance(said, (tuple, list)) and len(cast("tuple[object, ...]", said)) == 2):
        raise AuthoringError(
            f"trigger {path_of(own)}: serialize() has to return the class's path and a dict of arguments, not {said!r}"
        )
    path, arguments = cast("tuple[object, object]", said)
    if not isinstance(path, str) or not _is_keywords(arguments):
        raise AuthoringError(
            f"trigger {path_of(own)}: serialize() has to return a text and a dict with texts as keys, not {said!r}"
        )
    cls = _named_by(path, own, dag)
    given = dict(cast("Mapping[str, Any]", arguments))
    _check_arguments(cls, given, "serialize() names")
    if inspect.iscoroutinefunction(cls.run):
        raise AuthoringError(
            f"trigger {path_of(cls)}: run() is a coroutine that yields nothing; it has to be an async generator: "
            "`yield TriggerEvent(…)` in place of `return`"
        )
    return cls, given


def _named_by(path: str, own: type[BaseTrigger], dag: DagContainer | None) -> type[BaseTrigger]:
    """The class that a path (or kind) means, for a trigger of the class `own`."""
    seen = module_seen(path)
    if seen in (own.trigger_kind, path_of(own)):
        return own
    name = path.rpartition(".")[2]
    for base in own.__mro__[:-1]:  # paths are written by hand, and name the class as others import it
        if base.__name__ == name and issubclass(base, BaseTrigger):
            return base
    found = found_class(seen, _source(dag))
    if found is None or not issubclass(found, BaseTrigger):
        raise AuthoringError(f"trigger {path_of(own)}: serialize() names {path!r}, and there is no such trigger class")
    return found


def _check_arguments(cls: type[BaseTrigger], arguments: Mapping[str, Any], said: str) -> None:
    if cls.__new__ is object.__new__ and type(cls).__call__ is type.__call__:  # so it is `__init__` that is called
        asked = asked_of(cls.__init__)
        if asked is not None and asked.surely_takes((cls,), arguments):
            return
    try:
        inspect.signature(cls).bind(**arguments)
    except TypeError as why:
        raise AuthoringError(
            f"trigger {path_of(cls)}: {said} arguments that its constructor does not take: {why}"
        ) from None
    except ValueError:  # a signature that cannot be known
        return


def _check_found(cls: type[BaseTrigger], dag: DagContainer | None) -> None:
    """A class that the runtime would not find is told of while the task runs, not when its wait begins."""
    if found_class(cls.trigger_kind, _source(dag)) is None:
        inner = "<locals>" in cls.__qualname__
        todo = "it is defined inside a function; define it at the top of a module" if inner else _ADVICE
        raise AuthoringError(f"trigger {path_of(cls)} could not be found again when it is to run: {todo}")


_ADVICE: Final = (
    "define it in the DAG file or in a module of its bundle, import its module at the top of the DAG file, or name it "
    "in the entry points `tradewind.triggers` of its package"
)


def _source(dag: DagContainer | None) -> TriggerSource | None:
    return None if dag is None else dag.trigger_source


async def load_trigger(kind: str, dag: DagContainer) -> None:
    """Before `trigger_of` on a loop: what it would import is imported in a thread. Raises what that raises."""
    if not is_at_hand(kind, dag.trigger_source):
        import asyncio  # DAG files that only define tasks need no loop

        await asyncio.to_thread(found_class, kind, dag.trigger_source)


def trigger_of(kind: str, args: EncodedValue | None, dag: DagContainer) -> BaseTrigger:
    """The trigger of a stored wait, made with the classes of this version of the DAG. It may import a module.

    Raises NotFoundError where the kind is not there (any more), AuthoringError where its arguments do not fit.
    """
    cls = found_class(kind, dag.trigger_source)
    if cls is None or not issubclass(cls, BaseTrigger):
        raise NotFoundError(f"DAG {dag.dag_id!r} ({dag.fileloc}) knows no trigger of the kind {kind!r}: {_ADVICE}")
    arguments: Any = unpacked(args) if args is not None else {}
    if not _is_keywords(arguments):
        raise AuthoringError(f"trigger {kind!r} of DAG {dag.dag_id!r}: its stored arguments are no dict")
    _check_arguments(cls, arguments, "stored were")
    try:
        return cls(**arguments)
    except Exception as why:
        raise AuthoringError(
            f"trigger {kind!r} of DAG {dag.dag_id!r} ({dag.fileloc}) cannot be made again: {type(why).__name__}: {why}"
        ) from why


# ------------------------------------------------------------------------------- starting with a wait


def start_of(operator: TaskNode, args: StartTriggerArgs, execution_timeout: timedelta | None) -> dict[str, Json] | None:
    """`TaskSpec.starts_deferred` of a task that begins with its trigger.

    None where an argument is a template: then an attempt renders it and defers. Raises AuthoringError, XComError.
    """
    where = f"{type(operator).__name__} {operator.task_id!r}: start_trigger_args"
    cls = _class_to_start(operator, args, where)
    arguments, further = dict(args.trigger_kwargs or {}), dict(args.next_kwargs or {})
    if any(isinstance(value, str) and ("{{" in value or "{%" in value) for value in arguments.values()):
        return None
    _check_arguments(cls, arguments, f"{where} names")
    check_method(operator, args.next_method, args.next_kwargs)
    limits = [limit for limit in (_timeout(args.timeout, where), execution_timeout) if limit is not None]
    at = cls.moment_of(arguments)
    stored = packed(arguments, f"{where}.trigger_kwargs") if at is None else None
    if isinstance(at, datetime):
        stored = packed(at.astimezone(UTC), f"{where}.trigger_kwargs")
    return {
        "kind": cls.trigger_kind,
        "args": _plain(stored),
        "method": args.next_method,
        "kwargs": _plain(packed(further, f"{where}.next_kwargs") if further else None),
        "timeout": min(limits).total_seconds() if limits else None,
        "due": at.astimezone(UTC).isoformat() if isinstance(at, datetime) else None,
        "after": at.total_seconds() if isinstance(at, timedelta) else None,
    }


def _class_to_start(operator: TaskNode, args: StartTriggerArgs, where: str) -> type[BaseTrigger]:
    given = cast("object", args)
    if not all(hasattr(given, name) for name in ("trigger_cls", "next_method")):
        raise AuthoringError(f"{where}: a StartTriggerArgs is needed, not {given!r}")
    cls = found_class(module_seen(args.trigger_cls), _source(operator.dag))
    if cls is None or not issubclass(cls, BaseTrigger):
        raise AuthoringError(f"{where}: there is no trigger class {args.trigger_cls!r}: {_ADVICE}")
    return cls


def start_here(operator: TaskNode, args: StartTriggerArgs, rendered: Callable[[Any], Any]) -> TaskDeferred:
    """The wait of `start_trigger_args` as an attempt begins it: of mapped tasks, and of templates."""
    where = f"{type(operator).__name__} {operator.task_id!r}: start_trigger_args"
    cls = _class_to_start(operator, args, where)
    arguments: dict[str, Any] = rendered(dict(args.trigger_kwargs or {}))
    _check_arguments(cls, arguments, f"{where} names")
    check_method(operator, args.next_method, args.next_kwargs)
    trigger = cls(**arguments)
    return TaskDeferred(trigger=trigger, method_name=args.next_method, kwargs=args.next_kwargs, timeout=args.timeout)


def _plain(value: EncodedValue | None) -> Json:
    return None if value is None else [value.codec, base64.b64encode(value.data).decode()]


# ------------------------------------------------------------------------------- going on


def method_of(operator: TaskNode, name: str) -> Callable[..., Any]:
    """The operator's method. Raises AuthoringError naming those that there are."""
    found: object = getattr(operator, name, None)
    if callable(found):
        return found
    own = {
        attribute
        for base in type(operator).__mro__
        for attribute, value in vars(base).items()
        if callable(value) and not attribute.startswith("_") and base.__module__ != "tradewind.authoring.operator"
    }
    own = {attribute for attribute in own if not hasattr(TaskNode, attribute)} | {"execute"}
    raise AuthoringError(
        f"{type(operator).__name__} {operator.task_id!r} has no method {name!r} to go on with after a wait; it has "
        f"{', '.join(sorted(own))}"
    )


def check_method(operator: TaskNode, name: str, kwargs: Mapping[str, Any] | None) -> None:
    """Raises AuthoringError where the operator has no such method, or one that cannot be called after the wait."""
    function = method_of(operator, name)
    if name == "execute":  # it gets of the arguments those that it names
        return
    try:
        inspect.signature(function, follow_wrapped=False).bind(None, **{**(kwargs or {}), "event": None})
    except TypeError as why:
        given = ", ".join(["context", *(f"{key}=…" for key in kwargs or {} if key != "event"), "event=…"])
        raise AuthoringError(
            f"{type(operator).__name__} {operator.task_id!r}: after the wait {name}({given}) is called, and that does "
            f"not fit its arguments: {why}"
        ) from None
    except ValueError:  # a signature that cannot be known
        return


def resumed_call(resume: Resume) -> tuple[str, dict[str, Any]]:
    """What `resume_execution` is called with: the method, and its arguments with the `event` among them."""
    answer = resume.answer
    if answer.timed_out:
        return FAILED, {"error": TIMED_OUT}
    if answer.error is not None:
        return FAILED, {"error": BROKE, "traceback": answer.error.splitlines()}
    arguments: dict[str, Any] = unpacked(resume.kwargs) if resume.kwargs is not None else {}
    arguments["event"] = unpacked(answer.event) if answer.event is not None else None
    return resume.method or "execute", arguments


def go_on(operator: TaskNode, name: str, arguments: Mapping[str, Any] | None, context: Any) -> Any:
    """Calls the method with the context and the arguments; gives what it returns, which may be awaitable.

    `execute` gets of the arguments those that it names; the others are entries of the context, where a `@task`
    function finds them. Raises TaskDeferralError, TaskDeferralTimeout for a wait that has failed.
    """
    given = dict(arguments or {})
    if name == FAILED:
        _fail(given)
    function = method_of(operator, name)
    if name == "execute":
        for key in [key for key in given if not _takes(function, key)]:
            context[key] = given.pop(key)
    return function(context, **given)


def _fail(given: Mapping[str, Any]) -> NoReturn:
    error = str(given.get("error", "Unknown"))
    if error == TIMED_OUT:
        raise TaskDeferralTimeout(TIMED_OUT)
    lines = [str(line) for line in given.get("traceback") or ()]
    if lines:
        logging.getLogger("tradewind.task").error("Trigger failed:\n%s", "\n".join(lines))
        error = f"{error}: {lines[-1]}"
    raise TaskDeferralError(error)


def _takes(function: Callable[..., Any], name: str) -> bool:
    parameters = inspect.signature(function).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return True
    return name in parameters and parameters[name].kind is not inspect.Parameter.POSITIONAL_ONLY
