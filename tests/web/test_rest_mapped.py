"""Instances of mapped tasks over REST."""

from __future__ import annotations

from tests.web.conftest import Site
from tests.web.test_rest_runs import RUNS, triggered

INSTANCE = f"{RUNS}/one/taskInstances/list"


async def test_instances_of_a_mapped_task(site: Site) -> None:
    """Listed by index, with what their template made of it; each alone; the task itself is not there."""
    run = await triggered(site)
    await site.control.expand(run, "list", ["north", None, "south"])
    mapped = await (await site.get(f"{INSTANCE}/listMapped?limit=2")).json()
    assert mapped["total_entries"] == 3
    shown = [(entry["map_index"], entry["rendered_map_index"], entry["state"]) for entry in mapped["task_instances"]]
    assert shown == [(0, "north", "success"), (1, "1", "success")]
    one = await (await site.get(f"{INSTANCE}/2")).json()
    assert (one["map_index"], one["rendered_map_index"]) == (2, "south")
    tries = await (await site.get(f"{INSTANCE}/2/tries")).json()
    assert [(entry["map_index"], entry["try_number"]) for entry in tries["task_instances"]] == [(2, 1)]
    await site.get(INSTANCE, 404)
    await site.get(f"{INSTANCE}/3", 404)
    every = await (await site.get(f"{RUNS}/one/taskInstances?task_id=list&map_index=1")).json()
    assert [entry["map_index"] for entry in every["task_instances"]] == [1]


async def test_a_task_that_is_not_mapped_has_no_rendered_index(site: Site) -> None:
    await triggered(site)
    assert (await (await site.get(INSTANCE)).json())["rendered_map_index"] is None
