-- Pools, variables, connections and users.

-- name: pool_list
SELECT name, slots, description, include_deferred FROM pool WHERE namespace = 'default' ORDER BY name

-- name: pool_set
INSERT INTO pool (name, slots, description, include_deferred)
VALUES (:name::text, :slots::integer, :description::bytea, :include_deferred::boolean)
ON CONFLICT (namespace, name) DO UPDATE SET
    slots = excluded.slots, description = excluded.description, include_deferred = excluded.include_deferred

-- name: pool_delete
DELETE FROM pool WHERE namespace = 'default' AND name = :name::text RETURNING name

-- name: variable_get
SELECT value FROM variable WHERE namespace = 'default' AND key = :key::bytea

-- name: variable_set
INSERT INTO variable (key, value) VALUES (:key::bytea, :value::bytea)
ON CONFLICT (namespace, key) DO UPDATE SET value = excluded.value

-- name: variable_delete
DELETE FROM variable WHERE namespace = 'default' AND key = :key::bytea

-- name: connection_get
SELECT value FROM connection WHERE namespace = 'default' AND conn_id = :key::bytea

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
