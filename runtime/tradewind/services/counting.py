"""Counters that stay small, however many names they are given."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import Final

from tradewind.model.metrics import Distribution, Metric, MetricKind, MetricSample

OTHER: Final = "(other)"
"""In place of the names of those that came when there was no room for more."""


class Names:
    """Decides who gets series of their own: the first `most` names that come, for the life of the process, so that no
    counter ever moves from one series into another.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: set[tuple[str, ...]] = set()

    def shown(self, name: tuple[str, ...]) -> tuple[str, ...]:
        """The name, or as many `OTHER`."""
        if name in self._known:
            return name
        if len(self._known) < self._most:
            self._known.add(name)
            return name
        return (OTHER,) * len(name)


class Counts:
    """A counter by names and by further labels, whose values are few."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._sums: dict[tuple[str, ...], dict[tuple[str, ...], float]] = {}

    def add(self, name: tuple[str, ...], further: tuple[str, ...] = (), amount: float = 1) -> None:
        """Counts so much more."""
        sums = self._sums.get(name)
        if sums is None:
            sums = self._sums.setdefault(self._names.shown(name), {})
        sums[further] = sums.get(further, 0) + amount

    def begin(self, name: tuple[str, ...], *further: tuple[str, ...]) -> None:
        """Shows these at 0 from now on, so that their first count is seen to be a change."""
        if name not in self._sums:
            sums = self._sums.setdefault(self._names.shown(name), {})
            for one in further:
                sums.setdefault(one, 0)

    def metric(self, name: str, doc: str, *labels: str) -> Metric:
        """The counter as it stands."""
        samples = [MetricSample((*n, *f), value) for n, sums in self._sums.items() for f, value in sums.items()]
        return Metric(name, MetricKind.COUNTER, doc, labels, samples)


class Buckets:
    """A histogram of seconds; without bounds only their number and sum."""

    __slots__ = ("_bounds", "_counts", "_total")

    def __init__(self, bounds: tuple[float, ...] = ()) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0.0

    def observe(self, seconds: float) -> None:
        """Counts one."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._total += seconds

    def distribution(self) -> Distribution:
        """As it stands."""
        return Distribution(self._bounds, tuple(self._counts), self._total)

    def metric(self, name: str, doc: str) -> Metric:
        """As a metric of one series."""
        return Metric(name, MetricKind.HISTOGRAM, doc, (), [MetricSample((), self.distribution())])


def counter(name: str, doc: str, value: float) -> Metric:
    """A counter of one series."""
    return Metric(name, MetricKind.COUNTER, doc, (), [MetricSample((), value)])


def counters(name: str, doc: str, label: str, values: Iterable[tuple[str, float]]) -> Metric:
    """A counter with one label."""
    return Metric(name, MetricKind.COUNTER, doc, (label,), [MetricSample((key,), value) for key, value in values])


def gauge(name: str, doc: str, value: float) -> Metric:
    """A gauge of one series."""
    return Metric(name, MetricKind.GAUGE, doc, (), [MetricSample((), value)])


def gauges(name: str, doc: str, label: str, values: Iterable[tuple[str, float]]) -> Metric:
    """A gauge with one label."""
    return Metric(name, MetricKind.GAUGE, doc, (label,), [MetricSample((key,), value) for key, value in values])
