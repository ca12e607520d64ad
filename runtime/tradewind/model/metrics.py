"""Figures of a running system in a form that every monitoring format can be made of."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple


class MetricKind(StrEnum):
    """How the values of a metric move."""

    COUNTER = "counter"
    """Only grows, from 0 at the start of the process."""
    GAUGE = "gauge"
    """Is as it is now."""
    HISTOGRAM = "histogram"
    """Counts observations by size: its values are `Distribution`."""
    SUMMARY = "summary"
    """Counts and adds up observations: its values are `Distribution` without bounds."""


class Distribution(NamedTuple):
    """Observations so far. `counts` has one entry a bound, how many were at most that large and larger than the bound
    before, and one more for those beyond the last.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float
    """The sum of what was observed."""

    @property
    def observed(self) -> int:
        """How many there were."""
        return sum(self.counts)


class MetricSample(NamedTuple):
    """One series: the values of its metric's labels, in their order, and its own."""

    labels: tuple[str, ...]
    value: float | Distribution


class Metric(NamedTuple):
    """A metric with its series. `name` has no prefix and, of a counter, no `_total`; units are seconds."""

    name: str
    kind: MetricKind
    doc: str
    labels: tuple[str, ...]
    samples: Sequence[MetricSample]
