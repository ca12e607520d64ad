-- Large values, by their SHA-256.

-- name: blob_touch
-- Those of them that are there already: whoever is about to name them has time to.
UPDATE blob SET at = now() WHERE blob_hash = ANY (:hashes::bytea[]) RETURNING blob_hash, place

-- name: blob_sweep
-- Those that no value names, and that were stored long enough ago for no batch to be under way with them.
DELETE FROM blob b
WHERE b.at < now() - make_interval(
        secs => CASE WHEN b.place IS NULL THEN :age::double precision ELSE :age_outside::double precision END
    )
  AND NOT EXISTS (SELECT FROM xcom x WHERE x.blob_hash = b.blob_hash)
RETURNING b.place

-- name: blob_named
-- Which of these places stand for a value.
SELECT place FROM blob WHERE place = ANY (:places::text[])

-- name: blob_count
SELECT count(*) AS number, coalesce(sum(coalesce(octet_length(data), size)), 0)::bigint AS bytes FROM blob

-- name: installation
-- What sets this database apart from a copy of it elsewhere.
SELECT system_identifier AS cluster, current_database() AS database FROM pg_control_system()
