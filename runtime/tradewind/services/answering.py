"""Answers from outside: finding what tasks ask people, checking what these say, and sending it on. Signals as well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from tradewind.authoring.questions import Question, signed
from tradewind.authoring.stored_values import packed
from tradewind.control_ports import Control
from tradewind.instance_ports import FoundWait, WaitFilter
from tradewind.model.errors import ConflictError, NotFoundError, ParamValidationError, XComError
from tradewind.model.keys import UNMAPPED
from tradewind.model.outcomes import EncodedValue
from tradewind.model.rows import RunRow
from tradewind.model.specs import Json
from tradewind.model.states import FINISHED
from tradewind.model.waits import INPUT_KIND, SIGNAL_KIND, Signal
from tradewind.ports import StoreReads

_MANY = 10_000
"""More questions than one task instance asks in one try."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question and where it is asked."""

    dag_id: str
    dag_run_id: str
    task_id: str
    map_index: int
    name: str
    key: str
    """Of its wait: the same name may be asked several times."""
    question: Question
    deadline: datetime | None
    is_answered: bool

    @staticmethod
    def of(found: FoundWait) -> Asked:
        """The question of a wait."""
        row = found.row
        name = row.wait.key.removeprefix(f"{row.wait.kind}:").rpartition(":")[0]
        question, answered = Question.of(row.wait.args), row.answer is not None
        return Asked(
            found.dag_id, found.dag_run_id, row.task_id, row.map_index, name, row.wait.key, question,
            row.wait.deadline, answered,
        )  # fmt: skip

    def shown(self) -> dict[str, Json]:
        """The question as API and command line show it."""
        question = self.question
        return {
            "dag_id": self.dag_id,
            "dag_run_id": self.dag_run_id,
            "task_id": self.task_id,
            "map_index": self.map_index,
            "name": self.name,
            "subject": question.subject,
            "body": question.body,
            "to": question.to,
            "respondents": list(question.respondents),
            "deadline": self.deadline,
            "is_answered": self.is_answered,
            "schema": dict(question.schema),
        }


@dataclass(frozen=True, slots=True)
class Place:
    """A task instance of a run."""

    run: RunRow
    task_id: str
    map_index: int = UNMAPPED

    def __str__(self) -> str:
        index = f"[{self.map_index}]" if self.map_index != UNMAPPED else ""
        return f"task {self.task_id!r}{index} of run {self.run.dag_run_id!r}"

    @property
    def instance(self) -> str:
        """The task instance without its run."""
        index = f" with map index {self.map_index}" if self.map_index != UNMAPPED else ""
        return f"task {self.task_id!r}{index}"


async def questions(reads: StoreReads, where: WaitFilter) -> tuple[list[Asked], int]:
    """A page of what people are asked, and how much there is in all."""
    found, total = await reads.wait_page(where)
    return [Asked.of(one) for one in found], total


async def question_at(reads: StoreReads, place: Place, name: str | None = None, *, to_answer: bool = False) -> Asked:
    """What a task instance asks under this name, by default its only question; the one that is open, if any is.

    Raises NotFoundError; with `to_answer` ConflictError where it is too late for an answer.
    """
    where = WaitFilter(
        run_id=place.run.run_id, task_id=place.task_id, map_index=place.map_index, answered=None, limit=_MANY
    )
    every = [asked for asked in (await questions(reads, where))[0] if name in (None, asked.name)]
    still = [asked for asked in every if not asked.is_answered]
    names = sorted({asked.name for asked in still})
    if len(names) > 1:
        raise ConflictError(f"{place} asks several questions; name one of them: {', '.join(names)}")
    if still:
        return still[0]
    if every and not to_answer:
        return every[-1]
    if every:
        raise ConflictError(f"{place}: {every[-1].name!r} has been answered already")
    raise await _not_asked(reads, place, name, to_answer=to_answer)


async def _not_asked(reads: StoreReads, place: Place, name: str | None, *, to_answer: bool) -> Exception:
    row = await reads.instance_get(place.run.run_id, place.task_id, place.map_index)
    if row is None:
        return NotFoundError(f"run {place.run.dag_run_id!r} of {place.run.dag_id} has no {place.instance}")
    if row.state in FINISHED and to_answer:
        return ConflictError(f"{place} takes no answer: it has ended: {row.state.value}")
    what = "nothing" if name is None else f"nothing under the name {name!r}"
    return NotFoundError(f"{place} asks {what}; it is {row.state.value}")


async def answer(control: Control, asked: Asked, value: Json, by: Mapping[str, str] | None) -> bool:
    """Hands a person's answer to the task. Whether the task goes on because of it. `by`: the person's `id` and `name`.

    Raises ParamValidationError for one that does not fit the form, ConflictError where it is too late.
    """
    asked.question.check(value)
    told = signed(value, by, datetime.now(UTC).isoformat()) if asked.question.signed else value
    encoded = _packed(told, f"the answer to {asked.name!r}")
    message = Signal(asked.task_id, asked.map_index, INPUT_KIND, asked.name, encoded, asked.key)
    return await control.signal_send(asked.dag_id, asked.dag_run_id, message)


async def send_signal(control: Control, place: Place, name: str, value: Json) -> bool:
    """Sends a signal to a task instance. Whether it goes on because of it; else the signal is kept until it asks.

    Raises NotFoundError, ConflictError (the task has ended, or not begun), ParamValidationError.
    """
    if not name or ":" in name:
        raise ParamValidationError(f"the name of a signal is a text without ':', not {name!r}")
    encoded = _packed(value, f"the value of signal {name!r}")
    message = Signal(place.task_id, place.map_index, SIGNAL_KIND, name, encoded)
    return await control.signal_send(place.run.dag_id, place.run.dag_run_id, message)


def _packed(value: Json, where: str) -> EncodedValue:
    try:
        return packed(value, where)
    except XComError as why:
        raise ParamValidationError(why.message) from None
