-- Deferral: what task instances wait for.

-- One row a wait, as long as the try lasts that it belongs to. `body` holds the trigger's arguments and those of the
-- method that goes on; where `sealed`, encrypted with the key that also guards connections.
CREATE TABLE task_wait (
    run_id      bigint NOT NULL,
    due         timestamptz,
    deadline    timestamptz,
    map_index   integer NOT NULL,
    answered    boolean NOT NULL,
    timed_out   boolean NOT NULL,
    sealed      boolean NOT NULL,
    undo        boolean NOT NULL,
    event_codec smallint,
    task_id     text COLLATE "C" NOT NULL,
    key         bytea NOT NULL,
    origin      bytea NOT NULL,
    kind        bytea NOT NULL,
    method      bytea NOT NULL,
    body        bytea NOT NULL,
    event       bytea,
    error       bytea,
    PRIMARY KEY (run_id, task_id, map_index, key)
) WITH (fillfactor = 70);

-- Steps that durable tasks have taken: their results outlive crashes and retries. Without a value: begun.
CREATE TABLE task_step (
    run_id    bigint NOT NULL,
    at        timestamptz NOT NULL,
    map_index integer NOT NULL,
    codec     smallint,
    task_id   text COLLATE "C" NOT NULL,
    key       bytea NOT NULL,
    digest    bytea NOT NULL,
    data      bytea,
    PRIMARY KEY (run_id, task_id, map_index, key)
);
