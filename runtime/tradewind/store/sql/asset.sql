-- Assets, their events, and the queues of events that wait to cause runs.

-- name: asset_use_delete
-- What these DAGs said about assets before.
DELETE FROM asset_use WHERE dag_id = ANY (:dag_ids::text[])

-- name: asset_use_insert
INSERT INTO asset_use (dag_id, role, kind, ref, task_id, name, group_name, extra)
SELECT DISTINCT ON (u.dag_id, u.role, u.kind, u.ref, u.task_id) u.*
FROM unnest(:dag::text[], :role::text[], :kind::text[], :ref::text[], :task::text[], :name::text[], :group::text[],
            :extra::bytea[]) AS u(dag_id, role, kind, ref, task_id, name, group_name, extra)

-- name: asset_define
INSERT INTO asset (uri, name, group_name, extra)
SELECT DISTINCT ON (u.uri) u.*
FROM unnest(:uri::text[], :name::text[], :group::text[], :extra::bytea[]) AS u(uri, name, group_name, extra)
ORDER BY u.uri
ON CONFLICT (uri) DO UPDATE
SET name = excluded.name, group_name = excluded.group_name, extra = excluded.extra, updated_at = now()
WHERE (asset.name, asset.group_name, asset.extra) IS DISTINCT FROM (excluded.name, excluded.group_name, excluded.extra)

-- name: asset_alias_define
INSERT INTO asset_alias (name, group_name)
SELECT DISTINCT ON (u.name) u.* FROM unnest(:name::text[], :group::text[]) AS u(name, group_name) ORDER BY u.name
ON CONFLICT DO NOTHING

-- name: asset_route
-- Each unrouted event goes, once, to all DAGs in force that are scheduled on it. Events that come while a DAG
-- is paused are kept for its next run and cause none. DAGs that may run now get mail.
WITH routed AS (
    UPDATE asset_event e SET routed = true
    WHERE NOT e.routed AND e.event_id IN (
        SELECT w.event_id FROM asset_event w WHERE NOT w.routed ORDER BY w.event_id LIMIT :limit::bigint
    )
    RETURNING e.event_id, e.uri
), refs AS (
    SELECT event_id, 'asset' AS kind, uri AS ref FROM routed
    UNION ALL SELECT event_id, 'uri', uri FROM routed
    UNION ALL SELECT r.event_id, 'name', a.name FROM routed r JOIN asset a ON a.uri = r.uri
    UNION ALL SELECT r.event_id, 'alias', l.alias FROM routed r JOIN asset_alias_link l ON l.uri = r.uri
), addressed AS (
    SELECT DISTINCT r.event_id, d.dag_id, d.owner, NOT d.is_paused AS wakes
    FROM refs r JOIN asset_use s ON s.role = 'schedule' AND s.kind = r.kind AND s.ref = r.ref
    JOIN dag d ON d.namespace = 'default' AND d.dag_id = s.dag_id AND d.is_active
), queued AS (
    INSERT INTO asset_queue (dag_id, event_id, wakes) SELECT dag_id, event_id, wakes FROM addressed
), told AS (
    SELECT dag_id, owner, convert_to('assets:' || max(event_id) || ':' || dag_id, 'UTF8') AS key
    FROM addressed WHERE wakes GROUP BY dag_id, owner
), keys AS (
    INSERT INTO inbox_key (idempotency_key) SELECT key FROM told RETURNING mail_id, idempotency_key
), mail AS (
    INSERT INTO inbox (mail_id, dag_id, kind, sender, idempotency_key, body)
    SELECT k.mail_id, t.dag_id, 'assets', :sender::text, t.key, '{}'::bytea
    FROM keys k JOIN told t ON t.key = k.idempotency_key
)
SELECT (SELECT count(*) FROM routed) AS taken,
       EXISTS (SELECT FROM told WHERE owner = :own::bigint) AS mine,
       (SELECT count(pg_notify(:channel::text || o.owner, ''))
        FROM (SELECT DISTINCT owner FROM told WHERE owner IS DISTINCT FROM :own::bigint AND owner IS NOT NULL) AS o)

-- name: asset_event_insert
INSERT INTO asset_event (at, uri, extra, event_key, partition_key)
SELECT coalesce(:at::timestamptz, now()), a.uri, :extra::bytea, :key::bytea, :partition::bytea
FROM asset a WHERE a.uri = :uri::text
ON CONFLICT (event_key) DO NOTHING
RETURNING event_id

-- name: asset_event_known
SELECT event_id FROM asset_event WHERE event_key = :key::bytea

-- name: asset_event_columns
-- Fragment: the columns of an AssetEvent, from asset_event e, asset a, dag_run r.
e.event_id, a.asset_id, e.uri, a.name, e.at, e.extra, e.source_dag_id, e.source_task_id, r.dag_run_id,
e.source_map_index, r.interval_start, r.interval_end, e.aliases, e.partition_key, r.partition_date

-- name: asset_event_tables
-- Fragment.
asset_event e JOIN asset a ON a.uri = e.uri LEFT JOIN dag_run r ON r.run_id = e.source_run_id

-- name: asset_event_conditions
-- Fragment: an AssetEventFilter; null parameters are no condition. ARRAY: the few events of a run are looked up, not
-- looked for among all.
(:uri::text IS NULL OR e.uri = :uri::text)
AND (:name::text IS NULL OR a.name = :name::text)
AND (:alias::text IS NULL OR :alias::text = ANY (e.aliases))
AND (:asset_id::bigint IS NULL OR a.asset_id = :asset_id::bigint)
AND (:source_dag_id::text IS NULL OR e.source_dag_id = :source_dag_id::text)
AND (:source_task_id::text IS NULL OR e.source_task_id = :source_task_id::text)
AND (:source_run_id::text IS NULL OR r.dag_run_id = :source_run_id::text)
AND (:source_map_index::integer IS NULL OR e.source_map_index = :source_map_index::integer)
AND (:caused_run::bigint IS NULL
     OR e.event_id = ANY (ARRAY(SELECT c.event_id FROM run_asset_event c WHERE c.run_id = :caused_run::bigint)))

-- name: asset_event_list
SELECT {asset_event_columns} FROM {asset_event_tables} WHERE {asset_event_conditions}
ORDER BY e.event_id {direction} LIMIT :limit::bigint OFFSET :offset::bigint

-- name: asset_event_count
SELECT count(*) AS total FROM {asset_event_tables} WHERE {asset_event_conditions}

-- name: asset_event_get
SELECT {asset_event_columns} FROM {asset_event_tables} WHERE e.event_id = :event_id::bigint

-- name: asset_event_runs
SELECT {run_columns}, c.event_id FROM run_asset_event c JOIN dag_run r ON r.run_id = c.run_id
WHERE c.event_id = ANY (:event_ids::bigint[]) ORDER BY c.event_id, r.run_id

-- name: asset_queue_columns
-- Fragment.
q.dag_id, q.wakes, q.queued_at, q.served,
ARRAY(SELECT l.alias FROM asset_alias_link l WHERE l.uri = e.uri ORDER BY l.alias) AS linked,
{asset_event_columns}

-- name: asset_queue_tables
-- Fragment.
asset_queue q JOIN asset_event e USING (event_id) JOIN asset a ON a.uri = e.uri
LEFT JOIN dag_run r ON r.run_id = e.source_run_id

-- name: asset_queue_list
SELECT {asset_queue_columns} FROM {asset_queue_tables} ORDER BY q.dag_id, q.event_id LIMIT :limit::bigint

-- name: asset_queue_of
-- Asked at each event: without optional conditions it stays prepared.
SELECT {asset_queue_columns} FROM {asset_queue_tables}
WHERE q.dag_id = :dag_id::text ORDER BY q.event_id LIMIT :limit::bigint

-- name: asset_queue_heads
SELECT q.dag_id, e.uri, min(q.queued_at) AS queued_at
FROM asset_queue q JOIN asset_event e USING (event_id) WHERE {asset_queue_conditions}
GROUP BY q.dag_id, e.uri ORDER BY q.dag_id, min(q.event_id)

-- name: asset_queue_conditions
-- Fragment: one DAG, one asset; null parameters are no condition.
(:dag_id::text IS NULL OR q.dag_id = :dag_id::text) AND (:uri::text IS NULL OR e.uri = :uri::text)

-- name: asset_queue_clear
WITH gone AS (
    DELETE FROM asset_queue q USING asset_event e WHERE e.event_id = q.event_id AND {asset_queue_conditions} RETURNING 1
)
SELECT count(*) AS gone FROM gone

-- name: asset_queue_summary
-- Runs of events that had to wait are created later than runs with a later logical date. These are few, and to look at
-- all runs of the DAG at each event would be dear.
SELECT count(*) AS size, min(q.queued_at) AS first_at, max(q.queued_at) AS last_at,
       (SELECT max(late.queued_at) FROM (
            SELECT r.queued_at FROM dag_run r
            WHERE r.namespace = 'default' AND r.dag_id = :dag_id::text AND r.run_type = 'asset_triggered'
            ORDER BY r.logical_date DESC LIMIT 100
        ) late) AS last_run_at
FROM asset_queue q WHERE q.dag_id = :dag_id::text

-- name: asset_queue_drop
DELETE FROM asset_queue WHERE dag_id = :dag_id::text AND event_id = ANY (:event_ids::bigint[]) RETURNING event_id

-- name: asset_list
SELECT a.asset_id, a.uri, a.name, a.group_name, a.extra, a.created_at, a.updated_at,
       ARRAY(SELECT l.alias FROM asset_alias_link l WHERE l.uri = a.uri ORDER BY l.alias) AS aliases
FROM asset a WHERE (:uri::text IS NULL OR a.uri = :uri::text) ORDER BY a.asset_id

-- name: asset_uses
SELECT u.dag_id, u.role, u.kind, u.ref, u.task_id, u.name, u.group_name, u.extra
FROM asset_use u JOIN dag d ON d.namespace = 'default' AND d.dag_id = u.dag_id AND d.is_active
WHERE u.kind = 'asset' AND u.role = 'schedule' AND u.ref = :uri::text ORDER BY u.dag_id

-- name: asset_use_list
SELECT u.dag_id, u.role, u.kind, u.ref, u.task_id, u.name, u.group_name, u.extra
FROM asset_use u JOIN dag d ON d.namespace = 'default' AND d.dag_id = u.dag_id AND d.is_active
ORDER BY u.dag_id, u.role, u.task_id, u.kind, u.ref
