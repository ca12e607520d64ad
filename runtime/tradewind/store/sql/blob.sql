-- Large values, by their SHA-256.

-- name: blob_sweep
-- Those that no value names, and that were stored long enough ago for no batch to be under way with them.
WITH gone AS (
    DELETE FROM blob b
    WHERE b.at < now() - make_interval(secs => :age::double precision)
      AND NOT EXISTS (SELECT FROM xcom x WHERE x.blob_hash = b.blob_hash)
    RETURNING b.blob_hash
)
SELECT count(*) AS number FROM gone

-- name: blob_count
SELECT count(*) AS number, coalesce(sum(octet_length(data)), 0) AS bytes FROM blob
