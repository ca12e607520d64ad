-- DAGs, their versions, code and import errors; ownership.

-- name: dag_columns
-- Fragment: the columns of a DagRow, from dag d.
d.dag_id, d.is_paused, d.is_active, d.version_hash, d.version_number, d.bundle, d.bundle_version, d.fileloc,
d.relative_fileloc, d.owner, d.cursor_set, d.last_interval_start, d.last_interval_end, d.next_logical_date,
d.next_interval_start, d.next_interval_end, d.next_run_after, d.last_parsed_at, d.namespace,
EXISTS (SELECT FROM import_error e WHERE e.bundle = d.bundle AND e.relative_fileloc = d.relative_fileloc) AS has_errors

-- name: dag_list
SELECT {dag_columns} FROM dag d WHERE d.namespace = 'default' ORDER BY d.dag_id

-- name: dag_get
SELECT {dag_columns} FROM dag d WHERE d.namespace = 'default' AND d.dag_id = :dag_id::text

-- name: dag_lock_claiming
-- One claimer at a time: each has to see what the one before has left without an owner.
SELECT pg_advisory_xact_lock(hashtext('tradewind claim'), hashtext(current_schema()))

-- name: dag_claim
-- Unowned DAGs become the caller's, whose lease was touched in the same transaction.
WITH claimed AS (
    UPDATE dag d SET owner = :runtime_id::bigint
    WHERE d.owner IS NULL AND (:dag_ids::text[] IS NULL OR d.dag_id = ANY (:dag_ids::text[]))
    RETURNING d.*
)
SELECT {dag_columns} FROM claimed d ORDER BY d.dag_id

-- name: dag_unclaimed_attempts
-- What live attempts of DAGs without an owner hold.
SELECT a.pool, a.executor, sum(a.pool_slots)::integer AS slots, count(*)::integer AS attempts
FROM dag d JOIN dag_run r USING (namespace, dag_id) JOIN live_attempt a USING (run_id)
WHERE d.owner IS NULL GROUP BY a.pool, a.executor

-- name: dag_lock_publishing
-- One publisher at a time: version numbers are given out here.
SELECT pg_advisory_xact_lock(hashtext('tradewind publish'), hashtext(current_schema()))

-- name: dag_code_insert
INSERT INTO dag_code (code_hash, code) SELECT * FROM unnest(:hashes::bytea[], :codes::bytea[]) ON CONFLICT DO NOTHING

-- name: dag_known
-- The DAGs named, and those that these files were known to define.
SELECT {dag_columns} FROM dag d
WHERE d.namespace = 'default'
  AND (d.dag_id = ANY (:dag_ids::text[]) OR d.bundle = :bundle::text AND d.relative_fileloc = ANY (:files::text[]))

-- name: dag_versions_known
SELECT dag_id, version_hash, number FROM dag_version WHERE namespace = 'default' AND dag_id = ANY (:dag_ids::text[])

-- name: dag_version_insert
INSERT INTO dag_version (dag_id, version_hash, number, spec, bundle, bundle_version, fileloc, relative_fileloc, created_at)
SELECT u.*, now() FROM unnest(
    :dag_ids::text[], :hashes::text[], :numbers::integer[], :specs::bytea[], :bundles::text[], :bundle_versions::text[],
    :filelocs::text[], :relative_filelocs::text[]
) AS u

-- name: dag_version_code
-- The text of the file as last seen with this version.
UPDATE dag_version v SET code_hash = u.code_hash
FROM unnest(:dag_ids::text[], :hashes::text[], :codes::bytea[]) AS u(dag_id, version_hash, code_hash)
WHERE v.namespace = 'default' AND v.dag_id = u.dag_id AND v.version_hash = u.version_hash
  AND v.code_hash IS DISTINCT FROM u.code_hash

-- name: dag_version_params
-- The params as the file has them now: their order alone makes no new version.
UPDATE dag_version v SET spec = u.spec
FROM unnest(:dag_ids::text[], :hashes::text[], :specs::bytea[]) AS u(dag_id, version_hash, spec)
WHERE v.namespace = 'default' AND v.dag_id = u.dag_id AND v.version_hash = u.version_hash
  AND v.spec IS DISTINCT FROM u.spec

-- name: dag_upsert
INSERT INTO dag (dag_id, version_hash, version_number, bundle, bundle_version, fileloc, relative_fileloc, is_paused,
                 is_active, owner, last_parsed_at)
SELECT u.*, true, :runtime_id::bigint, now() FROM unnest(
    :dag_ids::text[], :hashes::text[], :numbers::integer[], :bundles::text[], :bundle_versions::text[],
    :filelocs::text[], :relative_filelocs::text[], :paused::boolean[]
) AS u
ON CONFLICT (namespace, dag_id) DO UPDATE SET
    version_hash = excluded.version_hash, version_number = excluded.version_number, bundle = excluded.bundle,
    bundle_version = excluded.bundle_version, fileloc = excluded.fileloc,
    relative_fileloc = excluded.relative_fileloc, is_active = true, last_parsed_at = excluded.last_parsed_at

-- name: dag_deactivate
UPDATE dag SET is_active = false
WHERE namespace = 'default' AND is_active AND dag_id = ANY (:dag_ids::text[])

-- name: dag_retire
UPDATE dag SET is_active = false
WHERE namespace = 'default' AND is_active AND bundle = :bundle::text AND relative_fileloc = ANY (:files::text[])
RETURNING dag_id

-- name: import_error_clear
DELETE FROM import_error WHERE bundle = :bundle::text AND relative_fileloc = ANY (:files::text[])

-- name: import_error_set
INSERT INTO import_error (bundle, relative_fileloc, fileloc, stack_trace, at)
SELECT :bundle::text, u.*, now() FROM unnest(:files::text[], :filelocs::text[], :traces::bytea[]) AS u
ON CONFLICT (bundle, relative_fileloc) DO UPDATE SET
    fileloc = excluded.fileloc, stack_trace = excluded.stack_trace, at = excluded.at

-- name: import_error_list
SELECT bundle, relative_fileloc, fileloc, at, stack_trace, import_error_id
FROM import_error ORDER BY bundle, relative_fileloc

-- name: dag_version_get
SELECT v.dag_id, v.version_hash, v.number, v.spec, v.bundle, v.bundle_version, v.fileloc, v.relative_fileloc, v.created_at
FROM dag d JOIN dag_version v USING (namespace, dag_id)
WHERE d.namespace = 'default' AND d.dag_id = :dag_id::text
  AND v.version_hash = coalesce(:version_hash::text, d.version_hash)

-- name: dag_version_list
SELECT v.dag_id, v.version_hash, v.number, v.bundle, v.bundle_version, v.fileloc, v.relative_fileloc, v.created_at
FROM dag_version v WHERE v.namespace = 'default' AND v.dag_id = :dag_id::text
ORDER BY v.number DESC LIMIT :limit::bigint OFFSET :offset::bigint

-- name: dag_version_count
SELECT count(*) AS total FROM dag_version v WHERE v.namespace = 'default' AND v.dag_id = :dag_id::text

-- name: dag_code_get
SELECT c.code
FROM dag d JOIN dag_version v USING (namespace, dag_id) JOIN dag_code c USING (code_hash)
WHERE d.namespace = 'default' AND d.dag_id = :dag_id::text
  AND v.version_hash = coalesce(:version_hash::text, d.version_hash)
