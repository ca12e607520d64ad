-- Dynamic task mapping.

-- How long the values are over which tasks are mapped (-1: nothing was stored); of a mapped task each instance that
-- stored a value has a row of 1. A row holds while its task instance's state is success.
CREATE TABLE task_length (
    run_id    bigint NOT NULL,
    map_index integer NOT NULL,
    length    integer NOT NULL,
    task_id   text COLLATE "C" NOT NULL,
    key       bytea NOT NULL,
    PRIMARY KEY (run_id, task_id, map_index, key)
);
