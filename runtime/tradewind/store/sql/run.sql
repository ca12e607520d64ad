-- Runs and what belongs to them, as read; their creation.

-- name: run_columns
-- Fragment: the columns of a RunRow, from dag_run r.
r.run_id, r.dag_id, r.dag_run_id, r.version_hash, r.run_type::text, r.state::text, r.logical_date, r.interval_start,
r.interval_end, r.queued_at, r.run_after, r.started_at, r.ended_at, r.conf_codec, r.conf, r.external_trigger, r.note,
r.run_key, r.partition_date, r.counts

-- name: instance_columns
-- Fragment: the columns of an InstanceRow, from task_instance t.
t.run_id, t.task_id, t.map_index, t.state::text, t.try_number, t.max_tries, t.lost_count, t.queued_at, t.started_at,
t.ended_at, t.due_at, t.attempt

-- name: run_insert
-- Fragment: the run's row, unless the DAG has one of that id.
INSERT INTO dag_run (run_id, dag_id, dag_run_id, version_hash, run_type, state, logical_date, interval_start,
                     interval_end, queued_at, run_after, started_at, ended_at, conf_codec, conf, external_trigger,
                     note, run_key, partition_date, counts)
SELECT :run_id::bigint, :dag_id::text, :dag_run_id::text, :version_hash::text, :run_type::text::run_type,
       :state::text::run_state, :logical_date::timestamptz, :interval_start::timestamptz, :interval_end::timestamptz,
       :queued_at::timestamptz, :run_after::timestamptz, :started_at::timestamptz, :ended_at::timestamptz,
       :conf_codec::smallint, :conf::bytea, :external_trigger::boolean, :note::bytea, :run_key::bytea,
       :partition_date::timestamptz, :counts::bytea

-- name: run_made
-- Fragment: the run's row and all its instances, behind the fence.
made AS (
    {run_insert} FROM fence
    ON CONFLICT (namespace, dag_id, dag_run_id) DO NOTHING
    RETURNING run_id
), instances AS (
    INSERT INTO task_instance (run_id, task_id, map_index, state, try_number, max_tries, lost_count, queued_at,
                               started_at, ended_at, due_at, attempt)
    SELECT made.run_id, u.task_id, u.map_index, u.state::task_state, u.try_number, u.max_tries, u.lost_count,
           u.queued_at, u.started_at, u.ended_at, u.due_at, u.attempt
    FROM made, unnest(
        :i_task::text[], :i_map::integer[], :i_state::text[], :i_try::integer[], :i_max::integer[],
        :i_lost::integer[], :i_queued::timestamptz[], :i_started::timestamptz[], :i_ended::timestamptz[],
        :i_due::timestamptz[], :i_attempt::bytea[]
    ) AS u(task_id, map_index, state, try_number, max_tries, lost_count, queued_at, started_at, ended_at, due_at,
           attempt)
)

-- name: run_made_before
-- Fragment: the run's row where the same transaction has made it.
made AS (
    SELECT run_id FROM dag_run WHERE run_id = :run_id::bigint
)

-- name: run_made.result
EXISTS (SELECT FROM made)

-- name: run_create_large
-- The run's row alone; its instances follow by COPY in the same transaction, and the fence at its end.
{run_insert}
ON CONFLICT (namespace, dag_id, dag_run_id) DO NOTHING
RETURNING run_id

-- name: run_list
SELECT {run_columns} FROM dag_run r WHERE {run_conditions}
ORDER BY {order} LIMIT :limit::bigint OFFSET :offset::bigint

-- name: run_count
SELECT count(*) AS total FROM dag_run r WHERE {run_conditions}

-- name: run_conditions
-- Fragment: a RunFilter; null parameters are no condition.
r.namespace = 'default'
AND (:dag_id::text IS NULL OR r.dag_id = :dag_id::text)
AND (:states::text[] IS NULL OR r.state::text = ANY (:states::text[]))
AND (:logical_from::timestamptz IS NULL OR r.logical_date >= :logical_from::timestamptz)
AND (:logical_to::timestamptz IS NULL OR r.logical_date <= :logical_to::timestamptz)
AND (:dag_ids::text[] IS NULL OR r.dag_id = ANY (:dag_ids::text[]))
AND (:dag_run_ids::text[] IS NULL OR r.dag_run_id = ANY (:dag_run_ids::text[]))
AND (:types::text[] IS NULL OR r.run_type::text = ANY (:types::text[]))
AND (:started_from::timestamptz IS NULL OR r.started_at >= :started_from::timestamptz)
AND (:started_to::timestamptz IS NULL OR r.started_at <= :started_to::timestamptz)
AND (:ended_from::timestamptz IS NULL OR r.ended_at >= :ended_from::timestamptz)
AND (:ended_to::timestamptz IS NULL OR r.ended_at <= :ended_to::timestamptz)

-- name: run_get
SELECT {run_columns} FROM dag_run r
WHERE r.namespace = 'default' AND r.dag_id = :dag_id::text AND r.dag_run_id = :dag_run_id::text

-- name: run_by_id
SELECT {run_columns} FROM dag_run r WHERE r.run_id = :run_id::bigint

-- name: run_before
SELECT {run_columns} FROM dag_run r
WHERE r.namespace = 'default' AND r.dag_id = :dag_id::text AND r.logical_date < :before::timestamptz
  AND (:state::text IS NULL OR r.state = :state::text::run_state)
ORDER BY r.logical_date DESC, r.run_id DESC LIMIT 1

-- name: run_unfinished
-- Unfinished runs of DAGs that the caller owns, and finished ones whose attempts are still being ended.
SELECT r.run_id FROM dag_run r JOIN dag d USING (namespace, dag_id)
WHERE r.namespace = 'default' AND r.dag_id = ANY (:dag_ids::text[]) AND d.owner = :runtime_id::bigint
  AND r.state IN ('queued', 'running')
UNION
SELECT r.run_id FROM live_attempt l JOIN dag_run r USING (run_id) JOIN dag d USING (namespace, dag_id)
WHERE r.namespace = 'default' AND r.dag_id = ANY (:dag_ids::text[]) AND d.owner = :runtime_id::bigint
UNION
SELECT w.run_id FROM task_wait w JOIN dag_run r USING (run_id) JOIN dag d USING (namespace, dag_id)
WHERE r.namespace = 'default' AND r.dag_id = ANY (:dag_ids::text[]) AND d.owner = :runtime_id::bigint
ORDER BY run_id

-- name: run_owned
SELECT r.run_id FROM dag_run r JOIN dag d USING (namespace, dag_id)
WHERE r.run_id = :run_id::bigint AND d.owner = :runtime_id::bigint

-- name: run_with_version
-- A run with the spec and the source of the version it began with.
SELECT {run_columns}, v.spec, v.bundle, v.bundle_version, v.fileloc, v.relative_fileloc
FROM dag_run r JOIN dag_version v USING (namespace, dag_id, version_hash)
WHERE r.run_id = :run_id::bigint

-- name: instance_list
SELECT {instance_columns} FROM task_instance t WHERE t.run_id = :run_id::bigint ORDER BY t.task_id, t.map_index

-- name: length_list
-- How long the values are over which others are mapped.
SELECT task_id, map_index, key, length FROM task_length WHERE run_id = :run_id::bigint

-- name: wait_list
-- What the run's task instances wait for.
SELECT task_id, map_index, key, origin, kind, method, due, deadline, undo, sealed, body, answered, timed_out, event_codec,
       event, error
FROM task_wait WHERE run_id = :run_id::bigint

-- name: wait_page
-- Waits across runs, with whose they are.
SELECT r.dag_id, r.dag_run_id, w.run_id, w.task_id, w.map_index, w.key, w.origin, w.kind, w.method, w.due, w.deadline,
       w.undo, w.sealed, w.body, w.answered, w.timed_out, w.event_codec, w.event, w.error
FROM task_wait w JOIN dag_run r USING (run_id) WHERE {wait_conditions}
ORDER BY w.run_id, w.task_id, w.map_index, w.key LIMIT :limit::bigint OFFSET :offset::bigint

-- name: wait_count
SELECT count(*) AS total FROM task_wait w JOIN dag_run r USING (run_id) WHERE {wait_conditions}

-- name: wait_conditions
-- Fragment: a WaitFilter; null parameters are no condition.
r.namespace = 'default' AND w.kind = ANY (:kinds::bytea[])
AND (:dag_id::text IS NULL OR r.dag_id = :dag_id::text)
AND (:run_id::bigint IS NULL OR w.run_id = :run_id::bigint)
AND (:task_id::text IS NULL OR w.task_id = :task_id::text)
AND (:map_index::integer IS NULL OR w.map_index = :map_index::integer)
AND (:answered::boolean IS NULL OR w.answered = :answered::boolean)

-- name: step_list
-- The steps that a task instance has taken, in the order of their making.
SELECT key, digest, codec, data FROM task_step
WHERE run_id = :run_id::bigint AND task_id = :task_id::text AND map_index = :map_index::integer ORDER BY at, key

-- name: instance_get
SELECT {instance_columns} FROM task_instance t
WHERE t.run_id = :run_id::bigint AND t.task_id = :task_id::text AND t.map_index = :map_index::integer

-- name: instance_past
-- For each task its instance in the latest earlier run that has one; of a mapped task one that has not ended
-- well, where there is one.
SELECT found.* FROM unnest(:task_ids::text[]) AS wanted(task_id), LATERAL (
    SELECT {instance_columns}
    FROM dag_run r JOIN task_instance t ON t.run_id = r.run_id AND t.task_id = wanted.task_id
    WHERE r.namespace = 'default' AND r.dag_id = :dag_id::text AND r.logical_date < :before::timestamptz
    ORDER BY r.logical_date DESC, r.run_id DESC, t.state IN ('success', 'skipped', 'removed'), t.state = 'removed',
             t.map_index
    LIMIT 1
) AS found

-- name: instance_success_before
SELECT t.run_id, t.map_index
FROM dag_run r JOIN task_instance t ON t.run_id = r.run_id AND t.task_id = :task_id::text
WHERE r.namespace = 'default' AND r.dag_id = :dag_id::text AND r.logical_date < :before::timestamptz
  AND t.state = 'success'
ORDER BY r.logical_date DESC, r.run_id DESC, t.map_index LIMIT 1

-- name: attempt_list
-- Ended and live attempts in the order they began.
SELECT a.run_id, a.attempt, a.task_id, a.map_index, a.try_number, a.executor, a.pool, a.pool_slots, a.started_at,
       a.ended_at, a.kind::text, a.hostname, a.pid, a.detail
FROM (
    SELECT run_id, attempt, task_id, map_index, try_number, executor, pool, pool_slots, started_at, ended_at, kind,
           hostname, pid, detail
    FROM attempt
    UNION ALL
    SELECT run_id, attempt, task_id, map_index, try_number, executor, pool, pool_slots, started_at, NULL, NULL,
           NULL, NULL, NULL
    FROM live_attempt
) AS a
WHERE a.run_id = :run_id::bigint AND (:task_id::text IS NULL OR a.task_id = :task_id::text)
  AND (:map_index::integer IS NULL OR a.map_index = :map_index::integer)
ORDER BY a.started_at, a.task_id, a.map_index, a.try_number, a.attempt

-- name: attempt_live
SELECT run_id, attempt, task_id, map_index, try_number, executor, pool, pool_slots, started_at, NULL::timestamptz, NULL,
       NULL::bytea, NULL::integer, NULL::bytea
FROM live_attempt WHERE run_id = :run_id::bigint ORDER BY started_at, task_id, map_index, try_number, attempt

-- name: history_list
SELECT run_id, task_id, map_index, try_number, story FROM history
WHERE run_id = :run_id::bigint AND task_id = :task_id::text AND map_index = :map_index::integer ORDER BY history_id

-- name: xcom_get
SELECT x.codec, coalesce(x.data, b.data) AS data, x.blob_hash, b.place FROM xcom x LEFT JOIN blob b USING (blob_hash)
WHERE x.run_id = :run_id::bigint AND x.task_id = :task_id::text AND x.map_index = :map_index::integer
  AND x.key = :key::bytea

-- name: xcom_indexes
SELECT x.map_index FROM xcom x
WHERE x.run_id = :run_id::bigint AND x.task_id = :task_id::text AND x.key = :key::bytea
ORDER BY x.map_index

-- name: xcom_many
SELECT x.map_index, x.codec, coalesce(x.data, b.data) AS data, x.blob_hash, b.place FROM xcom x LEFT JOIN blob b USING (blob_hash)
WHERE x.run_id = :run_id::bigint AND x.task_id = :task_id::text AND x.key = :key::bytea
  AND x.map_index = ANY (:map_indexes::integer[])

-- name: xcom_list
SELECT x.run_id, x.task_id, x.map_index, x.key, x.codec, x.at, x.blob_hash,
       CASE WHEN :with_values::boolean THEN coalesce(x.data, b.data) END AS data,
       CASE WHEN :with_values::boolean THEN b.place END AS place
FROM xcom x LEFT JOIN blob b USING (blob_hash)
WHERE x.run_id = :run_id::bigint AND (:task_id::text IS NULL OR x.task_id = :task_id::text)
  AND (:map_index::integer IS NULL OR x.map_index = :map_index::integer)
ORDER BY x.task_id, x.map_index, x.key

-- name: xcom_page
SELECT x.run_id, x.task_id, x.map_index, x.key, x.codec, x.at FROM xcom x WHERE {xcom_conditions}
ORDER BY x.task_id, x.map_index, x.key LIMIT :limit::bigint OFFSET :offset::bigint

-- name: xcom_count
SELECT count(*) AS total FROM xcom x WHERE {xcom_conditions}

-- name: xcom_conditions
-- Fragment: an XComFilter; null parameters are no condition.
x.run_id = :run_id::bigint AND (:task_id::text IS NULL OR x.task_id = :task_id::text)
AND (:map_index::integer IS NULL OR x.map_index = :map_index::integer)
AND (:key::bytea IS NULL OR x.key = :key::bytea)
