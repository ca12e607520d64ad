-- The schema after all migrations, written by `python -m tradewind.store.dump URL`.
-- For reading; a test compares it with what the migrations make. What each part is for stands in
-- the migrations.

CREATE TYPE outcome_kind AS ENUM ('success', 'failed', 'failed_for_good', 'timed_out', 'skipped', 'rescheduled', 'deferred', 'lost', 'cancelled');

CREATE TYPE run_state AS ENUM ('queued', 'running', 'success', 'failed');

CREATE TYPE run_type AS ENUM ('scheduled', 'manual', 'backfill', 'asset_triggered');

CREATE TYPE task_state AS ENUM ('none', 'scheduled', 'queued', 'running', 'success', 'failed', 'skipped', 'upstream_failed', 'up_for_retry', 'up_for_reschedule', 'deferred', 'restarting', 'removed', 'shutdown');

CREATE OR REPLACE FUNCTION batch_refuse(what text)
 RETURNS boolean
 LANGUAGE plpgsql
AS $function$
BEGIN
    RAISE EXCEPTION 'rows of % are not as the batch expects', what USING ERRCODE = 'TW001';
END
$function$;

CREATE TABLE app_user (
    username bytea NOT NULL,
    password_hash text NOT NULL,
    role text COLLATE "C" NOT NULL,
    is_active boolean DEFAULT true NOT NULL,
    CONSTRAINT app_user_pkey PRIMARY KEY (username)
);

CREATE TABLE asset (
    asset_id bigint GENERATED ALWAYS AS IDENTITY NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    uri text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    group_name text COLLATE "C" NOT NULL,
    extra bytea NOT NULL,
    CONSTRAINT asset_pkey PRIMARY KEY (uri),
    CONSTRAINT asset_asset_id_key UNIQUE (asset_id)
);

CREATE TABLE asset_alias (
    alias_id bigint GENERATED ALWAYS AS IDENTITY NOT NULL,
    name text COLLATE "C" NOT NULL,
    group_name text COLLATE "C" DEFAULT ''::text NOT NULL,
    CONSTRAINT asset_alias_pkey PRIMARY KEY (name),
    CONSTRAINT asset_alias_alias_id_key UNIQUE (alias_id)
);

CREATE TABLE asset_alias_link (
    alias text COLLATE "C" NOT NULL,
    uri text COLLATE "C" NOT NULL,
    CONSTRAINT asset_alias_link_pkey PRIMARY KEY (uri, alias)
);

CREATE TABLE asset_event (
    event_id bigint GENERATED ALWAYS AS IDENTITY NOT NULL,
    at timestamp with time zone NOT NULL,
    source_run_id bigint,
    source_map_index integer,
    routed boolean DEFAULT false NOT NULL,
    uri text COLLATE "C" NOT NULL,
    source_dag_id text COLLATE "C",
    source_task_id text COLLATE "C",
    aliases text[] COLLATE "C" DEFAULT '{}'::text[] NOT NULL,
    event_key bytea,
    partition_key bytea,
    extra bytea NOT NULL,
    CONSTRAINT asset_event_pkey PRIMARY KEY (event_id),
    CONSTRAINT asset_event_event_key_key UNIQUE (event_key)
);
CREATE INDEX asset_event_by_source ON asset_event USING btree (source_dag_id, event_id) WHERE (source_dag_id IS NOT NULL);
CREATE INDEX asset_event_by_uri ON asset_event USING btree (uri, event_id);
CREATE INDEX asset_event_unrouted ON asset_event USING btree (event_id) WHERE (NOT routed);

CREATE TABLE asset_queue (
    event_id bigint NOT NULL,
    queued_at timestamp with time zone DEFAULT now() NOT NULL,
    wakes boolean NOT NULL,
    dag_id text COLLATE "C" NOT NULL,
    served bytea[] DEFAULT '{}'::bytea[] NOT NULL,
    CONSTRAINT asset_queue_pkey PRIMARY KEY (dag_id, event_id)
);

CREATE TABLE asset_use (
    dag_id text COLLATE "C" NOT NULL,
    role text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    ref text COLLATE "C" NOT NULL,
    task_id text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    group_name text COLLATE "C" NOT NULL,
    extra bytea NOT NULL,
    CONSTRAINT asset_use_pkey PRIMARY KEY (dag_id, role, kind, ref, task_id)
);
CREATE INDEX asset_use_by_ref ON asset_use USING btree (kind, ref) WHERE (role = 'schedule'::text);

CREATE TABLE attempt (
    run_id bigint NOT NULL,
    started_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone NOT NULL,
    map_index integer NOT NULL,
    try_number integer NOT NULL,
    pool_slots integer NOT NULL,
    pid integer,
    kind outcome_kind NOT NULL,
    attempt bytea NOT NULL,
    task_id text COLLATE "C" NOT NULL,
    executor text COLLATE "C" NOT NULL,
    pool text COLLATE "C" NOT NULL,
    version_hash text COLLATE "C",
    bundle_version text COLLATE "C",
    hostname bytea,
    detail bytea,
    CONSTRAINT attempt_pkey PRIMARY KEY (run_id, task_id, map_index, attempt)
);

CREATE TABLE blob (
    blob_hash bytea NOT NULL,
    data bytea STORAGE EXTERNAL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    place text COLLATE "C",
    size bigint,
    CONSTRAINT blob_pkey PRIMARY KEY (blob_hash),
    CONSTRAINT blob_is_somewhere CHECK (((data IS NOT NULL) OR ((place IS NOT NULL) AND (size IS NOT NULL))))
);
CREATE INDEX blob_place ON blob USING btree (place) WHERE (place IS NOT NULL);

CREATE TABLE connection (
    namespace text COLLATE "C" DEFAULT 'default'::text NOT NULL,
    conn_id bytea NOT NULL,
    value bytea NOT NULL,
    CONSTRAINT connection_pkey PRIMARY KEY (namespace, conn_id)
);

CREATE TABLE dag (
    namespace text COLLATE "C" DEFAULT 'default'::text NOT NULL,
    dag_id text COLLATE "C" NOT NULL,
    partition smallint DEFAULT 0 NOT NULL,
    owner bigint,
    is_paused boolean NOT NULL,
    is_active boolean NOT NULL,
    version_hash text COLLATE "C" NOT NULL,
    version_number integer NOT NULL,
    bundle text COLLATE "C" NOT NULL,
    bundle_version text COLLATE "C" NOT NULL,
    fileloc text COLLATE "C" NOT NULL,
    relative_fileloc text COLLATE "C" NOT NULL,
    last_parsed_at timestamp with time zone NOT NULL,
    cursor_set boolean DEFAULT false NOT NULL,
    last_interval_start timestamp with time zone,
    last_interval_end timestamp with time zone,
    next_logical_date timestamp with time zone,
    next_interval_start timestamp with time zone,
    next_interval_end timestamp with time zone,
    next_run_after timestamp with time zone,
    CONSTRAINT dag_pkey PRIMARY KEY (namespace, dag_id)
) WITH (fillfactor=70);

CREATE TABLE dag_code (
    code_hash bytea NOT NULL,
    code bytea NOT NULL,
    CONSTRAINT dag_code_pkey PRIMARY KEY (code_hash)
);

CREATE TABLE dag_run (
    run_id bigint NOT NULL,
    namespace text COLLATE "C" DEFAULT 'default'::text NOT NULL,
    dag_id text COLLATE "C" NOT NULL,
    dag_run_id text COLLATE "C" NOT NULL,
    version_hash text COLLATE "C" NOT NULL,
    run_type run_type NOT NULL,
    state run_state NOT NULL,
    external_trigger boolean NOT NULL,
    logical_date timestamp with time zone NOT NULL,
    interval_start timestamp with time zone NOT NULL,
    interval_end timestamp with time zone NOT NULL,
    queued_at timestamp with time zone NOT NULL,
    run_after timestamp with time zone NOT NULL,
    started_at timestamp with time zone,
    ended_at timestamp with time zone,
    conf_codec smallint,
    conf bytea,
    note bytea,
    run_key bytea,
    counts bytea,
    partition_date timestamp with time zone,
    CONSTRAINT dag_run_pkey PRIMARY KEY (run_id),
    CONSTRAINT dag_run_namespace_dag_id_dag_run_id_key UNIQUE (namespace, dag_id, dag_run_id)
) WITH (autovacuum_vacuum_scale_factor=0.05, fillfactor=70);
CREATE INDEX dag_run_by_date ON dag_run USING btree (namespace, dag_id, logical_date);
CREATE INDEX dag_run_unfinished ON dag_run USING btree (namespace, dag_id) WHERE (state = ANY (ARRAY['queued'::run_state, 'running'::run_state]));

CREATE TABLE dag_version (
    namespace text COLLATE "C" DEFAULT 'default'::text NOT NULL,
    dag_id text COLLATE "C" NOT NULL,
    version_hash text COLLATE "C" NOT NULL,
    number integer NOT NULL,
    created_at timestamp with time zone NOT NULL,
    bundle text COLLATE "C" NOT NULL,
    bundle_version text COLLATE "C" NOT NULL,
    fileloc text COLLATE "C" NOT NULL,
    relative_fileloc text COLLATE "C" NOT NULL,
    code_hash bytea,
    spec bytea NOT NULL,
    CONSTRAINT dag_version_pkey PRIMARY KEY (namespace, dag_id, version_hash),
    CONSTRAINT dag_version_namespace_dag_id_number_key UNIQUE (namespace, dag_id, number)
);

CREATE TABLE history (
    run_id bigint NOT NULL,
    history_id bigint GENERATED ALWAYS AS IDENTITY NOT NULL,
    map_index integer NOT NULL,
    try_number integer NOT NULL,
    task_id text COLLATE "C" NOT NULL,
    story bytea NOT NULL,
    CONSTRAINT history_pkey PRIMARY KEY (run_id, task_id, map_index, history_id)
);

CREATE TABLE import_error (
    bundle text COLLATE "C" NOT NULL,
    relative_fileloc text COLLATE "C" NOT NULL,
    import_error_id bigint GENERATED ALWAYS AS IDENTITY NOT NULL,
    fileloc text COLLATE "C" NOT NULL,
    at timestamp with time zone NOT NULL,
    stack_trace bytea NOT NULL,
    CONSTRAINT import_error_pkey PRIMARY KEY (bundle, relative_fileloc)
);

CREATE TABLE inbox (
    mail_id bigint NOT NULL,
    dag_id text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    sender text COLLATE "C" NOT NULL,
    idempotency_key bytea NOT NULL,
    body bytea NOT NULL,
    CONSTRAINT inbox_pkey PRIMARY KEY (mail_id)
);

CREATE TABLE inbox_key (
    idempotency_key bytea NOT NULL,
    mail_id bigint GENERATED ALWAYS AS IDENTITY NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT inbox_key_pkey PRIMARY KEY (idempotency_key)
);

CREATE TABLE inbox_reply (
    mail_id bigint NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    reply bytea NOT NULL,
    CONSTRAINT inbox_reply_pkey PRIMARY KEY (mail_id)
);

CREATE TABLE kept_state (
    run_id bigint NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone,
    map_index integer NOT NULL,
    owner bytea NOT NULL,
    key bytea NOT NULL,
    value bytea NOT NULL,
    CONSTRAINT kept_state_pkey PRIMARY KEY (run_id, owner, map_index, key)
);
CREATE INDEX kept_state_by_end ON kept_state USING btree (expires_at) WHERE (expires_at IS NOT NULL);

CREATE TABLE limit_grant (
    limit_name text COLLATE "C" NOT NULL,
    runtime_id bigint NOT NULL,
    granted integer NOT NULL,
    CONSTRAINT limit_grant_pkey PRIMARY KEY (limit_name, runtime_id),
    CONSTRAINT limit_grant_granted_check CHECK ((granted > 0))
);

CREATE TABLE live_attempt (
    run_id bigint NOT NULL,
    started_at timestamp with time zone NOT NULL,
    map_index integer NOT NULL,
    try_number integer NOT NULL,
    pool_slots integer NOT NULL,
    attempt bytea NOT NULL,
    task_id text COLLATE "C" NOT NULL,
    executor text COLLATE "C" NOT NULL,
    pool text COLLATE "C" NOT NULL,
    version_hash text COLLATE "C",
    bundle_version text COLLATE "C",
    CONSTRAINT live_attempt_pkey PRIMARY KEY (run_id, attempt),
    CONSTRAINT live_attempt_run_id_task_id_map_index_key UNIQUE (run_id, task_id, map_index)
) WITH (autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=10000);

CREATE TABLE missed_deadline (
    run_id bigint NOT NULL,
    due timestamp with time zone NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    dag_id text COLLATE "C" NOT NULL,
    name bytea NOT NULL,
    body bytea NOT NULL,
    CONSTRAINT missed_deadline_pkey PRIMARY KEY (run_id, name)
);
CREATE INDEX missed_deadline_by_dag ON missed_deadline USING btree (dag_id);
CREATE INDEX missed_deadline_by_time ON missed_deadline USING btree (at);

CREATE TABLE outbox (
    outbox_id bigint GENERATED ALWAYS AS IDENTITY NOT NULL,
    run_id bigint NOT NULL,
    tries integer DEFAULT 0 NOT NULL,
    dag_id text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    body bytea NOT NULL,
    CONSTRAINT outbox_pkey PRIMARY KEY (outbox_id)
);

CREATE TABLE pool (
    namespace text COLLATE "C" DEFAULT 'default'::text NOT NULL,
    name text COLLATE "C" NOT NULL,
    slots integer NOT NULL,
    include_deferred boolean DEFAULT false NOT NULL,
    description bytea DEFAULT '\x'::bytea NOT NULL,
    CONSTRAINT pool_pkey PRIMARY KEY (namespace, name)
);

CREATE TABLE run_asset_event (
    run_id bigint NOT NULL,
    event_id bigint NOT NULL,
    CONSTRAINT run_asset_event_pkey PRIMARY KEY (run_id, event_id)
);
CREATE INDEX run_asset_event_by_event ON run_asset_event USING btree (event_id);

CREATE TABLE runtime (
    runtime_id bigint GENERATED ALWAYS AS IDENTITY NOT NULL,
    epoch bigint DEFAULT 1 NOT NULL,
    beat bigint DEFAULT 0 NOT NULL,
    seq bigint DEFAULT 0 NOT NULL,
    alive boolean DEFAULT true NOT NULL,
    joined_at timestamp with time zone DEFAULT now() NOT NULL,
    backend_pids integer[] DEFAULT '{}'::integer[] NOT NULL,
    name text NOT NULL,
    CONSTRAINT runtime_pkey PRIMARY KEY (runtime_id)
) WITH (fillfactor=20);

CREATE TABLE schema_version (
    number integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT schema_version_pkey PRIMARY KEY (number)
);

CREATE TABLE shared_limit (
    name text COLLATE "C" NOT NULL,
    size integer NOT NULL,
    CONSTRAINT shared_limit_pkey PRIMARY KEY (name)
);

CREATE TABLE task_instance (
    run_id bigint NOT NULL,
    queued_at timestamp with time zone,
    started_at timestamp with time zone,
    ended_at timestamp with time zone,
    due_at timestamp with time zone,
    map_index integer DEFAULT '-1'::integer NOT NULL,
    state task_state DEFAULT 'none'::task_state NOT NULL,
    try_number integer DEFAULT 0 NOT NULL,
    max_tries integer DEFAULT 0 NOT NULL,
    lost_count integer DEFAULT 0 NOT NULL,
    task_id text COLLATE "C" NOT NULL,
    attempt bytea,
    CONSTRAINT task_instance_pkey PRIMARY KEY (run_id, task_id, map_index)
) WITH (autovacuum_analyze_scale_factor=0.1, autovacuum_vacuum_insert_scale_factor=0.1, autovacuum_vacuum_scale_factor=0.1, fillfactor=35);

CREATE TABLE task_length (
    run_id bigint NOT NULL,
    map_index integer NOT NULL,
    length integer NOT NULL,
    task_id text COLLATE "C" NOT NULL,
    key bytea NOT NULL,
    CONSTRAINT task_length_pkey PRIMARY KEY (run_id, task_id, map_index, key)
);

CREATE TABLE task_step (
    run_id bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    map_index integer NOT NULL,
    codec smallint,
    task_id text COLLATE "C" NOT NULL,
    key bytea NOT NULL,
    digest bytea NOT NULL,
    data bytea,
    CONSTRAINT task_step_pkey PRIMARY KEY (run_id, task_id, map_index, key)
);

CREATE TABLE task_wait (
    run_id bigint NOT NULL,
    due timestamp with time zone,
    deadline timestamp with time zone,
    map_index integer NOT NULL,
    answered boolean NOT NULL,
    timed_out boolean NOT NULL,
    sealed boolean NOT NULL,
    undo boolean NOT NULL,
    event_codec smallint,
    task_id text COLLATE "C" NOT NULL,
    key bytea NOT NULL,
    origin bytea NOT NULL,
    kind bytea NOT NULL,
    method bytea NOT NULL,
    body bytea NOT NULL,
    event bytea,
    error bytea,
    CONSTRAINT task_wait_pkey PRIMARY KEY (run_id, task_id, map_index, key)
) WITH (fillfactor=70);

CREATE TABLE variable (
    namespace text COLLATE "C" DEFAULT 'default'::text NOT NULL,
    key bytea NOT NULL,
    value bytea NOT NULL,
    description bytea DEFAULT '\x'::bytea NOT NULL,
    CONSTRAINT variable_pkey PRIMARY KEY (namespace, key)
);

CREATE TABLE xcom (
    run_id bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    map_index integer NOT NULL,
    codec smallint NOT NULL,
    task_id text COLLATE "C" NOT NULL,
    key bytea NOT NULL,
    data bytea,
    blob_hash bytea,
    CONSTRAINT xcom_pkey PRIMARY KEY (run_id, task_id, map_index, key)
);
CREATE INDEX xcom_by_blob ON xcom USING btree (blob_hash) WHERE (blob_hash IS NOT NULL);
