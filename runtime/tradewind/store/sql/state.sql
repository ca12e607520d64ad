-- Small values that task instances and assets keep. What an attempt writes counts only while it is live: its row is
-- locked, so that an end that is being committed comes before or after.

-- name: state_get
SELECT value FROM kept_state
WHERE run_id = :run_id::bigint AND owner = :owner::bytea AND map_index = :map_index::integer AND key = :key::bytea
    AND (expires_at IS NULL OR expires_at > now())

-- name: state_set
WITH live AS (
    SELECT 1 FROM live_attempt WHERE run_id = :live_run::bigint AND attempt = :attempt::bytea FOR KEY SHARE
), put AS (
    INSERT INTO kept_state (run_id, map_index, expires_at, owner, key, value)
    SELECT :run_id::bigint, :map_index::integer, :expires_at::timestamptz, :owner::bytea, :key::bytea, :value::bytea
    FROM live
    ON CONFLICT (run_id, owner, map_index, key) DO UPDATE SET
        value = excluded.value, expires_at = excluded.expires_at, at = now()
)
SELECT EXISTS (SELECT FROM live) AS is_live

-- name: state_delete
WITH live AS (
    SELECT 1 FROM live_attempt WHERE run_id = :live_run::bigint AND attempt = :attempt::bytea FOR KEY SHARE
), gone AS (
    DELETE FROM kept_state s USING live
    WHERE s.run_id = :run_id::bigint AND s.owner = :owner::bytea AND s.map_index = :map_index::integer
        AND (:key::bytea IS NULL OR s.key = :key::bytea)
)
SELECT EXISTS (SELECT FROM live) AS is_live

-- name: state_page
SELECT s.key, s.value, s.at, s.expires_at FROM kept_state s WHERE {state_conditions}
ORDER BY s.key LIMIT :limit::bigint OFFSET :offset::bigint

-- name: state_count
SELECT count(*) AS total FROM kept_state s WHERE {state_conditions}

-- name: state_conditions
-- Fragment: the values of one owner that are still known; null parameters are no condition.
s.run_id = :run_id::bigint AND s.owner = :owner::bytea AND s.map_index = :map_index::integer
AND (:key::bytea IS NULL OR s.key = :key::bytea)
AND (s.expires_at IS NULL OR s.expires_at > now())

-- name: state_put
-- What people say counts whether an attempt is live or not.
INSERT INTO kept_state (run_id, map_index, expires_at, owner, key, value)
VALUES (:run_id::bigint, :map_index::integer, :expires_at::timestamptz, :owner::bytea, :key::bytea, :value::bytea)
ON CONFLICT (run_id, owner, map_index, key) DO UPDATE SET
    value = excluded.value, expires_at = excluded.expires_at, at = now()

-- name: state_drop
DELETE FROM kept_state s
WHERE s.run_id = :run_id::bigint AND s.owner = :owner::bytea
    AND (:every_index::boolean OR s.map_index = :map_index::integer)
    AND (:key::bytea IS NULL OR s.key = :key::bytea)

-- name: state_sweep
WITH gone AS (
    DELETE FROM kept_state WHERE expires_at <= now() RETURNING 1
)
SELECT count(*) AS gone FROM gone
