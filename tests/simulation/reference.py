"""What trigger rules say, written a second time and without any code of the engine."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import permutations

from tradewind.model.states import TaskState, TriggerRule

S, F, K, U = TaskState.SUCCESS, TaskState.FAILED, TaskState.SKIPPED, TaskState.UPSTREAM_FAILED
RUN, WAIT = TaskState.RUNNING, TaskState.NONE


def says(rule: TriggerRule, ended: Sequence[TaskState], total: int) -> TaskState:
    """RUN, WAIT, or the state that the task gets, when these of its `total` upstream tasks have ended."""
    seen, all_in = set(ended), len(ended) == total
    bad = bool(seen & {F, U})
    match rule.value:
        case _ if total == 0:
            return RUN
        case "always":
            return RUN
        case "all_success":
            return U if bad else K if K in seen else RUN if all_in else WAIT
        case "all_failed":
            return K if seen & {S, K} else RUN if all_in else WAIT
        case "all_skipped":
            return K if seen - {K} else RUN if all_in else WAIT
        case "all_done" | "all_done_setup_success":
            return RUN if all_in else WAIT
        case "one_success":
            return RUN if S in seen else WAIT if not all_in else K if seen == {K} else U
        case "one_failed":
            return RUN if bad else K if all_in else WAIT
        case "one_done":
            return RUN if seen & {S, F} else K if all_in else WAIT
        case "none_failed":
            return U if bad else RUN if all_in else WAIT
        case "none_failed_min_one_success" | "all_done_min_one_success" as name:
            at_once, without = (U, K) if name.startswith("none_failed") else (K, U)
            hit = bad if at_once is U else K in seen
            return at_once if hit else WAIT if not all_in else RUN if S in seen else without
        case _:  # none_skipped
            return K if K in seen else RUN if all_in else WAIT


@lru_cache(maxsize=100_000)
def possible(rule: TriggerRule, upstream: tuple[TaskState, ...]) -> frozenset[TaskState]:
    """What the rule may have decided first, over all orders in which the upstream tasks may have ended."""
    found: set[TaskState] = set()
    for order in set(permutations(upstream)):
        steps = (says(rule, order[:k], len(order)) for k in range(len(order) + 1))
        found.add(next(step for step in steps if step is not WAIT))
    return frozenset(found)
