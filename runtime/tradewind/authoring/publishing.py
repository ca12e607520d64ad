"""What a task publishes for people and programs that ask it: `ctx.publish` and `ti.publish`."""

from __future__ import annotations

from typing import NamedTuple

from tradewind.authoring.stored_values import packed
from tradewind.model.errors import XComError
from tradewind.model.outcomes import QUERY_PREFIX, EncodedValue

LONGEST_NAME = 200


class Publication(NamedTuple):
    """A value with the key that it is stored under."""

    key: str
    value: EncodedValue


def publication(task_id: str, name: object, value: object) -> Publication:
    """A published value as it is stored: always as JSON. Raises XComError."""
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME or "/" in name:
        raise XComError(
            f"task {task_id!r} publishes under the name {name!r}: it has to be a text of 1 to {LONGEST_NAME} "
            "characters without '/'"
        )
    return Publication(QUERY_PREFIX + name, packed(value, f"what task {task_id!r} publishes as {name!r}"))
