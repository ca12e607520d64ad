"""`MessageQueueTrigger`: one trigger for whatever queue, by scheme. It stands for the trigger of that queue, which is
what is stored and run.

Who knows a scheme: packages by the entry point group `tradewind.queues` (scheme to trigger class), and provider
packages for Airflow by the `queues` in their description (classes like `BaseMessageQueueProvider`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from functools import cached_property
from importlib.metadata import entry_points
from typing import Any, ClassVar, Final, cast

from tradewind.authoring.provider_packages import ProvidersManager, named
from tradewind.authoring.triggers import BaseEventTrigger, BaseTrigger, TriggerEvent
from tradewind.model.errors import AuthoringError

QUEUES_GROUP: Final = "tradewind.queues"


class BaseMessageQueueProvider(ABC):
    """What a provider package says of a kind of queue."""

    scheme: ClassVar[str | None] = None

    def queue_matches(self, queue: str) -> bool:
        """Whether a queue with this address is of this kind."""
        return False

    def scheme_matches(self, scheme: str) -> bool:
        """Whether this is the scheme of this kind."""
        return self.scheme == scheme

    @abstractmethod
    def trigger_class(self) -> type[BaseTrigger]:
        """The trigger that waits for messages."""

    def trigger_kwargs(self, queue: str, **kwargs: Any) -> dict[str, Any]:
        """Arguments of the trigger that follow from the queue's address."""
        return {}


class MessageQueueTrigger(BaseEventTrigger):
    """Fires for messages of a queue: `MessageQueueTrigger(scheme="amqp", queue="orders", conn_id="broker")`.

    Args:
        scheme: the kind of queue; all other arguments are those of its trigger.
        queue: without a scheme the address of the queue, as older DAG files have it.
        trigger_queue: accepted and without effect.

    Raises:
        AuthoringError: neither is given, or nothing that is installed, or more than one package, knows the queue.
    """

    def __init__(
        self, *, queue: str | None = None, scheme: str | None = None, trigger_queue: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__()
        if not queue and not scheme:
            raise AuthoringError("MessageQueueTrigger: give a scheme, as in MessageQueueTrigger(scheme='amqp', …)")
        self.queue_uri = None if scheme else queue
        self.scheme = scheme
        self.kwargs = {**kwargs, "queue": queue} if scheme and queue else kwargs

    @cached_property
    def trigger(self) -> BaseTrigger:
        """The trigger of that queue. Raises AuthoringError."""
        if self.queue_uri is not None:
            return self._of_address(self.queue_uri)
        return self._of_scheme(str(self.scheme))

    def _of_scheme(self, scheme: str) -> BaseTrigger:
        known: dict[str, Any] = {point.name: point for point in entry_points(group=QUEUES_GROUP)}
        if scheme in known:
            return self._made(known[scheme].load(), self.kwargs)
        fitting = [provider for provider in _providers() if provider.scheme_matches(scheme)]
        names = {*known, *(provider.scheme for provider in _providers() if getattr(provider, "scheme", None))}
        provider = _single(fitting, f"scheme {scheme!r}", f"known are: {', '.join(sorted(map(str, names))) or 'none'}")
        return self._made(provider.trigger_class(), self.kwargs)

    def _of_address(self, address: str) -> BaseTrigger:
        fitting = [provider for provider in _providers() if provider.queue_matches(address)]
        provider = _single(fitting, f"queue {address!r}", "give a scheme")
        return self._made(provider.trigger_class(), {**provider.trigger_kwargs(address, **self.kwargs), **self.kwargs})

    def _made(self, cls: Any, kwargs: dict[str, Any]) -> BaseTrigger:
        try:
            return cast("BaseTrigger", cls(**kwargs))
        except TypeError as error:
            where = f"scheme {self.scheme!r}" if self.scheme else f"queue {self.queue_uri!r}"
            raise AuthoringError(f"MessageQueueTrigger: {where}: {cls.__name__}: {error}") from error

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Those of the queue's own trigger."""
        return self.trigger.serialize()

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """What the queue's own trigger fires."""
        async for event in self.trigger.run():
            yield event


def get_provider_info() -> dict[str, str]:
    """What the package for Airflow with this trigger would say of itself, were it the one that is used."""
    return {"package-name": "apache-airflow-providers-common-messaging", "name": "Common Messaging"}


def _providers() -> list[Any]:
    return [named(path)() for path in ProvidersManager().queue_class_names]


def _single(fitting: list[Any], what: str, advice: str) -> Any:
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        raise AuthoringError(f"MessageQueueTrigger: no package that is installed knows the {what}; {advice}")
    names = ", ".join(sorted(type(provider).__name__ for provider in fitting))
    raise AuthoringError(f"MessageQueueTrigger: more than one package knows the {what}: {names}")
