"""One turn of the scheduler: what it touched, decided, and owes to whom."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from tradewind.model.batch import DagChange, MailDone
from tradewind.model.commands import Decision
from tradewind.model.keys import RunId
from tradewind.rules.run_machine import RunMachine
from tradewind.services.owned_dag import OwnedDag

Answer = Callable[[bool], None]
"""Called with whether what was asked for has been committed."""


@dataclass(slots=True)
class Turn:
    """Everything between taking in events and the effects that follow their commit."""

    decision: Decision = field(default_factory=Decision)
    touched: dict[RunId, RunMachine] = field(default_factory=dict[RunId, RunMachine])
    to_activate: dict[str, OwnedDag] = field(default_factory=dict[str, OwnedDag])
    dags: list[DagChange] = field(default_factory=list[DagChange])
    mail: list[MailDone] = field(default_factory=list[MailDone])
    concerned: set[RunId] = field(default_factory=set[RunId])
    """The runs to which the wish that is just being taken in has done something."""
    answers: list[tuple[AbstractSet[RunId], bool, Answer]] = field(
        default_factory=list[tuple[AbstractSet[RunId], bool, Answer]]
    )
    """(runs concerned, whether the rules accepted it, whom to tell)."""

    broken: set[RunId] = field(default_factory=set[RunId])
    """Runs whose event the rules could not decide: to be loaded anew."""

    def owe(self, answer: Answer | None, concerned: AbstractSet[RunId], *, accepted: bool) -> None:
        """Notes whom to tell once this turn is committed. Where one of the runs is left out of it, it is refused."""
        if answer is not None:
            self.answers.append((concerned, accepted, answer))

    def plan(self, dag: OwnedDag) -> None:
        """Has this turn see whether a queued run of the DAG may become active."""
        self.to_activate[dag.dag_id] = dag

    def change_dag(self, change: DagChange) -> None:
        """Notes new values of a DAG's row, with those that this turn has for it already."""
        for earlier in self.dags:
            if earlier.dag_id == change.dag_id:
                earlier.is_paused = earlier.is_paused if change.is_paused is None else change.is_paused
                earlier.cursor = change.cursor or earlier.cursor
                return
        self.dags.append(change)

    def without(self, refused: set[RunId]) -> None:
        """Forgets the effects of runs whose changes were not committed."""
        decision = self.decision
        decision.start = [a for a in decision.start if a.key.run_id not in refused]
        decision.cancel = [k for k in decision.cancel if k.run_id not in refused]
        decision.wait = [w for w in decision.wait if w.key.run_id not in refused]
        decision.unwait = [w for w in decision.unwait if w.key.run_id not in refused]
        decision.timers = [t for t in decision.timers if t.run_id not in refused]
        decision.go_on = [g for g in decision.go_on if g.run_id not in refused]
        decision.ended = [e for e in decision.ended if e[0] not in refused]
        self.answers = [
            (concerned, accepted and not concerned & refused, answer) for concerned, accepted, answer in self.answers
        ]
