"""What a view reads grows with what it shows, not with everything that there is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import asyncpg
import orjson
import pytest

from tests.store.conftest import emptied
from tradewind.store.connection import Line, LineSettings
from tradewind.store.migrate import DEFAULT_SCHEMA
from tradewind.store.statements import Statement, expanded, statement

# 400 runs of 40 DAGs with 50 tasks each; one of them with 2,000 instances of a mapped task besides.
FILL = """
INSERT INTO dag_run (run_id, dag_id, dag_run_id, version_hash, run_type, state, external_trigger, logical_date,
                     interval_start, interval_end, queued_at, run_after)
SELECT n, 'dag_' || n % 40, 'run_' || n, 'v', 'manual', 'success', true, now() + n * interval '1 s', now(), now(),
       now(), now()
FROM generate_series(1, 400) n;
INSERT INTO task_instance (run_id, task_id, state)
SELECT n, 'task_' || t, 'success' FROM generate_series(1, 400) n, generate_series(1, 50) t;
INSERT INTO task_instance (run_id, task_id, map_index, state)
SELECT 7, 'mapped', i, 'success' FROM generate_series(0, 1999) i;
INSERT INTO xcom (run_id, at, task_id, map_index, key, codec, data)
SELECT run_id, now(), task_id, map_index, 'return_value', 1, '1' FROM task_instance;
INSERT INTO blob (blob_hash, data) SELECT '\\x00', '';
INSERT INTO asset (uri, name, group_name, extra) SELECT 'a' || n, 'a' || n, '', '{}' FROM generate_series(1, 50) n;
INSERT INTO asset_event (at, source_run_id, routed, uri, source_dag_id, source_task_id, extra)
SELECT now(), run_id, true, 'a' || 1 + run_id % 50, dag_id, 'task_1', '{}' FROM dag_run, generate_series(1, 50);
INSERT INTO run_asset_event (run_id, event_id) SELECT source_run_id, min(event_id) FROM asset_event GROUP BY 1;
INSERT INTO missed_deadline (run_id, due, dag_id, name, body)
SELECT run_id, now(), dag_id, convert_to('sla:' || t, 'UTF8'), '{}' FROM dag_run, generate_series(1, 50) t;
ANALYZE;
"""

_INSTANCE_ORDER = "t.task_id ASC NULLS LAST, t.run_id, t.task_id, t.map_index"
_OF_INSTANCES = {"columns": expanded("run", "instance_columns"), "order": _INSTANCE_ORDER}
_DEADLINES = {"order": "m.at DESC"}


async def _fill(url: str) -> None:
    session = await asyncpg.connect(await emptied(url), server_settings={"search_path": DEFAULT_SCHEMA})
    await session.execute(FILL)
    await session.close()


@pytest.fixture(scope="module")
def filled(shared_database: str) -> str:
    """A database with a history; nothing changes it."""
    with asyncio.Runner() as runner:
        runner.run(_fill(shared_database))
    return shared_database


@pytest.mark.parametrize(
    ("query", "given", "most"),
    [
        (statement("instance", "instance_page", **_OF_INSTANCES), {"run_id": 7}, 4_200),
        (statement("instance", "instance_count"), {"run_id": 7}, 4_200),
        (statement("instance", "instance_page_of_many", **_OF_INSTANCES), {"dag_ids": ["dag_3"]}, 1_200),
        (statement("instance", "instance_tally"), {"states": ["success"]}, 500),
        (statement("run", "run_list", order="r.run_id ASC"), {"dag_id": "dag_3"}, 100),
        (statement("run", "xcom_page"), {"run_id": 7, "task_id": "mapped", "map_index": 5}, 10),
        (statement("run", "xcom_list"), {"run_id": 7, "task_id": "mapped", "map_index": 5, "with_values": False}, 10),
        (statement("asset", "asset_event_list", direction="DESC"), {"source_dag_id": "dag_3"}, 5_000),
        (statement("asset", "asset_event_count"), {"source_dag_id": "dag_3"}, 1_500),
        (statement("asset", "asset_event_list", direction="DESC"), {"caused_run": 7}, 500),
        (statement("asset", "asset_event_count"), {"caused_run": 7}, 500),
        (statement("deadline", "deadline_page", **_DEADLINES), {"dag_id": "dag_3"}, 2_000),
        (statement("deadline", "deadline_page", **_DEADLINES), {"run_ids": [7]}, 500),
        (statement("blob", "blob_sweep"), {"age": -1.0, "age_outside": -1.0}, 10),
    ],
    ids=lambda value: value.name if isinstance(value, Statement) else "",
)
async def test_a_view_reads_what_it_shows(filled: str, query: Statement, given: dict[str, object], most: int) -> None:
    usual: dict[str, object] = {"limit": 100, "offset": 0, "mapped_only": False}
    values = query.values({**dict.fromkeys(query.parameters), **usual, **given})
    # As if the tables were so large that nobody would read them whole.
    settings = {"search_path": DEFAULT_SCHEMA, "enable_seqscan": "off"}
    session = await asyncpg.connect(filled, server_settings=settings)
    transaction = session.transaction()
    await transaction.start()
    plan = await session.fetchval(f"EXPLAIN (ANALYZE, COSTS OFF, BUFFERS OFF, FORMAT JSON) {query.text}", *values)
    await transaction.rollback()
    await session.close()
    assert sum(map(_rows_read, _nodes(orjson.loads(plan)[0]["Plan"]))) <= most, plan


async def test_what_was_asked_before_decides_nothing(filled: str) -> None:
    """Lists of everything, and then one of little: it is planned for what it asks."""
    line = Line(LineSettings(filled, DEFAULT_SCHEMA, "test"))
    query = statement("run", "xcom_count")
    wide = dict.fromkeys(query.parameters) | {"run_id": 7}
    for _ in range(10):
        await line.fetchrow(query, *query.values(wide))
    assert [row["total"] for row in await line.fetch(query, *query.values({**wide, "map_index": 5}))] == [1]
    async with line.session() as session:
        kept = await session.fetch("SELECT statement FROM pg_prepared_statements WHERE generic_plans > 0")
    await line.close()
    assert not kept


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)


def _rows_read(node: dict[str, Any]) -> float:
    if "Scan" not in node["Node Type"] or node["Node Type"] == "Bitmap Index Scan":
        return 0.0
    rows: float = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
    return rows
