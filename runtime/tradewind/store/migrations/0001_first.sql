-- The first schema. Run with search_path set to the schema of this installation.
--
-- Names (DAG, task, pool ids) are text COLLATE "C": compared as bytes, the same on every machine.
-- What users write freely (notes, values, keys of XComs, traces) is bytea, UTF-8 where it is text:
-- one \u0000 in a text or jsonb value would make PostgreSQL refuse all that is committed with it.
-- Per-run tables have run_id as first key column and no foreign keys into them, so that old runs
-- can be cut off and the tables partitioned.

CREATE TYPE task_state AS ENUM (
    'none',              -- waits for its upstream tasks
    'scheduled',         -- ready, waits for limits
    'queued',            -- admitted, sent to an executor
    'running',           -- its attempt's start is committed
    'success',           -- ended well
    'failed',            -- ended badly, no try left
    'skipped',           -- not run, on purpose
    'upstream_failed',   -- not run, because an upstream task failed
    'up_for_retry',      -- failed, will be tried again
    'up_for_reschedule', -- gave its slot back until a time
    'deferred',          -- gave its slot back until a trigger fires
    'restarting',        -- cleared while running
    'removed',           -- no longer in the DAG version in force
    'shutdown'           -- ended from outside while running
);

CREATE TYPE run_state AS ENUM ('queued', 'running', 'success', 'failed');

CREATE TYPE run_type AS ENUM ('scheduled', 'manual', 'backfill', 'asset_triggered');

CREATE TYPE outcome_kind AS ENUM (
    'success', 'failed', 'failed_for_good', 'timed_out', 'skipped', 'rescheduled', 'deferred', 'lost', 'cancelled'
);

-- Raised by the last step of a batch when a row was not as expected: the whole statement is undone.
CREATE FUNCTION batch_refuse(what text) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are not as the batch expects', what USING ERRCODE = 'TW001';
END
$$;

-- ------------------------------------------------------------------------------- runtimes

-- One row a runtime that ever was. `seq` counts its committed batches, `beat` everything it wrote.
CREATE TABLE runtime (
    runtime_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    epoch        bigint NOT NULL DEFAULT 1,
    beat         bigint NOT NULL DEFAULT 0,
    seq          bigint NOT NULL DEFAULT 0,
    alive        boolean NOT NULL DEFAULT true,
    joined_at    timestamptz NOT NULL DEFAULT now(),
    backend_pids integer[] NOT NULL DEFAULT '{}',
    name         text NOT NULL
) WITH (fillfactor = 20);

-- Limits that span DAGs, and the blocks of permits granted to runtimes: their sum is at most `size`.
CREATE TABLE shared_limit (
    name text COLLATE "C" PRIMARY KEY,
    size integer NOT NULL
);

CREATE TABLE limit_grant (
    limit_name text COLLATE "C" NOT NULL,
    runtime_id bigint NOT NULL,
    granted    integer NOT NULL CHECK (granted > 0),
    PRIMARY KEY (limit_name, runtime_id)
);

-- ------------------------------------------------------------------------------- DAGs

-- A DAG with its current version, its owner (a runtime, or none) and where its schedule stands.
CREATE TABLE dag (
    namespace           text COLLATE "C" NOT NULL DEFAULT 'default',
    dag_id              text COLLATE "C" NOT NULL,
    partition           smallint NOT NULL DEFAULT 0,
    owner               bigint,
    is_paused           boolean NOT NULL,
    is_active           boolean NOT NULL,
    version_hash        text COLLATE "C" NOT NULL,
    version_number      integer NOT NULL,
    bundle              text COLLATE "C" NOT NULL,
    bundle_version      text COLLATE "C" NOT NULL,
    fileloc             text COLLATE "C" NOT NULL,
    relative_fileloc    text COLLATE "C" NOT NULL,
    last_parsed_at      timestamptz NOT NULL,
    cursor_set          boolean NOT NULL DEFAULT false,
    last_interval_start timestamptz,
    last_interval_end   timestamptz,
    next_logical_date   timestamptz,
    next_interval_start timestamptz,
    next_interval_end   timestamptz,
    next_run_after      timestamptz,
    PRIMARY KEY (namespace, dag_id)
) WITH (fillfactor = 70);

-- The text of DAG files, by its SHA-256.
CREATE TABLE dag_code (
    code_hash bytea PRIMARY KEY,
    code      bytea NOT NULL
);

-- Every version that a DAG ever had; `spec` is the canonical JSON, `version_hash` its SHA-256.
CREATE TABLE dag_version (
    namespace        text COLLATE "C" NOT NULL DEFAULT 'default',
    dag_id           text COLLATE "C" NOT NULL,
    version_hash     text COLLATE "C" NOT NULL,
    number           integer NOT NULL,
    created_at       timestamptz NOT NULL,
    bundle           text COLLATE "C" NOT NULL,
    bundle_version   text COLLATE "C" NOT NULL,
    fileloc          text COLLATE "C" NOT NULL,
    relative_fileloc text COLLATE "C" NOT NULL,
    code_hash        bytea,
    spec             bytea NOT NULL,
    PRIMARY KEY (namespace, dag_id, version_hash),
    UNIQUE (namespace, dag_id, number)
);

-- Why a DAG file could not be loaded (the last time it was tried).
CREATE TABLE import_error (
    bundle           text COLLATE "C" NOT NULL,
    relative_fileloc text COLLATE "C" NOT NULL,
    import_error_id  bigint GENERATED ALWAYS AS IDENTITY,
    fileloc          text COLLATE "C" NOT NULL,
    at               timestamptz NOT NULL,
    stack_trace      bytea NOT NULL,
    PRIMARY KEY (bundle, relative_fileloc)
);

-- ------------------------------------------------------------------------------- runs

-- A run. Written by its DAG's owner only; `counts` is JSON {task state: number of instances}.
CREATE TABLE dag_run (
    run_id           bigint PRIMARY KEY,
    namespace        text COLLATE "C" NOT NULL DEFAULT 'default',
    dag_id           text COLLATE "C" NOT NULL,
    dag_run_id       text COLLATE "C" NOT NULL,
    version_hash     text COLLATE "C" NOT NULL,
    run_type         run_type NOT NULL,
    state            run_state NOT NULL,
    external_trigger boolean NOT NULL,
    logical_date     timestamptz NOT NULL,
    interval_start   timestamptz NOT NULL,
    interval_end     timestamptz NOT NULL,
    queued_at        timestamptz NOT NULL,
    run_after        timestamptz NOT NULL,
    started_at       timestamptz,
    ended_at         timestamptz,
    conf_codec       smallint,
    conf             bytea,
    note             bytea,
    run_key          bytea,
    counts           bytea,
    UNIQUE (namespace, dag_id, dag_run_id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);

CREATE INDEX dag_run_by_date ON dag_run (namespace, dag_id, logical_date);
CREATE INDEX dag_run_unfinished ON dag_run (namespace, dag_id) WHERE state IN ('queued', 'running');

-- The hot table: its primary key and no other index, so that each state change stays on its page (HOT).
-- A row grows by half when it first starts, and a batch may start all rows of a page at once: 35 % full
-- leaves room for that, 50 % did not (87 % of the updates were HOT).
CREATE TABLE task_instance (
    run_id     bigint NOT NULL,
    queued_at  timestamptz,
    started_at timestamptz,
    ended_at   timestamptz,
    due_at     timestamptz,
    map_index  integer NOT NULL DEFAULT -1,
    state      task_state NOT NULL DEFAULT 'none',
    try_number integer NOT NULL DEFAULT 0,
    max_tries  integer NOT NULL DEFAULT 0,
    lost_count integer NOT NULL DEFAULT 0,
    task_id    text COLLATE "C" NOT NULL,
    attempt    bytea,
    PRIMARY KEY (run_id, task_id, map_index)
) WITH (
    fillfactor = 35,
    autovacuum_vacuum_scale_factor = 0.1,
    autovacuum_vacuum_insert_scale_factor = 0.1,
    autovacuum_analyze_scale_factor = 0.1
);

-- Tries of task instances that have ended, kept until they are pruned. `detail` is JSON.
CREATE TABLE attempt (
    run_id         bigint NOT NULL,
    started_at     timestamptz NOT NULL,
    ended_at       timestamptz NOT NULL,
    map_index      integer NOT NULL,
    try_number     integer NOT NULL,
    pool_slots     integer NOT NULL,
    pid            integer,
    kind           outcome_kind NOT NULL,
    attempt        bytea NOT NULL,
    task_id        text COLLATE "C" NOT NULL,
    executor       text COLLATE "C" NOT NULL,
    pool           text COLLATE "C" NOT NULL,
    version_hash   text COLLATE "C",
    bundle_version text COLLATE "C",
    hostname       bytea,
    detail         bytea,
    PRIMARY KEY (run_id, task_id, map_index, attempt)
);

-- The attempts that live now, at most one a task instance; each moves to `attempt` when it ends. What
-- takes up slots, and what a new owner adopts or declares lost. Small: it is written twice a task,
-- where a row that is written in place at its end would need half-empty pages for ever.
CREATE TABLE live_attempt (
    run_id         bigint NOT NULL,
    started_at     timestamptz NOT NULL,
    map_index      integer NOT NULL,
    try_number     integer NOT NULL,
    pool_slots     integer NOT NULL,
    attempt        bytea NOT NULL,
    task_id        text COLLATE "C" NOT NULL,
    executor       text COLLATE "C" NOT NULL,
    pool           text COLLATE "C" NOT NULL,
    version_hash   text COLLATE "C",
    bundle_version text COLLATE "C",
    PRIMARY KEY (run_id, attempt),
    UNIQUE (run_id, task_id, map_index)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);

-- One packed line a try: `story` is JSON [[state, unix seconds, cause], ...].
CREATE TABLE history (
    run_id     bigint NOT NULL,
    history_id bigint GENERATED ALWAYS AS IDENTITY,
    map_index  integer NOT NULL,
    try_number integer NOT NULL,
    task_id    text COLLATE "C" NOT NULL,
    story      bytea NOT NULL,
    PRIMARY KEY (run_id, task_id, map_index, history_id)
);

-- Values above 64 KiB, by their SHA-256.
CREATE TABLE blob (
    blob_hash bytea PRIMARY KEY,
    data      bytea NOT NULL
);
ALTER TABLE blob ALTER COLUMN data SET STORAGE EXTERNAL;

-- Values of task instances: inline up to 64 KiB, else in `blob`.
CREATE TABLE xcom (
    run_id    bigint NOT NULL,
    at        timestamptz NOT NULL,
    map_index integer NOT NULL,
    codec     smallint NOT NULL,
    task_id   text COLLATE "C" NOT NULL,
    key       bytea NOT NULL,
    data      bytea,
    blob_hash bytea,
    PRIMARY KEY (run_id, task_id, map_index, key)
);

-- ------------------------------------------------------------------------------- mail

-- Idempotency keys of all mail, done or not; gives mail its number.
CREATE TABLE inbox_key (
    idempotency_key bytea PRIMARY KEY,
    mail_id         bigint GENERATED ALWAYS AS IDENTITY,
    at              timestamptz NOT NULL DEFAULT now()
);

-- What others ask a DAG's owner to do. The owner deletes a row in the transaction that applies it.
CREATE TABLE inbox (
    mail_id         bigint PRIMARY KEY,
    dag_id          text COLLATE "C" NOT NULL,
    kind            text COLLATE "C" NOT NULL,
    sender          text COLLATE "C" NOT NULL,
    idempotency_key bytea NOT NULL,
    body            bytea NOT NULL
);

CREATE TABLE inbox_reply (
    mail_id bigint PRIMARY KEY,
    at      timestamptz NOT NULL DEFAULT now(),
    reply   bytea NOT NULL
);

-- What must happen because of a commit: callbacks and alerts.
CREATE TABLE outbox (
    outbox_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id    bigint NOT NULL,
    tries     integer NOT NULL DEFAULT 0,
    dag_id    text COLLATE "C" NOT NULL,
    kind      text COLLATE "C" NOT NULL,
    body      bytea NOT NULL
);

-- ------------------------------------------------------------------------------- named things

CREATE TABLE pool (
    namespace        text COLLATE "C" NOT NULL DEFAULT 'default',
    name             text COLLATE "C" NOT NULL,
    slots            integer NOT NULL,
    include_deferred boolean NOT NULL DEFAULT false,
    description      bytea NOT NULL DEFAULT '',
    PRIMARY KEY (namespace, name)
);

-- Encrypted.
CREATE TABLE variable (
    namespace text COLLATE "C" NOT NULL DEFAULT 'default',
    key       bytea NOT NULL,
    value     bytea NOT NULL,
    PRIMARY KEY (namespace, key)
);

-- Encrypted JSON.
CREATE TABLE connection (
    namespace text COLLATE "C" NOT NULL DEFAULT 'default',
    conn_id   bytea NOT NULL,
    value     bytea NOT NULL,
    PRIMARY KEY (namespace, conn_id)
);

CREATE TABLE app_user (
    username      bytea PRIMARY KEY,
    password_hash text NOT NULL,
    role          text COLLATE "C" NOT NULL,
    is_active     boolean NOT NULL DEFAULT true
);

INSERT INTO pool (name, slots, description) VALUES ('default_pool', 128, 'Default pool');
