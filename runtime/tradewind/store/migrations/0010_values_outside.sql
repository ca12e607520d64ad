-- A large value may lie outside the database: `place` says where, and `data` is missing.
ALTER TABLE blob ALTER COLUMN data DROP NOT NULL;
ALTER TABLE blob ADD COLUMN place text COLLATE "C";
ALTER TABLE blob ADD COLUMN size bigint;
ALTER TABLE blob ADD CONSTRAINT blob_is_somewhere CHECK (data IS NOT NULL OR (place IS NOT NULL AND size IS NOT NULL));
CREATE INDEX blob_place ON blob (place) WHERE place IS NOT NULL;
