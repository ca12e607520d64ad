"""Effective priority weights: a task's own weight plus that of all tasks after (or before) it.

Exact sums over transitive relatives, without a set per task: reachability is kept as bit fields,
8,192 tasks at a time, so 100,000 tasks take a second or two and some 100 MB at worst.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

_BLOCK: Final = 8192
_LEAST: Final = -(2**31)
_GREATEST: Final = 2**31 - 1


class Weighted(NamedTuple):
    """One task: its own weight, its rule, and the numbers of its direct upstream tasks."""

    weight: int
    rule: str
    upstream: Sequence[int]


def total_weights(tasks: Sequence[Weighted]) -> list[int]:
    """The effective weight of each task, clipped to 32-bit signed integers. The graph has no circle."""
    up = [tuple(task.upstream) for task in tasks]
    down: list[list[int]] = [[] for _ in tasks]
    for number, before in enumerate(up):
        for other in before:
            down[other].append(number)
    totals = [task.weight for task in tasks]
    own = totals.copy()
    for rule, ahead, behind in (("downstream", down, up), ("upstream", up, down)):
        if any(task.rule == rule for task in tasks):
            sums = _sums(own, ahead, behind)
            totals = [sums[n] if tasks[n].rule == rule else total for n, total in enumerate(totals)]
    return [min(max(total, _LEAST), _GREATEST) for total in totals]


def _sums(own: Sequence[int], ahead: Sequence[Sequence[int]], behind: Sequence[Sequence[int]]) -> list[int]:
    """Own weight plus the weights of all tasks that can be reached along `ahead`."""
    order = _far_end_first(ahead, behind)
    sums = list(own)
    # With at most one task ahead, what lies ahead is that task and all that it reaches: no bits needed.
    counted = {n for n in order if len(ahead[n]) > 1}
    if counted:
        _add_by_blocks(order, own, ahead, counted, sums)
    for n in order:
        if len(ahead[n]) == 1:
            sums[n] += sums[ahead[n][0]]
    return sums


def _far_end_first(ahead: Sequence[Sequence[int]], behind: Sequence[Sequence[int]]) -> list[int]:
    """Every task after all tasks ahead of it."""
    left = [len(tasks) for tasks in ahead]
    order = [n for n, count in enumerate(left) if not count]
    for n in order:
        for other in behind[n]:
            left[other] -= 1
            if not left[other]:
                order.append(other)
    return order


def _add_by_blocks(
    order: Sequence[int], own: Sequence[int], ahead: Sequence[Sequence[int]], counted: set[int], sums: list[int]
) -> None:
    """Adds to `sums` what the counted tasks reach, one block of targets after another."""
    for start in range(0, len(order), _BLOCK):
        block = order[start : start + _BLOCK]
        weights = [own[n] for n in block]
        planes = _planes(weights)
        alike = weights[0] if len(set(weights)) == 1 else 0
        reach: list[int] = [0] * len(own)  # the task itself and what it reaches, within the block
        bit = {n: 1 << place for place, n in enumerate(block)}
        # Tasks before the block in this order cannot reach it.
        for n in order[start:]:
            reached = 0
            for other in ahead[n]:
                reached |= reach[other]
            if reached and n in counted:
                if alike:  # all tasks of the block weigh the same, as they mostly do
                    sums[n] += alike * reached.bit_count()
                else:
                    sums[n] += sum(factor * (reached & plane).bit_count() for factor, plane in planes)
            own_bit = bit.get(n)
            reach[n] = reached if own_bit is None else reached | own_bit


def _planes(weights: Sequence[int]) -> list[tuple[int, int]]:
    """(factor, bit field of the tasks it holds for) such that factors add up to each task's weight."""
    by_factor: dict[int, int] = {}
    if len(set(weights)) <= 16:
        for place, weight in enumerate(weights):
            by_factor[weight] = by_factor.get(weight, 0) | (1 << place)
    else:
        for place, weight in enumerate(weights):
            sign, rest, power = (-1 if weight < 0 else 1), abs(weight), 0
            while rest >> power:
                if rest >> power & 1:
                    factor = sign << power
                    by_factor[factor] = by_factor.get(factor, 0) | (1 << place)
                power += 1
    by_factor.pop(0, None)
    return list(by_factor.items())
