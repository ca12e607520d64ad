-- Statements of the migrator, and the catalog queries from which `schema.sql` is written.

-- name: schema_lock
-- One migrator at a time in a database; released with its transaction.
SELECT pg_advisory_xact_lock(hashtext('tradewind migrate'), hashtext(:schema::text))

-- name: schema_exists
SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = :schema::text)

-- name: schema_versions_exist
SELECT to_regclass(quote_ident(:schema::text) || '.schema_version') IS NOT NULL

-- name: schema_versions
SELECT number, checksum FROM schema_version ORDER BY number

-- name: schema_version_insert
INSERT INTO schema_version (number, name, checksum) VALUES (:number::integer, :name::text, :checksum::text)

-- name: schema_version_table
CREATE TABLE IF NOT EXISTS schema_version (
    number     integer PRIMARY KEY,
    name       text NOT NULL,
    checksum   text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)

-- name: schema_create
CREATE SCHEMA IF NOT EXISTS {schema}

-- name: schema_drop
DROP SCHEMA IF EXISTS {schema} CASCADE

-- name: schema_path
SET LOCAL search_path TO {schema}

-- name: dump_types
-- Enumerations with their labels in order.
SELECT t.typname AS name, array_agg(e.enumlabel::text ORDER BY e.enumsortorder) AS labels
FROM pg_type t JOIN pg_enum e ON e.enumtypid = t.oid
WHERE t.typnamespace = to_regnamespace(quote_ident(:schema::text))
GROUP BY t.typname ORDER BY t.typname

-- name: dump_functions
SELECT p.proname AS name, pg_get_functiondef(p.oid) AS definition
FROM pg_proc p WHERE p.pronamespace = to_regnamespace(quote_ident(:schema::text)) ORDER BY p.proname

-- name: dump_tables
SELECT c.oid, c.relname AS name, coalesce(c.reloptions, '{}'::text[]) AS options
FROM pg_class c WHERE c.relnamespace = to_regnamespace(quote_ident(:schema::text)) AND c.relkind IN ('r', 'p')
ORDER BY c.relname

-- name: dump_columns
SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS not_null,
       pg_get_expr(d.adbin, d.adrelid) AS default_value, a.attidentity = 'a' AS is_identity,
       CASE WHEN a.attcollation <> t.typcollation THEN l.collname END AS collation_name,
       CASE WHEN a.attstorage <> t.typstorage THEN a.attstorage::text END AS storage
FROM pg_attribute a
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_collation l ON l.oid = a.attcollation
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = :table::oid AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum

-- name: dump_constraints
-- Not-null constraints have rows of their own from PostgreSQL 18 on; the columns already say them.
SELECT conname AS name, pg_get_constraintdef(oid) AS definition
FROM pg_constraint WHERE conrelid = :table::oid AND contype IN ('p', 'u', 'c', 'f', 'x')
ORDER BY contype = 'p' DESC, conname

-- name: dump_indexes
SELECT pg_get_indexdef(i.indexrelid) AS definition
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = :table::oid
  AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
ORDER BY c.relname
