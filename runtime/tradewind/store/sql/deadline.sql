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

-- name: deadline_list
SELECT m.run_id, m.dag_id, m.name, m.due, m.at, m.body FROM missed_deadline m
WHERE :dag_id::text IS NULL OR m.dag_id = :dag_id::text
ORDER BY m.at DESC, m.run_id DESC, m.name LIMIT :limit::bigint
