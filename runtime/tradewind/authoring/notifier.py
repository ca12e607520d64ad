"""`BaseNotifier`: a callback as an object, with templated attributes."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

_OF_A_MISSED_SLA = ("dag", "task_list", "blocking_task_list", "slas", "blocking_tis")


class BaseNotifier:
    """Subclass it, keep your arguments as attributes and define `notify(self, context)`, or `async_notify`.

    An instance goes wherever a callback goes: `on_failure_callback=[MyNotifier(text="{{ ti.task_id }} failed")]`.
    Attributes named in `template_fields` are rendered, on a copy, each time it is called; objects in them that
    have template fields of their own are rendered as well.
    """

    template_fields: Sequence[str] = ()
    template_ext: Sequence[str] = ()
    template_fields_renderers: ClassVar[Mapping[str, str]] = {}

    def __init__(self, **kwargs: Any) -> None:
        for name, value in kwargs.items():
            setattr(self, name, value)

    @property
    def log(self) -> logging.Logger:
        """A logger; inside an attempt it writes to the attempt's log."""
        return logging.getLogger(f"tradewind.task.{type(self).__module__}.{type(self).__name__}")

    def notify(self, context: Any) -> None:
        """Sends the notification."""
        raise NotImplementedError(
            f"{type(self).__name__} defines neither notify() nor async_notify(): write `def notify(self, context)`"
        )

    async def async_notify(self, context: Any) -> None:
        """Sends the notification without blocking."""
        raise NotImplementedError(
            f"{type(self).__name__} defines no async_notify(): write `async def async_notify(self, context)`"
        )

    def render_template_fields(self, context: Mapping[str, Any]) -> None:
        """Renders the template fields in place. Raises what templates raise."""
        from tradewind.authoring.templating import render_object

        render_object(self, context)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Called as a callback, with the context, or as `sla_miss_callback` with its five arguments."""
        if len(args) > 1:
            context: Any = dict(zip(_OF_A_MISSED_SLA, args, strict=False))
        else:
            context = args[0] if args else kwargs.get("context", {})
        ready = copy.copy(self)
        ready.render_template_fields(context)
        kind = type(ready)
        if kind.notify is BaseNotifier.notify and kind.async_notify is not BaseNotifier.async_notify:
            return ready.async_notify(context)
        return ready.notify(context)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"
