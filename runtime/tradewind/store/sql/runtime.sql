-- Runtimes: their rows, beats, deaths, and the shared limits that are granted to them.

-- name: runtime_insert
INSERT INTO runtime (name, backend_pids) VALUES (:name::text, ARRAY[pg_backend_pid()]) RETURNING runtime_id, epoch

-- name: runtime_forget
-- Rows of runtimes that died long ago and left nothing behind, and replies nobody will ask for any more.
WITH replies AS (
    DELETE FROM inbox_reply WHERE at < now() - interval '7 days' RETURNING mail_id
), keys AS (
    DELETE FROM inbox_key k USING replies r WHERE k.mail_id = r.mail_id
)
DELETE FROM runtime r
WHERE NOT r.alive AND r.joined_at < now() - interval '7 days'
  AND NOT EXISTS (SELECT FROM dag d WHERE d.owner = r.runtime_id)
  AND NOT EXISTS (SELECT FROM limit_grant g WHERE g.runtime_id = r.runtime_id)

-- name: runtime_lock
-- Held by the session for as long as it lives: who gets a runtime's lock has proof of its death.
SELECT pg_advisory_lock(hashtext('tradewind runtime ' || current_schema()), :runtime_id::bigint::integer)

-- name: runtime_unlock
SELECT pg_advisory_unlock(hashtext('tradewind runtime ' || current_schema()), :runtime_id::bigint::integer)

-- name: runtime_lock_is_free
-- Taken and given back within the statement.
SELECT pg_try_advisory_xact_lock(hashtext('tradewind runtime ' || current_schema()), :runtime_id::bigint::integer)

-- name: runtime_return
-- A lease line has come back: the session that it lost must not keep the lock.
WITH old AS (
    SELECT backend_pids FROM runtime WHERE runtime_id = :runtime_id::bigint AND epoch = :epoch::bigint AND alive
), ended AS (
    SELECT count(pg_terminate_backend(a.pid)) AS n
    FROM old, pg_stat_activity a
    WHERE a.pid = ANY (old.backend_pids) AND a.pid <> pg_backend_pid() AND a.datname = current_database()
      AND a.application_name = :application::text
)
UPDATE runtime r SET backend_pids = ARRAY[pg_backend_pid()] FROM ended
WHERE r.runtime_id = :runtime_id::bigint AND r.epoch = :epoch::bigint AND r.alive
RETURNING r.runtime_id

-- name: runtime_beat
-- The beat, and all that is looked at with it: peers, waiting mail, DAGs without an owner.
WITH fence AS (
    UPDATE runtime SET beat = beat + 1
    WHERE runtime_id = :runtime_id::bigint AND epoch = :epoch::bigint AND alive
    RETURNING seq
)
SELECT fence.seq,
       (SELECT count(*) FROM inbox i JOIN dag d ON d.namespace = 'default' AND d.dag_id = i.dag_id
        WHERE d.owner = :runtime_id::bigint) AS mail_waiting,
       (SELECT coalesce(array_agg(d.dag_id ORDER BY d.dag_id), '{}') FROM dag d WHERE d.owner IS NULL) AS unowned,
       (SELECT coalesce(array_agg(ARRAY[p.runtime_id::text, p.epoch::text, p.beat::text, p.name] ORDER BY p.runtime_id), '{}')
        FROM runtime p WHERE p.alive AND p.runtime_id <> :runtime_id::bigint) AS peers
FROM fence

-- name: runtime_touch
-- The fence of writes that are not batches: moves the beat on, not the sequence.
UPDATE runtime SET beat = beat + 1
WHERE runtime_id = :runtime_id::bigint AND epoch = :epoch::bigint AND alive
RETURNING runtime_id

-- name: runtime_seq
SELECT seq FROM runtime WHERE runtime_id = :runtime_id::bigint AND epoch = :epoch::bigint AND alive

-- name: runtime_leave
-- Its grants go at once, unless attempts in its DAGs run on elsewhere: their slots stay in use, and go to who claims
-- the DAGs.
WITH left_now AS (
    UPDATE runtime SET alive = false, epoch = epoch + 1
    WHERE runtime_id = :runtime_id::bigint AND epoch = :epoch::bigint AND alive
    RETURNING runtime_id
), freed AS (
    UPDATE dag d SET owner = NULL FROM left_now l WHERE d.owner = l.runtime_id
)
DELETE FROM limit_grant g USING left_now l
WHERE g.runtime_id = l.runtime_id AND NOT EXISTS (
    SELECT FROM live_attempt a JOIN dag_run r USING (run_id) JOIN dag d USING (namespace, dag_id)
    WHERE d.owner = l.runtime_id
)

-- name: runtime_tell
-- Runtimes that come and go say so, that the others need not wait for their next beat to see it.
SELECT pg_notify(:channel::text, '')

-- name: runtime_bury
-- Waits for the row lock of a commit in flight: that lands before, and every later one fails. Its
-- grants stay until its DAGs are claimed, so that permits in use are not given out twice.
WITH buried AS (
    UPDATE runtime SET alive = false, epoch = epoch + 1
    WHERE runtime_id = :dead::bigint AND beat = :seen_beat::bigint AND alive
    RETURNING runtime_id
), freed AS (
    UPDATE dag d SET owner = NULL FROM buried b WHERE d.owner = b.runtime_id RETURNING d.dag_id
), unused AS (
    DELETE FROM limit_grant g USING buried b WHERE g.runtime_id = b.runtime_id AND NOT EXISTS (SELECT FROM freed)
)
SELECT count(*) = 1 AS done FROM buried

-- name: limit_lock
-- The limit's row, made or resized, locked to the end of the transaction.
INSERT INTO shared_limit (name, size) VALUES (:name::text, :size::integer)
ON CONFLICT (name) DO UPDATE SET size = excluded.size

-- name: limit_grants
-- What I hold of a limit, and what the others hold.
SELECT coalesce(sum(granted) FILTER (WHERE runtime_id = :runtime_id::bigint), 0)::integer AS mine,
       coalesce(sum(granted) FILTER (WHERE runtime_id <> :runtime_id::bigint), 0)::integer AS others
FROM limit_grant WHERE limit_name = :name::text

-- name: limit_set
INSERT INTO limit_grant (limit_name, runtime_id, granted) VALUES (:name::text, :runtime_id::bigint, :granted::integer)
ON CONFLICT (limit_name, runtime_id) DO UPDATE SET granted = excluded.granted

-- name: limit_clear
DELETE FROM limit_grant WHERE limit_name = :name::text AND runtime_id = :runtime_id::bigint

-- name: limit_reduce
-- Gives some permits back, never below none.
WITH rest AS (
    SELECT limit_name, runtime_id, granted - :count::integer AS granted FROM limit_grant
    WHERE limit_name = :name::text AND runtime_id = :runtime_id::bigint
), emptied AS (
    DELETE FROM limit_grant g USING rest r
    WHERE g.limit_name = r.limit_name AND g.runtime_id = r.runtime_id AND r.granted <= 0
)
UPDATE limit_grant g SET granted = r.granted FROM rest r
WHERE g.limit_name = r.limit_name AND g.runtime_id = r.runtime_id AND r.granted > 0

-- name: limit_inherit
-- Permits that dead runtimes left behind become the caller's, but for those that attempts of unowned DAGs hold: they
-- stay with one of the dead until somebody claims these.
WITH dead AS (
    SELECT g.limit_name, min(g.runtime_id) AS keeper, sum(g.granted)::integer AS granted
    FROM limit_grant g JOIN runtime r USING (runtime_id) WHERE NOT r.alive GROUP BY g.limit_name
), divided AS (
    SELECT d.limit_name, d.keeper, d.granted, least(d.granted, coalesce(u.held, 0)) AS kept
    FROM dead d LEFT JOIN unnest(:limits::text[], :held::integer[]) AS u(limit_name, held) USING (limit_name)
), gone AS (
    DELETE FROM limit_grant g USING divided d, runtime r
    WHERE g.limit_name = d.limit_name AND r.runtime_id = g.runtime_id AND NOT r.alive
      AND (d.kept = 0 OR g.runtime_id <> d.keeper)
), stayed AS (
    UPDATE limit_grant g SET granted = d.kept FROM divided d
    WHERE g.limit_name = d.limit_name AND g.runtime_id = d.keeper AND d.kept > 0
)
INSERT INTO limit_grant (limit_name, runtime_id, granted)
SELECT d.limit_name, :runtime_id::bigint, d.granted - d.kept FROM divided d WHERE d.granted > d.kept
ON CONFLICT (limit_name, runtime_id) DO UPDATE SET granted = limit_grant.granted + excluded.granted
