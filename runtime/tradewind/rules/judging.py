"""What a task instance may do now: its trigger rule over the counts of what it looks at, its set-ups, and for
mapped tasks what their lengths need. Reads the ledger and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from tradewind.model import task_states as _S
from tradewind.model.outcomes import Outcome
from tradewind.model.states import TaskState, TriggerRule
from tradewind.rules.run_ledger import RunLedger
from tradewind.rules.run_mapping import RunMapping
from tradewind.rules.trigger_rules import Tally, Verdict, verdict

_ALL_SUCCESS: Final = TriggerRule.ALL_SUCCESS
_RUN, _WAIT = Verdict.RUN, Verdict.WAIT
BAD: Final = frozenset({_S.FAILED, _S.UPSTREAM_FAILED})


class Judge(RunLedger):
    """A ledger that can be asked what its instances may do."""

    def judge(self, n: int) -> Verdict:
        """What node `n`, which waits, may do as far as its upstream tasks are concerned."""
        mapping, graph = self.mapping, self.graph
        task = n if mapping is None else mapping.task_of(n)
        if mapping is not None and task in mapping.plan.sources:
            judged = _sources_say(mapping, task)
            if judged is not Verdict.RUN:
                return judged
        if mapping is not None and task in mapping.plan.gates and mapping.is_gated(n):
            return Verdict.WAIT
        if task in graph.far_setups:
            judged = self._setups_say(n, task)
            if judged is not Verdict.RUN:
                return judged
        return verdict(graph.rules[task], self.tally(n))

    def judge_plain(self, n: int) -> Verdict:
        """The same in a graph without mapped tasks and far set-ups. Most judgements are of one kind and need no
        tally: `all_success` while nothing has gone wrong.
        """
        rule = self.graph.rules[n]
        if rule is _ALL_SUCCESS and not self.awry_upstream[n]:
            return _RUN if self.ended_upstream[_S.SUCCESS][n] >= len(self.graph.up[n]) else _WAIT
        return verdict(rule, self.tally(n))

    def tally(self, n: int) -> Tally:
        """How the direct upstream instances of `n` stand."""
        mapping = self.mapping
        if mapping is not None:
            return self._mapped_tally(n, mapping)
        by, up, tasks = self.ended_upstream, self.graph.up[n], self.graph.tasks
        there = [u for u in up if tasks[u].is_setup] if tasks[n].is_teardown else ()
        setups = [self.state[u] for u in there if self.state[u] is not _S.REMOVED]
        return Tally(
            len(up) - self.removed_upstream.get(n, 0),
            by[_S.SUCCESS][n],
            by[_S.FAILED][n],
            by[_S.SKIPPED][n],
            by[_S.UPSTREAM_FAILED][n],
            len(setups),
            setups.count(_S.SUCCESS),
            setups.count(_S.SKIPPED),
        )

    def _mapped_tally(self, n: int, mapping: RunMapping) -> Tally:
        graph, task = self.graph, mapping.task_of(n)
        setups: list[TaskState] = []
        if graph.tasks[task].is_teardown:
            seen = (mapping.seen_from(n, u) for u in graph.up[task] if graph.tasks[u].is_setup)
            setups = [self.state[u] for nodes in seen for u in nodes]
        return Tally(
            mapping.total_of(n),
            mapping.count_of(n, _S.SUCCESS),
            mapping.count_of(n, _S.FAILED),
            mapping.count_of(n, _S.SKIPPED),
            mapping.count_of(n, _S.UPSTREAM_FAILED),
            len(setups),
            setups.count(_S.SUCCESS),
            setups.count(_S.SKIPPED),
        )

    def _setups_say(self, n: int, task: int) -> Verdict:
        """What the setups of `n` that are not its direct upstreams allow: all must succeed."""
        states = {self.state[s] for s in self.far_setups(n, task)} - {_S.REMOVED}
        if states & BAD:
            return Verdict.UPSTREAM_FAILED
        if _S.SKIPPED in states:
            return Verdict.SKIP
        return Verdict.RUN if states <= {_S.SUCCESS} else Verdict.WAIT

    def far_setups(self, n: int, task: int) -> Iterator[int]:
        """The setup instances that `n` needs although they are not direct upstreams."""
        for setup in self.graph.far_setups.get(task, ()):
            yield from (setup,) if self.mapping is None else self.mapping.seen_from(n, setup)

    def nodes_of(self, task: int) -> Iterable[int]:
        """The nodes of all instances of a task."""
        return (task,) if self.mapping is None else self.mapping.nodes_of(task)

    def skips_of(self, n: int, outcome: Outcome) -> tuple[int, ...]:
        """The nodes that this outcome skips directly, in order of definition."""
        graph, mapping = self.graph, self.mapping
        task = n if mapping is None else mapping.task_of(n)
        if outcome.short_circuit:
            deep = outcome.ignore_downstream_trigger_rules
            chosen = graph.descendants((task,)) if deep else set(graph.down[task])
            tasks = tuple(sorted(d for d in chosen if not graph.tasks[d].is_teardown))
        elif outcome.branch is None:
            return ()
        else:
            follow = {graph.index[t] for t in outcome.branch if t in graph.index}
            keep = follow | graph.descendants(follow)
            tasks = tuple(d for d in graph.down[task] if d not in keep)
        if mapping is None:
            return tasks
        return tuple(_skipped_nodes(mapping, n, tasks, beyond=outcome.short_circuit))


def _sources_say(mapping: RunMapping, task: int) -> Verdict:
    """What the tasks over which a task is mapped allow, whatever its trigger rule."""
    states = mapping.source_states(task)
    if states & BAD:
        return Verdict.UPSTREAM_FAILED
    return Verdict.SKIP if _S.SKIPPED in states else Verdict.RUN


def _skipped_nodes(mapping: RunMapping, n: int, tasks: Iterable[int], *, beyond: bool) -> Iterator[int]:
    """Which instances of these tasks node `n` skips. One instance of many skips the same instance within its
    mapped group; outside it (`beyond`) a short circuit skips all, a branch leaves it to the trigger rules.
    """
    own = mapping.task_of(n)
    for task in tasks:
        if own not in mapping.expanded or (beyond and not mapping.plan.same_scope(own, task)):
            yield from mapping.nodes_of(task)
        elif mapping.plan.same_scope(own, task) and task in mapping.expanded:
            yield from mapping.seen_by(n, task)
