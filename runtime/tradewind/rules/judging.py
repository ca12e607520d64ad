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
        if self.passed_over and self.is_passed_over(n, task):
            return Verdict.SKIP
        if mapping is not None:
            if task in mapping.plan.sources:
                judged = _sources_say(mapping, task)
                if judged is not Verdict.RUN:
                    return judged
            if task in mapping.plan.gates and mapping.is_gated(n):
                return Verdict.WAIT
        judged = verdict(graph.rules[task], self.tally(n))
        return judged if task not in graph.far_setups else self._with_setups(n, task, judged)

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

    def _with_setups(self, n: int, task: int, judged: Verdict) -> Verdict:
        """What follows for `n` if its rule says `judged`: the setups that are not its direct upstreams must all
        succeed. While they have not ended they hold up only what would start.
        """
        states = {self.state[s] for s in self.far_setups(n, task)} - {_S.REMOVED}
        if states & BAD:
            return Verdict.UPSTREAM_FAILED
        if _S.SKIPPED in states:
            return Verdict.SKIP
        return judged if judged is not Verdict.RUN or states <= {_S.SUCCESS} else Verdict.WAIT

    def far_setups(self, n: int, task: int) -> Iterator[int]:
        """The setup instances that `n` needs although they are not direct upstreams."""
        for setup in self.graph.far_setups.get(task, ()):
            yield from (setup,) if self.mapping is None else self.mapping.seen_from(n, setup)

    def nodes_of(self, task: int) -> Iterable[int]:
        """The nodes of all instances of a task."""
        return (task,) if self.mapping is None else self.mapping.nodes_of(task)

    def is_passed_over(self, n: int, task: int) -> bool:
        """Whether a branch or short circuit right above has skipped node `n`, and stands: before it was there, or
        before it was cleared.
        """
        mapping, index = self.mapping, self.maps[n]
        for up in self.graph.up[task]:
            there = up if mapping is None or up not in mapping.expanded else mapping.node_of(up, index)
            if there is not None and task in self.passed_over.get(there, ()):
                return True
        return False

    def skips_of(self, n: int, outcome: Outcome) -> tuple[int, ...]:
        """The nodes that this outcome skips directly, in order of definition."""
        tasks, mapping = self.tasks_skipped(n, outcome), self.mapping
        return tasks if mapping is None else tuple(_skipped_nodes(mapping, n, tasks))

    def tasks_skipped(self, n: int, outcome: Outcome) -> tuple[int, ...]:
        """The tasks of which this outcome skips instances."""
        graph, mapping = self.graph, self.mapping
        task = n if mapping is None else mapping.task_of(n)
        if outcome.short_circuit:
            deep = outcome.ignore_downstream_trigger_rules and (mapping is None or task not in mapping.expanded)
            chosen = graph.descendants((task,)) if deep else set(graph.down[task])
            return tuple(sorted(d for d in chosen if not graph.tasks[d].is_teardown))
        if outcome.branch is None:
            return ()
        follow = {graph.index[t] for t in outcome.branch if t in graph.index}
        keep = follow | graph.descendants(follow)
        return tuple(d for d in graph.down[task] if d not in keep)


def _sources_say(mapping: RunMapping, task: int) -> Verdict:
    """What the tasks over which a task is mapped allow, whatever its trigger rule."""
    states = mapping.source_states(task)
    if states & BAD:
        return Verdict.UPSTREAM_FAILED
    return Verdict.SKIP if _S.SKIPPED in states else Verdict.RUN


def _skipped_nodes(mapping: RunMapping, n: int, tasks: Iterable[int]) -> Iterator[int]:
    """Which instances of these tasks node `n` skips. One instance of many skips those of its own number; what is not
    mapped goes by its trigger rule, for the other instances count as well.
    """
    index = mapping.arrays.maps[n]
    for task in tasks:
        nodes = mapping.nodes_of(task)
        if mapping.task_of(n) not in mapping.expanded:
            yield from nodes
        elif task in mapping.expanded:
            yield from nodes[index : index + 1]
