-- Missed deadlines and SLAs.

-- name: deadline_miss
-- Recorded once, with what must be carried out because of it; a second time nothing happens.
WITH fence AS (
    UPDATE runtime SET beat = beat + 1
    WHERE runtime_id = :runtime_id::bigint AND epoch = :epoch::bigint AND alive
    RETURNING runtime_id
), fresh AS (
    INSERT INTO missed_deadline (run_id, due, dag_id, name, body)
    SELECT :run_id::bigint, :due::timestamptz, :dag_id::text, :name::bytea, :body::bytea FROM fence
    ON CONFLICT DO NOTHING RETURNING run_id
), told AS (
    INSERT INTO outbox (run_id, dag_id, kind, body)
    SELECT f.run_id, :dag_id::text, u.kind, u.body
    FROM fresh f, unnest(:kinds::text[], :bodies::bytea[]) AS u(kind, body)
)
SELECT EXISTS (SELECT FROM fresh) AS is_new FROM fence

-- name: deadline_page
SELECT r.dag_run_id, r.logical_date, m.run_id, m.dag_id, m.name, m.due, m.at, m.body
FROM missed_deadline m JOIN dag_run r USING (run_id) WHERE {deadline_conditions}
ORDER BY {order}, m.run_id, m.name LIMIT :limit::bigint OFFSET :offset::bigint

-- name: deadline_count
SELECT count(*) AS total FROM missed_deadline m JOIN dag_run r USING (run_id) WHERE {deadline_conditions}

-- name: deadline_conditions
-- Fragment: a MissFilter; null parameters are no condition. Names begin with the kind of the miss.
(:kind::bytea IS NULL OR substring(m.name FROM 1 FOR length(:kind::bytea)) = :kind::bytea)
AND (:dag_id::text IS NULL OR m.dag_id = :dag_id::text)
AND (:run_ids::bigint[] IS NULL OR m.run_id = ANY (:run_ids::bigint[]))
AND (:due_from::timestamptz IS NULL OR m.due >= :due_from::timestamptz)
AND (:due_to::timestamptz IS NULL OR m.due <= :due_to::timestamptz)
AND (:at_from::timestamptz IS NULL OR m.at >= :at_from::timestamptz)
AND (:at_to::timestamptz IS NULL OR m.at <= :at_to::timestamptz)
