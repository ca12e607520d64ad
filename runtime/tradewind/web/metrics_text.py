"""Metrics as text, in the format of Prometheus or as OpenMetrics. Imported by the first scrape, not at the start: the
library takes some time and memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from prometheus_client import Metric as Family
from prometheus_client import ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from tradewind.model.metrics import Distribution, Metric, MetricKind

PREFIX: Final = "tradewind_"


def as_text(metrics: Sequence[Metric], accepted: str) -> tuple[bytes, str]:
    """The metrics and those of the process, and the content type; `accepted` is the request's Accept header."""
    write, content_type = choose_encoder(accepted)
    return write(_Scrape(metrics)), content_type


class _Scrape(Collector):
    """What the library writes out."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Family]:
        for metric in self._metrics:
            yield _family(metric)
        yield from ProcessCollector(registry=None).collect()


def _family(metric: Metric) -> Family:
    family = Family(PREFIX + metric.name, metric.doc, metric.kind.value)
    name = family.name + ("_total" if metric.kind is MetricKind.COUNTER else "")
    for values, value in metric.samples:
        labels = dict(zip(metric.labels, values, strict=True))
        if isinstance(value, Distribution):
            _add_distribution(family, labels, value)
        else:
            family.add_sample(name, labels, value)
    return family


def _add_distribution(family: Family, labels: dict[str, str], found: Distribution) -> None:
    below = 0
    for bound, count in zip(found.bounds, found.counts, strict=False):
        below += count
        family.add_sample(f"{family.name}_bucket", {**labels, "le": str(bound)}, below)
    if found.bounds:
        family.add_sample(f"{family.name}_bucket", {**labels, "le": "+Inf"}, found.observed)
    family.add_sample(f"{family.name}_count", labels, found.observed)
    family.add_sample(f"{family.name}_sum", labels, found.total)
