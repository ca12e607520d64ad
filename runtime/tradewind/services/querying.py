"""What task instances have published, for those who ask: the newest value of each name."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tradewind.authoring.xcom import readable
from tradewind.model.errors import NotFoundError
from tradewind.model.outcomes import QUERY_PREFIX, EncodedValue
from tradewind.model.specs import Json
from tradewind.model.states import TaskState
from tradewind.ports import StoreReads
from tradewind.services.answering import Place


@dataclass(frozen=True, slots=True)
class Published:
    """One value, with when it was published."""

    place: Place
    name: str
    stored: EncodedValue
    at: datetime | None

    def shown(self) -> dict[str, Json]:
        """The value as API and command line show it: plain JSON."""
        return {
            "dag_id": self.place.run.dag_id,
            "dag_run_id": self.place.run.dag_run_id,
            "task_id": self.place.task_id,
            "map_index": self.place.map_index,
            "name": self.name,
            "value": readable(self.stored),
            "timestamp": self.at,
        }


async def published(reads: StoreReads, place: Place) -> list[Published]:
    """All that a task instance lets be read, by name; committed values only. Raises NotFoundError without instance."""
    await _state_of(reads, place)
    return [
        Published(place, entry.key.removeprefix(QUERY_PREFIX), entry.value, entry.at)
        for entry in await reads.xcom_list(place.run.run_id, place.task_id, place.map_index)
        if entry.key.startswith(QUERY_PREFIX)
    ]


async def published_as(reads: StoreReads, place: Place, name: str) -> Published:
    """What a task instance publishes under a name. Raises NotFoundError, which says the names that there are."""
    found = await published(reads, place)
    for one in found:
        if one.name == name:
            return one
    state = await _state_of(reads, place)
    known = f"it publishes {', '.join(repr(one.name) for one in found)}" if found else f"it is {state.value}"
    raise NotFoundError(f"{place} publishes nothing under the name {name!r}; {known}")


async def _state_of(reads: StoreReads, place: Place) -> TaskState:
    row = await reads.instance_get(place.run.run_id, place.task_id, place.map_index)
    if row is None:
        raise NotFoundError(f"run {place.run.dag_run_id!r} of {place.run.dag_id} has no {place.instance}")
    return row.state
