"""What a task asks people: the form, whom, and what about, as it is stored with the wait for the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from tradewind.authoring.stored_values import packed, unpacked
from tradewind.model.errors import ParamValidationError
from tradewind.model.outcomes import EncodedValue
from tradewind.model.specs import Json


@dataclass(frozen=True, slots=True)
class Question:
    """A question to people."""

    schema: Mapping[str, Json]
    """JSON schema of the answer."""
    subject: str = ""
    to: str | None = None
    """Whom it is for, in words."""
    body: str | None = None
    """What is needed to decide, in Markdown."""
    respondents: tuple[str, ...] = ()
    """Names of the only users who may answer through the API; empty: whoever may edit."""
    signed: bool = False
    """The answer is handed over as `signed` has it, with who gave it and when."""

    def packed(self, where: str) -> EncodedValue:
        """As the arguments of a wait. Raises XComError, with `where` in it."""
        told = {name: getattr(self, name) for name in self.__slots__}
        return packed({**told, "schema": dict(self.schema), "respondents": list(self.respondents)}, where)

    @staticmethod
    def of(args: EncodedValue | None) -> Question:
        """What a wait's arguments ask. Raises XComError."""
        told: dict[str, Any] = {} if args is None else unpacked(args)
        return Question(
            told.get("schema") or {},
            told.get("subject", ""),
            told.get("to"),
            told.get("body"),
            tuple(told.get("respondents", ())),
            told.get("signed", False),
        )

    def check(self, answer: Json) -> None:
        """Raises ParamValidationError where the answer does not fit the schema, naming the field."""
        import jsonschema

        try:
            jsonschema.validate(answer, dict(self.schema), format_checker=jsonschema.FormatChecker())
        except jsonschema.ValidationError as why:
            raise ParamValidationError(f"{_place(tuple(why.absolute_path))}{why.message}") from None
        except jsonschema.SchemaError as why:
            raise ParamValidationError(f"the form's own schema is not JSON schema: {why.message}") from None


def _place(path: Sequence[str | int]) -> str:
    if not path:
        return ""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".") + ": "


def signed(answer: Json, by: Mapping[str, str] | None, at: str) -> dict[str, Json]:
    """An answer with who has given it (`id` and `name`) and when (ISO 8601)."""
    return {"answer": answer, "by": None if by is None else dict(by), "at": at}


def unsigned(value: Json) -> tuple[Json, dict[str, str] | None, str | None]:
    """The answer, who has given it, and when: of one that nobody signed the answer alone."""
    told: dict[str, Any] = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    if set(told) == {"answer", "by", "at"}:
        return told["answer"], told["by"], told["at"]
    return cast("Json", value), None, None
