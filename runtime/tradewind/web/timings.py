"""How long requests take: counters by route, in the shape of a Prometheus histogram."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Final

BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper ends of the buckets, in seconds; one more bucket holds what took longer."""


@dataclass(slots=True)
class RouteTiming:
    """Requests of one route and status class so far."""

    count: int = 0
    seconds: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))


class RequestTimings:
    """Counts finished requests. The number of series is bounded by the number of routes."""

    def __init__(self) -> None:
        self._series: dict[tuple[str, str, str], RouteTiming] = {}

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Counts one request. `route` is the path's pattern, never the path itself."""
        key = (method, route, f"{status // 100}xx")
        timing = self._series.get(key)
        if timing is None:
            timing = self._series[key] = RouteTiming()
        timing.count += 1
        timing.seconds += seconds
        timing.buckets[bisect_left(BOUNDS, seconds)] += 1

    def series(self) -> dict[tuple[str, str, str], RouteTiming]:
        """(method, route, status class) to its counters."""
        return dict(self._series)
