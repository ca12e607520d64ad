"""Faults about limits."""

from __future__ import annotations

from typing import Any

from tests.simulation import permit_stories, stories
from tests.simulation.faults.planting import Faults, Patch, giving, wrap
from tradewind.model.errors import StoreUnavailable
from tradewind.rules.admission import Admission, Lane
from tradewind.services.deadline_keeper import DeadlineKeeper
from tradewind.services.owned_dag import OwnedDag
from tradewind.services.permit_keeper import PermitKeeper
from tradewind.store.memory_tables import MemoryDatabase

fault = Faults()


@fault(disturbed=False)
def limits_forgotten(patch: Patch) -> None:
    patch.setattr(Lane, "blocked_by", giving(None))


@fault(disturbed=False)
def limit_off_by_one(patch: Patch) -> None:
    def one_more(self: Any) -> int | None:
        for k, limit in enumerate(self.limits):
            if 0 <= limit.size < limit.used + self.costs[k] - 1:
                return k
        return None

    patch.setattr(Lane, "blocked_by", one_more)


@fault(disturbed=False)
def limit_not_released(patch: Patch) -> None:
    def make(free: Any) -> Any:
        def greedy(self: Any, place: Any) -> None:
            lane = self._holding.get(place)
            free(self, place)
            if lane is not None:
                lane.limits[0].used += lane.costs[0]

        return greedy

    wrap(patch, Admission, "free", make)


@fault(disturbed=False)
def parked_lane_forgotten(patch: Patch) -> None:
    def make(free: Any) -> Any:
        def quiet(self: Any, place: Any) -> None:
            free(self, place)
            self._roomier.clear()

        return quiet

    wrap(patch, Admission, "free", make)


@fault(story=stories.the_weightiest_of_all_dags_goes_first)
def what_comes_passes_what_waits(patch: Patch) -> None:
    def make(admit: Any) -> Any:
        def hasty(self: Any) -> Any:
            roomier: set[Any] = self._roomier
            self._roomier = set[Any]()
            yield from admit(self)
            self._roomier |= roomier
            yield from admit(self)

        return hasty

    wrap(patch, Admission, "admit", make)


@fault(story=stories.the_weightiest_of_all_dags_goes_first)
def logical_dates_not_looked_at(patch: Patch) -> None:
    def make(offer: Any) -> Any:
        def timeless(self: Any, place: Any, task: Any, dag_id: str, date: float = 0.0) -> None:
            offer(self, place, task, dag_id)

        return timeless

    wrap(patch, Admission, "offer", make)


@fault(story=stories.slas_of_runs_that_have_failed)
def failed_runs_not_looked_back_at(patch: Patch) -> None:
    patch.setattr(DeadlineKeeper, "look_back", giving(None))


@fault()
def adopted_attempts_not_counted(patch: Patch) -> None:
    patch.setattr(Admission, "adopt", giving(None))


@fault(2)
def limits_not_shared(patch: Patch) -> None:
    async def all_of_it(self: Any, lease: Any, name: Any, size: int) -> None:
        self._sizes[name] = self._granted[name] = size
        self._scheduler.resize(name, size)

    async def nothing(self: Any, lease: Any, name: Any, size: int) -> None:
        return

    patch.setattr(PermitKeeper, "hold", all_of_it)
    patch.setattr(PermitKeeper, "_follow", nothing)


@fault(disturbed=False)
def pause_ignored(patch: Patch) -> None:
    def as_if_on(self: Any) -> Any:
        return self.spec.max_active_tasks

    patch.setattr(OwnedDag, "limit_size", property(as_if_on))


@fault(disturbed=False)
def max_active_runs_ignored(patch: Patch) -> None:
    def any_run(self: Any) -> Any:
        if self.row.is_paused or not self.queued:
            return None
        _, run_id = self.queued.pop(0)
        self.running.add(run_id)
        return self.machines[run_id]

    patch.setattr(OwnedDag, "next_to_activate", any_run)


class _NeverInDoubt(set[str]):
    def add(self, name: str, /) -> None:
        """Forgets it."""


def _without_doubts(patch: Patch) -> None:
    def make(init: Any) -> Any:
        def careless(self: Any, *rest: Any) -> None:
            init(self, *rest)
            self._in_doubt = _NeverInDoubt()

        return careless

    wrap(patch, PermitKeeper, "__init__", make)


@fault(story=permit_stories.permits_whose_way_back_broke_off)
def permits_on_their_way_back_forgotten(patch: Patch) -> None:
    _without_doubts(patch)


@fault(story=permit_stories.permits_that_came_unheard)
def permits_on_their_way_here_forgotten(patch: Patch) -> None:
    _without_doubts(patch)


@fault(story=permit_stories.permits_that_went_back_unheard)
def permits_given_back_twice(patch: Patch) -> None:
    def make(give: Any) -> Any:
        async def again(self: Any, lease: Any, name: str, count: int) -> None:
            before = self._granted[name]
            try:
                await give(self, lease, name, count)
            except StoreUnavailable:
                self._granted[name] = before
                self._in_doubt.discard(name)
                raise

        return again

    wrap(patch, PermitKeeper, "_return", make)


@fault(story=permit_stories.permits_that_were_inherited)
def inherited_permits_not_noticed(patch: Patch) -> None:
    patch.setattr(PermitKeeper, "inherited", giving(None))


@fault(story=permit_stories.left_while_an_attempt_runs_on_elsewhere)
def permits_in_use_given_up_when_leaving(patch: Patch) -> None:
    def make(free: Any) -> Any:
        def careless(self: Any, runtime: Any, *, is_dead: bool) -> None:
            free(self, runtime, is_dead=is_dead)
            for held in self.grants.values() if not is_dead else ():
                held.pop(runtime, None)

        return careless

    wrap(patch, MemoryDatabase, "free", make)
