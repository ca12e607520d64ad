-- Small values that a task instance keeps across its tries, and an asset across runs. `run_id` is 0 for assets, whose
-- `owner` is their name; else it is the task's id. `value` is JSON.
CREATE TABLE kept_state (
    run_id     bigint NOT NULL,
    at         timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    map_index  integer NOT NULL,
    owner      bytea NOT NULL,
    key        bytea NOT NULL,
    value      bytea NOT NULL,
    PRIMARY KEY (run_id, owner, map_index, key)
);
CREATE INDEX kept_state_by_end ON kept_state (expires_at) WHERE expires_at IS NOT NULL;
