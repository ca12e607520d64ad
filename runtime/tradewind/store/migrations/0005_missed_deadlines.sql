-- Deadlines and SLAs that were missed: each once a run, and told once. `name` says which, `body` is JSON for views.
CREATE TABLE missed_deadline (
    run_id  bigint NOT NULL,
    due     timestamptz NOT NULL,
    at      timestamptz NOT NULL DEFAULT now(),
    dag_id  text COLLATE "C" NOT NULL,
    name    bytea NOT NULL,
    body    bytea NOT NULL,
    PRIMARY KEY (run_id, name)
);
CREATE INDEX missed_deadline_by_time ON missed_deadline (at);
