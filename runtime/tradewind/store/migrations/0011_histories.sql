-- What lists look for in tables that grow for as long as the installation lives: the events that the tasks of a DAG
-- have sent, and what it has missed.
CREATE INDEX asset_event_by_source ON asset_event (source_dag_id, event_id) WHERE source_dag_id IS NOT NULL;
CREATE INDEX missed_deadline_by_dag ON missed_deadline (dag_id);

-- Which large values nobody names any more; most XComs are small and not in it.
CREATE INDEX xcom_by_blob ON xcom (blob_hash) WHERE blob_hash IS NOT NULL;
