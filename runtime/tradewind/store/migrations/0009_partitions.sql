-- Partitions: an event may belong to several runs of one DAG, and a run's key may stand for a moment.

-- Keys of the runs that have had the event already; it waits for others.
ALTER TABLE asset_queue ADD COLUMN served bytea[] NOT NULL DEFAULT '{}';

ALTER TABLE dag_run ADD COLUMN partition_date timestamptz;
