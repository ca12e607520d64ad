"""What all lists have in common: pages, order, a choice of fields."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeVar

from tradewind.model.specs import Json
from tradewind.web.problems import bad_request
from tradewind.web.rest.params import Kind, Param
from tradewind.web.rest.route import Call

T = TypeVar("T")

LARGEST_PAGE: Final = 1000

PAGE: Final = (
    Param("limit", Kind.INTEGER, "How many entries at most.", default=100, minimum=1, maximum=LARGEST_PAGE),
    Param("offset", Kind.INTEGER, "How many entries to leave out first.", default=0, minimum=0, maximum=2**31 - 1),
)
FIELDS: Final = Param("fields", Kind.TEXTS, "Only these fields of each entry.", maximum=100)


def order_by(*names: str, default: str) -> Param:
    """The parameter that orders a list by one of `names`; `-` in front turns it round."""
    choices = tuple(sign + name for name in names for sign in ("", "-"))
    return Param("order_by", Kind.TEXT, "Field to order by; `-` in front turns it.", default=default, choices=choices)


def between(*names: str) -> tuple[Param, ...]:
    """The parameters `<name>_gte` and `<name>_lte` of each time."""
    return tuple(
        Param(f"{name}_{end}", Kind.INSTANT, f"Only with {name} {words}.")
        for name in names
        for end, words in (("gte", "at this time or later"), ("lte", "at this time or earlier"))
    )


def ordered(items: Iterable[T], order: str, keys: Mapping[str, Callable[[T], Json]]) -> list[T]:
    """Items by the field that `order` names; those without a value come last, ties keep their order."""
    key = keys[order.removeprefix("-")]
    with_value: list[T] = []
    without: list[T] = []
    for item in items:
        (without if key(item) is None else with_value).append(item)
    with_value.sort(key=key, reverse=order.startswith("-"))
    return with_value + without


def page_of(call: Call, items: Sequence[T]) -> Sequence[T]:
    """The page that the caller asked for."""
    offset = call.integer("offset")
    return items[offset : offset + call.integer("limit")]


def chosen(call: Call, entries: list[dict[str, Json]]) -> list[dict[str, Json]]:
    """The entries with only the fields that the caller asked for. Raises Problem 400."""
    wanted = call.texts("fields")
    if not wanted or not entries:
        return entries
    unknown = sorted(set(wanted).difference(entries[0]))
    if unknown:
        raise bad_request(f"unknown field {', '.join(unknown)} in fields; known: {', '.join(sorted(entries[0]))}")
    return [{name: entry[name] for name in wanted} for entry in entries]


def like(pattern: str) -> Callable[[str], bool]:
    """A test whether a text contains `pattern`, whatever the case; `%` stands for any text.

    Each part is looked for from where the one before it ended: no pattern can be slow.
    """
    parts = [part for part in pattern.lower().split("%") if part]

    def contains(text: str) -> bool:
        text = text.lower()
        at = 0
        for part in parts:
            found = text.find(part, at)
            if found < 0:
                return False
            at = found + len(part)
        return True

    return contains
