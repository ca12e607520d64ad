-- Assets, what DAGs say about them, their events and where those go.

-- An asset that some DAG names or some task has sent an event of. Its URI is what it is known by.
CREATE TABLE asset (
    asset_id   bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    uri        text COLLATE "C" PRIMARY KEY,
    name       text COLLATE "C" NOT NULL,
    group_name text COLLATE "C" NOT NULL,
    extra      bytea NOT NULL
);

CREATE TABLE asset_alias (
    alias_id   bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    name       text COLLATE "C" PRIMARY KEY,
    group_name text COLLATE "C" NOT NULL DEFAULT ''
);

-- Which assets were ever sent through an alias.
CREATE TABLE asset_alias_link (
    alias text COLLATE "C" NOT NULL,
    uri   text COLLATE "C" NOT NULL,
    PRIMARY KEY (uri, alias)
);

-- What the versions in force say. `kind`: asset, alias, name or uri; `ref` is what it calls it.
CREATE TABLE asset_use (
    dag_id     text COLLATE "C" NOT NULL,
    role       text COLLATE "C" NOT NULL,
    kind       text COLLATE "C" NOT NULL,
    ref        text COLLATE "C" NOT NULL,
    task_id    text COLLATE "C" NOT NULL,
    name       text COLLATE "C" NOT NULL,
    group_name text COLLATE "C" NOT NULL,
    extra      bytea NOT NULL,
    PRIMARY KEY (dag_id, role, kind, ref, task_id)
);

CREATE INDEX asset_use_by_ref ON asset_use (kind, ref) WHERE role = 'schedule';

-- Written with the end of the attempt that sent it. `routed`: all DAGs scheduled on it have it in their queue.
CREATE TABLE asset_event (
    event_id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at               timestamptz NOT NULL,
    source_run_id    bigint,
    source_map_index integer,
    routed           boolean NOT NULL DEFAULT false,
    uri              text COLLATE "C" NOT NULL,
    source_dag_id    text COLLATE "C",
    source_task_id   text COLLATE "C",
    aliases          text[] COLLATE "C" NOT NULL DEFAULT '{}',
    event_key        bytea UNIQUE,
    partition_key    bytea,
    extra            bytea NOT NULL
);

CREATE INDEX asset_event_by_uri ON asset_event (uri, event_id);
CREATE INDEX asset_event_unrouted ON asset_event (event_id) WHERE NOT routed;

-- Events that wait to cause a run of a DAG. `wakes`: false where the DAG was paused when it came.
CREATE TABLE asset_queue (
    event_id  bigint NOT NULL,
    queued_at timestamptz NOT NULL DEFAULT now(),
    wakes     boolean NOT NULL,
    dag_id    text COLLATE "C" NOT NULL,
    PRIMARY KEY (dag_id, event_id)
);

-- Which events caused a run.
CREATE TABLE run_asset_event (
    run_id   bigint NOT NULL,
    event_id bigint NOT NULL,
    PRIMARY KEY (run_id, event_id)
);

CREATE INDEX run_asset_event_by_event ON run_asset_event (event_id);
