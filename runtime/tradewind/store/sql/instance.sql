-- Lists of task instances, of one run or across runs. {columns} are those of run.sql.

-- name: instance_page
SELECT {columns} FROM task_instance t WHERE {of_run} AND {instance_conditions}
ORDER BY {order} LIMIT :limit::bigint OFFSET :offset::bigint

-- name: instance_count
SELECT count(*) AS total FROM task_instance t WHERE {of_run} AND {instance_conditions}

-- name: of_run
-- Fragment. While a mapped task's own row is there, it alone counts: these rows are looked for once, and in this run.
t.run_id = :run_id::bigint AND (t.map_index < 0 OR t.task_id NOT IN (
    SELECT o.task_id FROM task_instance o WHERE o.run_id = :run_id::bigint AND o.map_index = -1))

-- name: instance_page_of_many
SELECT {columns} FROM task_instance t JOIN dag_run r USING (run_id) WHERE {run_conditions} AND {instance_conditions}
ORDER BY {order} LIMIT :limit::bigint OFFSET :offset::bigint

-- name: instance_count_of_many
SELECT count(*) AS total FROM task_instance t JOIN dag_run r USING (run_id)
WHERE {run_conditions} AND {instance_conditions}

-- name: run_conditions
-- Fragment: a ManyRuns; null parameters are no condition. While a mapped task's own row is there, it alone counts.
r.namespace = 'default'
AND (:dag_ids::text[] IS NULL OR r.dag_id = ANY (:dag_ids::text[]))
AND (:dag_run_ids::text[] IS NULL OR r.dag_run_id = ANY (:dag_run_ids::text[]))
AND (:logical_from::timestamptz IS NULL OR r.logical_date >= :logical_from::timestamptz)
AND (:logical_to::timestamptz IS NULL OR r.logical_date <= :logical_to::timestamptz)
AND (:versions::text[] IS NULL OR (r.version_hash, t.task_id) IN (
    SELECT u.version, u.task FROM unnest(:versions::text[], :tasks::text[]) AS u(version, task)))
AND (t.map_index < 0 OR NOT EXISTS (
    SELECT FROM task_instance o WHERE o.run_id = t.run_id AND o.task_id = t.task_id AND o.map_index = -1))

-- name: instance_conditions
-- Fragment: an InstanceFilter; null parameters are no condition.
(:task_ids::text[] IS NULL OR t.task_id = ANY (:task_ids::text[]))
AND (:states::text[] IS NULL OR t.state::text = ANY (:states::text[]))
AND (:map_index::integer IS NULL OR t.map_index = :map_index::integer)
AND (NOT :mapped_only::boolean OR t.map_index >= 0)
AND (:started_from::timestamptz IS NULL OR t.started_at >= :started_from::timestamptz)
AND (:started_to::timestamptz IS NULL OR t.started_at <= :started_to::timestamptz)
AND (:ended_from::timestamptz IS NULL OR t.ended_at >= :ended_from::timestamptz)
AND (:ended_to::timestamptz IS NULL OR t.ended_at <= :ended_to::timestamptz)
AND (:lasted_from::float8 IS NULL OR extract(epoch FROM t.ended_at - t.started_at) >= :lasted_from::float8)
AND (:lasted_to::float8 IS NULL OR extract(epoch FROM t.ended_at - t.started_at) <= :lasted_to::float8)

-- name: run_many
SELECT {columns} FROM dag_run r WHERE r.run_id = ANY (:run_ids::bigint[])

-- name: instance_tally
-- Counted by run first, so that only for a few rows is asked whether the task's own row is there, which alone counts then.
SELECT r.dag_id, r.version_hash, c.task_id, c.state, sum(c.number)::integer AS number
FROM (
    SELECT t.run_id, t.task_id, t.state::text AS state, t.map_index < 0 AS is_own, count(*) AS number
    FROM dag_run w JOIN task_instance t USING (run_id)
    WHERE w.namespace = 'default' AND w.state = 'running' AND t.state::text = ANY (:states::text[])
    GROUP BY 1, 2, 3, 4
) AS c JOIN dag_run r USING (run_id)
WHERE c.is_own OR NOT EXISTS (
    SELECT FROM task_instance o WHERE o.run_id = c.run_id AND o.task_id = c.task_id AND o.map_index = -1)
GROUP BY 1, 2, 3, 4

-- name: run_versions
SELECT DISTINCT r.dag_id, r.version_hash FROM dag_run r
WHERE r.namespace = 'default' AND (:dag_ids::text[] IS NULL OR r.dag_id = ANY (:dag_ids::text[]))
ORDER BY r.dag_id, r.version_hash

-- name: attempt_latest
-- Of each of these task instances the attempt that began last, live or ended.
SELECT found.* FROM unnest(:run_ids::bigint[], :task_ids::text[], :map_indexes::integer[]) AS k(run_id, task_id, map_index),
LATERAL (
    SELECT a.run_id, a.attempt, a.task_id, a.map_index, a.try_number, a.executor, a.pool, a.pool_slots, a.started_at,
           a.ended_at, a.kind::text, a.hostname, a.pid, a.detail
    FROM (
        SELECT run_id, attempt, task_id, map_index, try_number, executor, pool, pool_slots, started_at, ended_at, kind,
               hostname, pid, detail
        FROM attempt e WHERE e.run_id = k.run_id AND e.task_id = k.task_id AND e.map_index = k.map_index
        UNION ALL
        SELECT run_id, attempt, task_id, map_index, try_number, executor, pool, pool_slots, started_at, NULL, NULL,
               NULL, NULL, NULL
        FROM live_attempt l WHERE l.run_id = k.run_id AND l.task_id = k.task_id AND l.map_index = k.map_index
    ) AS a
    ORDER BY a.started_at DESC, a.try_number DESC, a.attempt DESC LIMIT 1
) AS found
