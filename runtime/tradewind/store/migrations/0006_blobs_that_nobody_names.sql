-- When a blob was last stored: one that no value names any more is deleted some time after that. A value that is
-- stored again at the same moment moves the time on, so it is not deleted under it.
ALTER TABLE blob ADD COLUMN at timestamptz NOT NULL DEFAULT now();
