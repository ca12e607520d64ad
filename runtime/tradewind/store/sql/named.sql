-- Pools, variables, connections and users.

-- name: pool_list
SELECT name, slots, description, include_deferred FROM pool WHERE namespace = 'default' ORDER BY name

-- name: pool_set
-- Every runtime listens on the channel.
WITH changed AS (
    INSERT INTO pool (name, slots, description, include_deferred)
    VALUES (:name::text, :slots::integer, :description::bytea, :include_deferred::boolean)
    ON CONFLICT (namespace, name) DO UPDATE SET
        slots = excluded.slots, description = excluded.description, include_deferred = excluded.include_deferred
    RETURNING name
)
SELECT pg_notify(:channel::text, '') FROM changed

-- name: pool_delete
WITH gone AS (
    DELETE FROM pool WHERE namespace = 'default' AND name = :name::text RETURNING name
)
SELECT pg_notify(:channel::text, '') FROM gone

-- name: variable_get
SELECT value FROM variable WHERE namespace = 'default' AND key = :key::bytea

-- name: variable_list
SELECT key, value, description FROM variable
WHERE namespace = 'default' AND (:key::bytea IS NULL OR key = :key::bytea) ORDER BY key

-- name: variable_set
INSERT INTO variable (key, value, description) VALUES (:key::bytea, :value::bytea, coalesce(:description::bytea, ''))
ON CONFLICT (namespace, key) DO UPDATE SET
    value = excluded.value, description = coalesce(:description::bytea, variable.description)

-- name: variable_delete
DELETE FROM variable WHERE namespace = 'default' AND key = :key::bytea

-- name: connection_get
SELECT value FROM connection WHERE namespace = 'default' AND conn_id = :key::bytea

-- name: variable_page
-- Locked: whoever sets one meanwhile waits for the end of the transaction.
SELECT key, value FROM variable WHERE namespace = 'default' AND (:after::bytea IS NULL OR key > :after::bytea)
ORDER BY key LIMIT :most::bigint FOR UPDATE

-- name: variable_renew
UPDATE variable v SET value = fresh.value
FROM unnest(:keys::bytea[], :values::bytea[]) AS fresh (key, value)
WHERE v.namespace = 'default' AND v.key = fresh.key

-- name: connection_list
SELECT conn_id, value FROM connection
WHERE namespace = 'default' AND (:key::bytea IS NULL OR conn_id = :key::bytea) ORDER BY conn_id

-- name: connection_page
SELECT conn_id, value FROM connection WHERE namespace = 'default' AND (:after::bytea IS NULL OR conn_id > :after::bytea)
ORDER BY conn_id LIMIT :most::bigint FOR UPDATE

-- name: connection_renew
UPDATE connection c SET value = fresh.value
FROM unnest(:keys::bytea[], :values::bytea[]) AS fresh (key, value)
WHERE c.namespace = 'default' AND c.conn_id = fresh.key

-- name: connection_set
INSERT INTO connection (conn_id, value) VALUES (:key::bytea, :value::bytea)
ON CONFLICT (namespace, conn_id) DO UPDATE SET value = excluded.value

-- name: connection_delete
DELETE FROM connection WHERE namespace = 'default' AND conn_id = :key::bytea

-- name: user_get
SELECT username, password_hash, role, is_active FROM app_user WHERE username = :key::bytea

-- name: user_set
INSERT INTO app_user (username, password_hash, role, is_active)
VALUES (:key::bytea, :password_hash::text, :role::text, :is_active::boolean)
ON CONFLICT (username) DO UPDATE SET
    password_hash = excluded.password_hash, role = excluded.role, is_active = excluded.is_active

-- name: wait_page
-- Waits of deferred tasks whose arguments are encrypted, under a name of their own.
SELECT origin || key AS name, body FROM task_wait
WHERE sealed AND (:after::bytea IS NULL OR origin || key > :after::bytea)
ORDER BY 1 LIMIT :most::bigint FOR UPDATE

-- name: wait_renew
UPDATE task_wait w SET body = fresh.value
FROM unnest(:keys::bytea[], :values::bytea[]) AS fresh (key, value)
WHERE w.sealed AND w.origin || w.key = fresh.key
