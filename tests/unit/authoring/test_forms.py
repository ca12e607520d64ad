"""Forms: the JSON schema that clients make them of, and what an answer becomes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import Enum
from typing import Any, Literal

import pytest

from tradewind.authoring.forms import filled, schema_of
from tradewind.authoring.questions import Question
from tradewind.model.errors import AuthoringError, ParamValidationError


class Level(Enum):
    LOW = "low"
    HIGH = "high"


@dataclass
class Address:
    street: str
    number: int = 1


@dataclass
class Release:
    ok: bool
    to: Address
    level: Level = Level.LOW
    ring: Literal["inner", "outer"] = "inner"
    day: date | None = None
    hosts: list[str] = field(default_factory=list[str])
    others: list[Address] = field(default_factory=list[Address])
    made: int = field(default=0, init=False)


def test_every_field_has_its_type() -> None:
    schema: Any = schema_of(Release)
    assert schema["required"] == ["ok", "to"]
    fields = schema["properties"]
    assert fields["ok"] == {"type": "boolean"}
    assert fields["to"]["properties"]["number"] == {"type": "integer", "default": 1}
    assert fields["level"] == {"enum": ["low", "high"], "default": "low"}
    assert fields["ring"] == {"enum": ["inner", "outer"], "default": "inner"}
    assert fields["day"]["anyOf"] == [{"type": "string", "format": "date"}, {"type": "null"}]
    assert fields["hosts"] == {"type": "array", "items": {"type": "string"}, "default": []}
    assert "made" not in fields


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"ring": "middle"}, r"ring: 'middle' is not one of \['inner', 'outer'\]"),
        ({"level": "mid"}, "level: 'mid' is not one of"),
        ({"hosts": [1]}, r"hosts\[0\]: 1 is not of type 'string'"),
        ({"okk": True}, "'okk' was unexpected"),
        ({"to": {"number": 2}}, "to: 'street' is a required property"),
    ],
)
def test_answers_that_do_not_fit_are_told_with_their_field(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ParamValidationError, match=said):
        Question(schema_of(Release)).check({"ok": True, "to": {"street": "a"}, **wrong})


def test_an_answer_becomes_the_form() -> None:
    answer: dict[str, Any] = {
        "ok": True,
        "to": {"street": "Mill Lane"},
        "level": "high",
        "day": "2026-11-21",
        "others": [{"street": "b", "number": 2}],
    }
    Question(schema_of(Release)).check(answer)
    assert filled(Release, answer) == Release(
        True, Address("Mill Lane"), Level.HIGH, day=date(2026, 11, 21), others=[Address("b", 2)]
    )


def test_types_that_only_a_function_knows_count_as_anything() -> None:
    class Hidden: ...

    @dataclass
    class Form:
        when: datetime
        what: Hidden
        n: int

    fields: Any = schema_of(Form)["properties"]
    assert fields == {"when": {"type": "string", "format": "date-time"}, "what": {}, "n": {"type": "integer"}}


def test_what_is_no_form() -> None:
    for wrong in (int, Release(True, Address("a")), None):
        with pytest.raises(AuthoringError, match=r"ctx\.ask: the form has to be a pydantic model or a dataclass"):
            schema_of(wrong)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
