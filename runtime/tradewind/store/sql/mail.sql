-- Inbox and outbox.

-- name: mail_send
-- A new key makes a row and wakes the DAG's owner where that is another process and not just woken
-- (`resting`). A sender that is not the owner listens on the channel `sender` for the reply.
WITH target AS (
    SELECT dag_id, owner FROM dag WHERE namespace = 'default' AND dag_id = :dag_id::text
), fresh AS (
    INSERT INTO inbox_key (idempotency_key) SELECT :key::bytea FROM target
    ON CONFLICT (idempotency_key) DO NOTHING RETURNING mail_id
), sent AS (
    INSERT INTO inbox (mail_id, dag_id, kind, sender, idempotency_key, body)
    SELECT f.mail_id, :dag_id::text, :kind::text, :sender::text, :key::bytea, :body::bytea FROM fresh f
)
SELECT target.owner, fresh.mail_id,
       CASE WHEN fresh.mail_id IS NOT NULL AND target.owner IS NOT NULL
                 AND target.owner IS DISTINCT FROM :own::bigint AND target.owner <> ALL (:resting::bigint[])
            THEN pg_notify(:channel::text || target.owner, '') IS NOT NULL ELSE false END AS told
FROM target LEFT JOIN fresh ON true

-- name: mail_enqueue
-- As mail_send, from a session of somebody else's: every name with its schema, and one plain notification.
WITH target AS (
    SELECT dag_id, owner FROM {schema}.dag WHERE namespace = 'default' AND dag_id = :dag_id::text
), fresh AS (
    INSERT INTO {schema}.inbox_key (idempotency_key) SELECT :key::bytea FROM target
    ON CONFLICT (idempotency_key) DO NOTHING RETURNING mail_id
), sent AS (
    INSERT INTO {schema}.inbox (mail_id, dag_id, kind, sender, idempotency_key, body)
    SELECT f.mail_id, :dag_id::text, :kind::text, :sender::text, :key::bytea, :body::bytea FROM fresh f
)
SELECT target.dag_id,
       CASE WHEN fresh.mail_id IS NOT NULL AND target.owner IS NOT NULL
            THEN pg_notify(:channel::text || target.owner, '') END
FROM target LEFT JOIN fresh ON true

-- name: event_enqueue
-- An event from outside, from a session of somebody else's; not routed: a runtime that owns one of its DAGs, or is there
-- at all, gets mail to do so. No row: nobody has named the asset.
WITH known AS (
    SELECT asset_id, uri, name FROM {schema}.asset WHERE uri = :uri::text
), fresh AS (
    INSERT INTO {schema}.asset_event (at, uri, extra, event_key) SELECT now(), uri, :extra::bytea, :key::bytea FROM known
    ON CONFLICT (event_key) DO NOTHING RETURNING event_id, at
), target AS (
    SELECT d.dag_id, d.owner FROM {schema}.dag d
    WHERE d.namespace = 'default' AND d.is_active AND d.owner IS NOT NULL
    ORDER BY EXISTS (SELECT FROM {schema}.asset_use u WHERE u.dag_id = d.dag_id AND u.role = 'schedule'
                     AND u.kind = 'asset' AND u.ref = :uri::text) DESC, d.dag_id LIMIT 1
), key AS (
    INSERT INTO {schema}.inbox_key (idempotency_key)
    SELECT convert_to('route:' || fresh.event_id, 'UTF8') FROM fresh, target RETURNING mail_id, idempotency_key
), sent AS (
    INSERT INTO {schema}.inbox (mail_id, dag_id, kind, sender, idempotency_key, body)
    SELECT key.mail_id, target.dag_id, 'route', :sender::text, key.idempotency_key, '{}'::bytea FROM key, target
)
SELECT fresh.event_id, known.asset_id, known.uri, known.name, fresh.at,
       (SELECT pg_notify(:channel::text || target.owner, '') FROM key, target) AS told
FROM known LEFT JOIN fresh ON true

-- name: event_enqueued
SELECT event_id, at, extra FROM {schema}.asset_event WHERE event_key = :key::bytea

-- name: mail_announce
SELECT pg_notify(:channel::text, '')

-- name: mail_known
SELECT mail_id FROM inbox_key WHERE idempotency_key = :key::bytea

-- name: mail_read
SELECT i.mail_id, i.dag_id, i.kind, i.body, i.idempotency_key
FROM inbox i JOIN dag d ON d.namespace = 'default' AND d.dag_id = i.dag_id
WHERE d.owner = :runtime_id::bigint ORDER BY i.mail_id LIMIT :limit::bigint

-- name: mail_reply
SELECT reply FROM inbox_reply WHERE mail_id = :mail_id::bigint

-- name: outbox_read
SELECT o.outbox_id, o.dag_id, o.run_id, o.kind, o.body, o.tries
FROM outbox o JOIN dag d ON d.namespace = 'default' AND d.dag_id = o.dag_id
WHERE d.owner = :runtime_id::bigint ORDER BY o.outbox_id LIMIT :limit::bigint

-- name: outbox_done
WITH fence AS (
    UPDATE runtime SET beat = beat + 1
    WHERE runtime_id = :runtime_id::bigint AND epoch = :epoch::bigint AND alive
    RETURNING runtime_id
), gone AS (
    DELETE FROM outbox o USING fence
    WHERE o.outbox_id = ANY (:ids::bigint[]) AND (NOT :failed::boolean OR o.tries + 1 >= :most_tries::integer)
), again AS (
    UPDATE outbox o SET tries = tries + 1 FROM fence
    WHERE o.outbox_id = ANY (:ids::bigint[]) AND :failed::boolean AND o.tries + 1 < :most_tries::integer
)
SELECT runtime_id FROM fence
