"""Triggers: waits outside of tasks, run as coroutines, that fire events.

::

    BaseTrigger                 serialize(), run(), cleanup(), on_kill(): as Airflow has it
    ├── BaseEventTrigger        for the watchers of assets
    └── Trigger                 annotated fields are its arguments; nothing to serialize by hand
    TriggerEvent                something has happened: the task goes on with its payload
    └── BaseTaskEndEvent        … and needs no further attempt
        ├── TaskSuccessEvent
        ├── TaskFailedEvent
        └── TaskSkippedEvent
"""

from __future__ import annotations

import dataclasses
import logging
from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, TypeVar, cast, dataclass_transform

from tradewind.authoring import trigger_kinds
from tradewind.model.errors import AuthoringError
from tradewind.model.states import TaskState

Ack = Callable[[], Awaitable[object]]


class TriggerEvent:
    """Something that a trigger fires: `payload` is what the task goes on with.

    `ack` is awaited once the event is committed: there a message is acknowledged to its queue, so that none is lost.
    `key` is what its source knows it by: a watcher's event that comes again with the same key is taken once.
    """

    __slots__ = ("ack", "key", "payload")

    def __init__(self, payload: Any = None, *, ack: Ack | None = None, key: str | None = None) -> None:
        if ack is not None and not callable(ack):
            raise AuthoringError(f"TriggerEvent: ack has to be an async function without arguments, not {ack!r}")
        if key is not None and (not isinstance(cast("object", key), str) or not key):
            raise AuthoringError(f"TriggerEvent: key has to be a text that is not empty, not {key!r}")
        self.payload = payload
        self.ack = ack
        self.key = key

    def __repr__(self) -> str:
        return f"{type(self).__name__}<{self.payload!r}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TriggerEvent) and type(other) is type(self) and bool(other.payload == self.payload)

    def __hash__(self) -> int:
        return hash((type(self), repr(self.payload)))


class BaseTaskEndEvent(TriggerEvent):
    """Ends the task without another attempt; `xcoms` are stored as its own."""

    __slots__ = ("xcoms",)

    task_instance_state: ClassVar[TaskState]

    def __init__(self, *, xcoms: Mapping[str, Any] | None = None, ack: Ack | None = None) -> None:
        super().__init__(self.task_instance_state.value, ack=ack)
        self.xcoms = dict(xcoms) if xcoms is not None else None
        for key in cast("Iterable[object]", self.xcoms or ()):
            if not isinstance(key, str) or not key:
                raise AuthoringError(f"{type(self).__name__}: xcoms: a key is a text that is not empty, not {key!r}")

    def __eq__(self, other: object) -> bool:
        return super().__eq__(other) and isinstance(other, BaseTaskEndEvent) and other.xcoms == self.xcoms

    __hash__ = TriggerEvent.__hash__


class TaskSuccessEvent(BaseTaskEndEvent):
    """The task has succeeded."""

    __slots__ = ()
    task_instance_state = TaskState.SUCCESS


class TaskFailedEvent(BaseTaskEndEvent):
    """The task has failed."""

    __slots__ = ()
    task_instance_state = TaskState.FAILED


class TaskSkippedEvent(BaseTaskEndEvent):
    """The task is skipped."""

    __slots__ = ()
    task_instance_state = TaskState.SKIPPED


@dataclass
class StartTriggerArgs:
    """How a task begins with its trigger, without an attempt before it.

    `trigger_cls` is the path of the class (or its kind), `next_method` the operator's method that goes on; `timeout`
    covers the wait.
    """

    trigger_cls: str
    next_method: str
    trigger_kwargs: dict[str, Any] | None = None
    next_kwargs: dict[str, Any] | None = None
    timeout: timedelta | None = None


class BaseTrigger:
    """A wait outside of tasks. Define `serialize` and `run`; it runs as a coroutine in the runtime's loop.

    An instance is made twice: by the task that defers, and by the runtime from what `serialize` said. `run` is an async
    generator; its first event ends the wait of a task. It must not block: it shares its loop with everything else.
    """

    trigger_kind: ClassVar[str] = ""
    """The name under which triggers of this class are stored."""
    template_fields: Sequence[str] = ()
    supports_triggerer_queue: ClassVar[bool] = True

    task_instance: Any = None
    """The task instance that waits; set before `run` is called."""
    trigger_id: Any = None

    def __init__(self, **kwargs: Any) -> None:
        self.task_instance = None
        self.trigger_id = None

    def __init_subclass__(cls, *, kind: str | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.trigger_kind = trigger_kinds.register(cls, kind)

    @abstractmethod
    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The path of the class, and the keyword arguments with which an equal trigger is made."""
        raise NotImplementedError(f"{type(self).__name__} defines no serialize()")

    @abstractmethod
    def run(self) -> AsyncIterator[TriggerEvent]:
        """Waits, and yields an event for what has happened. Define it with `async def` and `yield`."""
        raise NotImplementedError(f"{type(self).__name__} defines no run()")

    async def cleanup(self) -> None:
        """Awaited when `run` has ended or is ended: let go of what it holds."""

    async def on_kill(self) -> None:
        """Awaited when the task is stopped while it waits: end what it has started elsewhere."""

    def due(self) -> datetime | None:
        """The moment that this trigger waits for, where it waits for nothing else: then it need not be run at all."""
        return None

    @classmethod
    def moment_of(cls, arguments: Mapping[str, Any]) -> datetime | timedelta | None:
        """As `due`, of a trigger with these arguments: the moment, or how long after the task's begin it comes."""
        return None

    @property
    def log(self) -> logging.Logger:
        """The trigger's logger; what it writes goes to the log of the task that waits."""
        return logging.getLogger(f"tradewind.task.{trigger_kinds.path_of(type(self))}")

    @staticmethod
    def repr(classpath: str, kwargs: Mapping[str, Any]) -> str:
        """A trigger as text."""
        return f"<{' '.join([classpath, ', '.join(f'{name}={value}' for name, value in kwargs.items())]).strip()}>"

    def __repr__(self) -> str:
        try:
            return self.repr(*self.serialize())
        except Exception:  # noqa: BLE001, RUF100 - for messages about triggers that are broken, too
            return f"<{type(self).__name__}>"


class BaseEventTrigger(BaseTrigger):
    """A trigger whose events change assets: for `AssetWatcher`. It may fire again and again."""

    supports_triggerer_queue: ClassVar[bool] = False

    @staticmethod
    def hash(classpath: str, kwargs: Mapping[str, Any]) -> int:
        """The same number for equal triggers."""
        return hash((classpath, repr(sorted(kwargs.items()))))


@dataclass_transform(eq_default=False, field_specifiers=(dataclasses.field,))
class Trigger(BaseTrigger):
    """A trigger whose annotated fields are its arguments.

    ::

        @trigger(kind="acme.queue")
        class QueueMessage(Trigger):
            queue: str
            timeout: float = 30.0

            async def run(self) -> AsyncIterator[TriggerEvent]:
                ...
                yield TriggerEvent(message.body, ack=message.ack)

    Fields are as those of dataclasses. Values have to be such as XComs can be.
    """

    def __init_subclass__(cls, *, kind: str | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(kind=kind, **kwargs)
        dataclass(eq=False, repr=False)(cls)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The kind and the fields."""
        fields = dataclasses.fields(cast("Any", self))  # each subclass is a dataclass
        return self.trigger_kind, {field.name: getattr(self, field.name) for field in fields if field.init}


T = TypeVar("T", bound=BaseTrigger)


def trigger(*, kind: str) -> Callable[[type[T]], type[T]]:
    """Names the kind under which triggers of a class are stored: a name of your own that outlives modules and files.

    Raises AuthoringError for a kind that cannot be, or that another class has.
    """

    def named(cls: type[T]) -> type[T]:
        given = cast("object", cls)
        if not (isinstance(given, type) and issubclass(given, BaseTrigger)):
            raise AuthoringError(f"@trigger(kind={kind!r}) is for subclasses of Trigger, not for {given!r}")
        before, cls.trigger_kind = cls.trigger_kind, trigger_kinds.register(cls, kind)
        if before != kind:
            trigger_kinds.forget(cls, before)
        return cls

    return named
