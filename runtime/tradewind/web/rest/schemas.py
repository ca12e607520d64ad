"""JSON Schemas of the API's answers, by name: the components of the OpenAPI document."""

from __future__ import annotations

from typing import Final

from tradewind.model.specs import Json
from tradewind.model.states import RunState, TaskState

Schema = dict[str, Json]

TEXT: Final[Schema] = {"type": "string"}
TEXT_OR_NULL: Final[Schema] = {"type": ["string", "null"]}
FLAG: Final[Schema] = {"type": "boolean"}
FLAG_OR_NULL: Final[Schema] = {"type": ["boolean", "null"]}
INTEGER: Final[Schema] = {"type": "integer"}
INTEGER_OR_NULL: Final[Schema] = {"type": ["integer", "null"]}
NUMBER_OR_NULL: Final[Schema] = {"type": ["number", "null"]}
INSTANT: Final[Schema] = {"type": "string", "format": "date-time"}
INSTANT_OR_NULL: Final[Schema] = {"type": ["string", "null"], "format": "date-time"}
TEXTS: Final[Schema] = {"type": "array", "items": {"type": "string"}}
MAPPING: Final[Schema] = {"type": "object"}
MAPPING_OR_NULL: Final[Schema] = {"type": ["object", "null"]}
NULL: Final[Schema] = {"type": "null"}
ANYTHING: Final[Schema] = {}


def _object(**properties: Schema) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": sorted(properties),
        "additionalProperties": False,
    }


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _list_of(name: str) -> Schema:
    return {"type": "array", "items": _ref(name)}


def _extended(base: Schema, **properties: Schema) -> Schema:
    return _object(**base["properties"], **properties)


def _some_of(schema: Schema) -> Schema:
    """The same without required fields: what `fields=` leaves of it."""
    return {name: value for name, value in schema.items() if name != "required"}


_TASK_STATE: Final[Schema] = {
    "type": ["string", "null"],
    "enum": [*(state.value for state in TaskState if state is not TaskState.NONE), None],
    "description": "null: not scheduled yet.",
}

_COROUTINE_KIND: Final[dict[str, Schema]] = {
    "dag_id": TEXT,
    "task_id": TEXT,
    "what": {**TEXT, "description": "task or trigger"},
}

_DAG: Final = _object(
    dag_id=TEXT,
    dag_display_name=TEXT,
    root_dag_id=TEXT_OR_NULL,
    is_active=FLAG,
    is_paused=FLAG,
    is_subdag=FLAG,
    default_view=TEXT,
    description=TEXT_OR_NULL,
    file_token=TEXT,
    fileloc=TEXT,
    has_import_errors=FLAG,
    has_task_concurrency_limits=FLAG,
    last_expired=NULL,
    last_parsed_time=INSTANT_OR_NULL,
    last_pickled=NULL,
    max_active_runs=INTEGER,
    max_active_tasks=INTEGER,
    max_consecutive_failed_dag_runs=INTEGER,
    next_dagrun=INSTANT_OR_NULL,
    next_dagrun_create_after=INSTANT_OR_NULL,
    next_dagrun_data_interval_end=INSTANT_OR_NULL,
    next_dagrun_data_interval_start=INSTANT_OR_NULL,
    owners=TEXTS,
    pickle_id=NULL,
    schedule_interval={"oneOf": [_ref("CronExpression"), _ref("TimeDelta"), _ref("RelativeDelta"), NULL]},
    scheduler_lock=NULL,
    tags=_list_of("Tag"),
    timetable_description=TEXT_OR_NULL,
    version_hash=TEXT,
    version_number=INTEGER,
)

_DELTA_OR_NULL: Final[Schema] = {"oneOf": [_ref("TimeDelta"), NULL]}

_DAG_DETAIL: Final = _extended(
    _DAG,
    catchup=FLAG,
    concurrency=INTEGER,
    dag_run_timeout=_DELTA_OR_NULL,
    doc_md=TEXT_OR_NULL,
    end_date=INSTANT_OR_NULL,
    is_paused_upon_creation=FLAG_OR_NULL,
    last_parsed=INSTANT_OR_NULL,
    orientation=TEXT,
    params=MAPPING,
    relative_fileloc=TEXT,
    render_template_as_native_obj=FLAG,
    start_date=INSTANT_OR_NULL,
    template_search_path=NULL,
    timezone=TEXT,
)

_TASK: Final = _object(
    class_ref=_object(class_name=TEXT, module_path=TEXT),
    depends_on_past=FLAG,
    doc_md=TEXT_OR_NULL,
    downstream_task_ids=TEXTS,
    end_date=INSTANT_OR_NULL,
    execution_timeout=_DELTA_OR_NULL,
    executor=TEXT,
    extra_links={"type": "array"},
    group_id=TEXT_OR_NULL,
    is_mapped=FLAG,
    operator_name=TEXT,
    owner=TEXT,
    params=MAPPING,
    pool=TEXT,
    pool_slots=INTEGER,
    priority_weight=INTEGER,
    queue=TEXT,
    retries=INTEGER,
    retry_delay=_DELTA_OR_NULL,
    retry_exponential_backoff=FLAG,
    start_date=INSTANT_OR_NULL,
    sub_dag=NULL,
    task_display_name=TEXT,
    task_id=TEXT,
    template_fields=TEXTS,
    trigger_rule=TEXT,
    ui_color=TEXT,
    ui_fgcolor=TEXT,
    upstream_task_ids=TEXTS,
    wait_for_downstream=FLAG,
    weight_rule=TEXT,
)

_DAG_RUN: Final = _object(
    conf=MAPPING,
    dag_id=TEXT,
    dag_run_id=TEXT,
    data_interval_end=INSTANT_OR_NULL,
    data_interval_start=INSTANT_OR_NULL,
    end_date=INSTANT_OR_NULL,
    execution_date=INSTANT,
    external_trigger=FLAG,
    last_scheduling_decision=NULL,
    logical_date=INSTANT,
    note=TEXT_OR_NULL,
    run_type=TEXT,
    start_date=INSTANT_OR_NULL,
    state={"type": "string", "enum": [state.value for state in RunState]},
    counts={"type": "object", "description": "State to the number of task instances in it."},
    partition_date=INSTANT_OR_NULL,
    partition_key=TEXT_OR_NULL,
    queued_at=INSTANT_OR_NULL,
    run_after=INSTANT_OR_NULL,
    version_hash=TEXT,
)

_TASK_INSTANCE: Final = _object(
    dag_id=TEXT,
    dag_run_id=TEXT,
    duration=NUMBER_OR_NULL,
    end_date=INSTANT_OR_NULL,
    execution_date=INSTANT,
    executor=TEXT_OR_NULL,
    executor_config=TEXT,
    hostname=TEXT,
    map_index=INTEGER,
    max_tries=INTEGER,
    note=NULL,
    operator=TEXT_OR_NULL,
    pid=INTEGER_OR_NULL,
    pool=TEXT,
    pool_slots=INTEGER,
    priority_weight=INTEGER_OR_NULL,
    queue=TEXT_OR_NULL,
    queued_when=INSTANT_OR_NULL,
    rendered_fields=MAPPING,
    rendered_map_index=TEXT_OR_NULL,
    sla_miss={"oneOf": [_ref("SLAMiss"), NULL]},
    start_date=INSTANT_OR_NULL,
    state=_TASK_STATE,
    task_display_name=TEXT,
    task_id=TEXT,
    trigger=NULL,
    triggerer_job=NULL,
    try_number=INTEGER,
    unixname=TEXT,
    due_at={**INSTANT_OR_NULL, "description": "When a retry or reschedule is due."},
    outcome={**TEXT_OR_NULL, "description": "How the last attempt ended."},
    outcome_detail={**ANYTHING, "description": "Error, exit code or signal, and reason of the last attempt."},
)

_XCOM: Final = _object(
    dag_id=TEXT,
    execution_date=INSTANT,
    key=TEXT,
    map_index=INTEGER,
    run_id=TEXT,
    task_id=TEXT,
    timestamp=INSTANT_OR_NULL,
)

_POOL: Final = _object(
    name=TEXT,
    slots=INTEGER,
    occupied_slots=INTEGER,
    running_slots=INTEGER,
    queued_slots=INTEGER,
    scheduled_slots=INTEGER,
    deferred_slots=INTEGER,
    open_slots=INTEGER,
    description=TEXT_OR_NULL,
    include_deferred=FLAG,
)

_DAG_BUNDLE: Final = _object(
    name=TEXT,
    active={**FLAG, "description": "Whether a DAG of it is in force."},
    version=TEXT_OR_NULL,
    last_refreshed={**INSTANT_OR_NULL, "description": "When a file of it was read last."},
    bundle_url=NULL,
    team_name=NULL,
    import_error_count=INTEGER,
)

_SLA_MISS: Final = _object(
    task_id=TEXT,
    dag_id=TEXT,
    execution_date=INSTANT,
    email_sent={**FLAG, "description": "Whether somebody is to be told by mail."},
    timestamp=INSTANT,
    description=TEXT_OR_NULL,
    notification_sent={**FLAG, "description": "Whether the DAG has an sla_miss_callback."},
)

_IMPORT_ERROR: Final = _object(
    import_error_id=INTEGER,
    timestamp=INSTANT,
    filename=TEXT,
    bundle=TEXT,
    relative_fileloc=TEXT,
    stack_trace=TEXT,
)

_VARIABLE: Final = _object(key=TEXT, value=TEXT_OR_NULL, description=TEXT_OR_NULL)

_CONNECTION: Final = _object(
    connection_id=TEXT,
    conn_type=TEXT_OR_NULL,
    description=TEXT_OR_NULL,
    host=TEXT_OR_NULL,
    login=TEXT_OR_NULL,
    schema=TEXT_OR_NULL,
    port=INTEGER_OR_NULL,
)

_PART_STATUS: Final = _object(status=TEXT_OR_NULL)


def _collection(field: str, name: str) -> Schema:
    return _object(**{field: _list_of(name)}, total_entries=INTEGER)


def _asset_components(kind: str, word: str) -> dict[str, Schema]:
    """The shapes of assets by either of their names."""
    used = {"dag_id": TEXT, "created_at": INSTANT, "updated_at": INSTANT}
    more = {} if word == "dataset" else {"name": TEXT, "group": TEXT}
    run = _object(
        dag_id=TEXT,
        dag_run_id=TEXT,
        logical_date=INSTANT,
        start_date=INSTANT_OR_NULL,
        end_date=INSTANT_OR_NULL,
        state=TEXT,
        data_interval_start=INSTANT,
        data_interval_end=INSTANT,
    )
    event = {
        f"{word}_id": INTEGER,
        f"{word}_uri": TEXT,
        "extra": MAPPING_OR_NULL,
        "source_dag_id": TEXT_OR_NULL,
        "source_task_id": TEXT_OR_NULL,
        "source_run_id": TEXT_OR_NULL,
        "source_map_index": INTEGER,
        "created_dagruns": {"type": "array", "items": run},
        "timestamp": INSTANT,
    }
    if word == "asset":
        event |= {"id": INTEGER, "asset_name": TEXT, "partition_key": TEXT_OR_NULL, "source_aliases": TEXTS}
    return {
        kind: _object(
            id=INTEGER,
            uri=TEXT,
            extra=MAPPING_OR_NULL,
            created_at=INSTANT,
            updated_at=INSTANT,
            consuming_dags={"type": "array", "items": _object(**used)},
            producing_tasks={"type": "array", "items": _object(**used, task_id=TEXT)},
            aliases={"type": "array", "items": _object(name=TEXT)},
            **more,
        ),
        f"{kind}Collection": _collection(f"{word}s", kind),
        f"{kind}Event": _object(**event),
        f"{kind}EventCollection": _collection(f"{word}_events", f"{kind}Event"),
        f"Queued{kind}Event": _object(uri=TEXT, dag_id=TEXT, created_at=INSTANT),
        f"Queued{kind}EventCollection": _collection("queued_events", f"Queued{kind}Event"),
    }


COMPONENTS: Final[dict[str, Schema]] = {
    "CronExpression": _object(__type={"const": "CronExpression"}, value=TEXT),
    "TimeDelta": _object(__type={"const": "TimeDelta"}, days=INTEGER, seconds=INTEGER, microseconds=INTEGER),
    "RelativeDelta": {
        "type": "object",
        "properties": {"__type": {"const": "RelativeDelta"}},
        "required": ["__type"],
    },
    "Tag": _object(name=TEXT),
    "DAG": _some_of(_DAG),
    "DAGCollection": _collection("dags", "DAG"),
    "DAGDetail": _some_of(_DAG_DETAIL),
    "Task": _TASK,
    "TaskCollection": _collection("tasks", "Task"),
    "DagVersion": _object(
        id=TEXT,
        version_number=INTEGER,
        dag_id=TEXT,
        bundle_name=TEXT,
        bundle_version=TEXT,
        fileloc=TEXT,
        created_at=INSTANT,
    ),
    "DagVersionCollection": _collection("dag_versions", "DagVersion"),
    "DAGRun": _some_of(_DAG_RUN),
    "DAGRunCollection": _collection("dag_runs", "DAGRun"),
    "DAGRunResult": _extended(_DAG_RUN, results={**MAPPING, "description": "Task id to its return value."}),
    "TaskInstance": _TASK_INSTANCE,
    "SLAMiss": _SLA_MISS,
    "TaskInstanceCollection": _collection("task_instances", "TaskInstance"),
    "TaskInstanceDependencyCollection": _object(dependencies=_list_of("TaskInstanceDependency")),
    "TaskInstanceDependency": _object(name=TEXT, reason=TEXT),
    "TaskInstanceReference": _object(
        dag_id=TEXT, dag_run_id=TEXT, execution_date=INSTANT, map_index=INTEGER, task_id=TEXT
    ),
    "TaskInstanceReferenceCollection": _object(task_instances=_list_of("TaskInstanceReference")),
    "ClearedRun": {"oneOf": [_ref("TaskInstanceReferenceCollection"), _ref("DAGRun")]},
    "Log": _object(content=TEXT, continuation_token=TEXT_OR_NULL),
    "XComReference": _XCOM,
    "XCom": _extended(_XCOM, value=ANYTHING),
    "XComCollection": _collection("xcom_entries", "XComReference"),
    "HumanInput": _object(
        dag_id=TEXT,
        dag_run_id=TEXT,
        task_id=TEXT,
        map_index=INTEGER,
        name=TEXT,
        subject=TEXT,
        body={**TEXT_OR_NULL, "description": "Markdown."},
        to={**TEXT_OR_NULL, "description": "Whom it is for, in words."},
        respondents={**TEXTS, "description": "The only users who may answer; empty: whoever may edit."},
        schema={**MAPPING, "description": "JSON schema of the answer."},
        deadline=INSTANT_OR_NULL,
        is_answered=FLAG,
    ),
    "HumanInputCollection": _collection("human_inputs", "HumanInput"),
    "Query": _object(
        dag_id=TEXT,
        dag_run_id=TEXT,
        task_id=TEXT,
        map_index=INTEGER,
        name=TEXT,
        value=ANYTHING,
        timestamp=INSTANT_OR_NULL,
    ),
    "QueryCollection": _collection("queries", "Query"),
    "TaskStateStore": _object(key=TEXT, value=ANYTHING, updated_at=INSTANT, expires_at=INSTANT_OR_NULL),
    "TaskStateStoreCollection": _collection("task_state_store", "TaskStateStore"),
    "AssetStateStore": _object(key=TEXT, value=ANYTHING, updated_at=INSTANT, last_updated_by=NULL),
    "AssetStateStoreCollection": _collection("asset_state_store", "AssetStateStore"),
    "DeadlineTask": _object(task_id=TEXT, state=TEXT),
    "Deadline": _object(
        id=TEXT,
        dag_id=TEXT,
        dag_run_id=TEXT,
        logical_date=INSTANT,
        kind={**TEXT, "enum": ["sla", "deadline"]},
        alert_name=TEXT_OR_NULL,
        deadline_time=INSTANT,
        missed=FLAG,
        created_at=INSTANT,
        last_updated_at=INSTANT,
        tasks={"type": "array", "items": _ref("DeadlineTask"), "description": "That should have ended well by then."},
        blocking_tasks={"type": "array", "items": _ref("DeadlineTask"), "description": "That were in the way."},
    ),
    "DeadlineCollection": _collection("deadlines", "Deadline"),
    "DagBundle": _DAG_BUNDLE,
    "DagBundleDetail": _extended(_DAG_BUNDLE, dag_count=INTEGER),
    "DagBundleCollection": _collection("dag_bundles", "DagBundle"),
    "SentAnswer": _object(resumed={**FLAG, "description": "Whether the task goes on because of it."}),
    **_asset_components("Dataset", "dataset"),
    **_asset_components("Asset", "asset"),
    "AssetWatcher": _object(
        asset_uri=TEXT,
        name=TEXT,
        kind={**TEXT, "description": "Of its trigger."},
        dag_ids={**TEXTS, "description": "The DAGs of this runtime that name it."},
        state={**TEXT, "enum": ["running", "pausing", "not_here"]},
        place={**TEXT_OR_NULL, "description": "Where it runs: loop, or hosts (async hosts); null: nowhere just now."},
        since=INSTANT,
        events={**INTEGER, "description": "Taken in since the runtime began with it."},
        last_event_at=INSTANT_OR_NULL,
        failures=INTEGER,
        last_error=TEXT_OR_NULL,
        last_error_at=INSTANT_OR_NULL,
        again_at={**INSTANT_OR_NULL, "description": "When one that pauses begins again."},
    ),
    "AssetWatcherCollection": _collection("watchers", "AssetWatcher"),
    "AcceptedEvent": {"oneOf": [_ref("TakenEvent"), _ref("RequestedRun")]},
    "TakenEvent": _object(event_id=INTEGER, name=TEXT, key=TEXT_OR_NULL, timestamp=INSTANT, is_new=FLAG),
    "RequestedRun": _object(dag_id=TEXT, dag_run_id=TEXT, key=TEXT),
    "EventSchedule": _object(
        dag_id=TEXT,
        policy=MAPPING,
        description=TEXT,
        waiting=INTEGER,
        first_queued_at=INSTANT_OR_NULL,
        last_queued_at=INSTANT_OR_NULL,
        last_run_at=INSTANT_OR_NULL,
        next_run_at=INSTANT_OR_NULL,
        reason={**TEXT, "description": "Why nothing begins: debounce, batch, throttle, paused, max_active_runs."},
    ),
    "Pool": _POOL,
    "PoolCollection": _collection("pools", "Pool"),
    "Variable": _VARIABLE,
    "VariableCollection": _collection("variables", "Variable"),
    "Connection": _extended(_CONNECTION, extra={**TEXT_OR_NULL, "description": "JSON as text; secrets are masked."}),
    "ConnectionCollectionItem": _CONNECTION,
    "ConnectionCollection": _collection("connections", "ConnectionCollectionItem"),
    "ConnectionTest": _object(status=FLAG, message=TEXT),
    "ImportError": _IMPORT_ERROR,
    "ImportErrorCollection": _collection("import_errors", "ImportError"),
    "DagSource": _object(content=TEXT),
    "Health": _object(
        metadatabase=_PART_STATUS,
        scheduler=_object(status=TEXT_OR_NULL, latest_scheduler_heartbeat=INSTANT_OR_NULL),
        triggerer=_object(status=TEXT_OR_NULL, latest_triggerer_heartbeat=INSTANT_OR_NULL),
        dag_processor=_object(status=TEXT_OR_NULL, latest_dag_processor_heartbeat=INSTANT_OR_NULL),
    ),
    "Loop": _object(
        isolation={**TEXT, "enum": ["loop", "host"]},
        counters={**MAPPING, "additionalProperties": {"type": "number"}},
        kinds=_list_of("LoopKind"),
        isolated=_list_of("CoroutineKind"),
        hosts=_list_of("AsyncHost"),
        offences=_list_of("LoopOffence"),
        total_kinds=INTEGER,
        total_offences=INTEGER,
    ),
    "CoroutineKind": _object(**_COROUTINE_KIND),
    "LoopKind": _object(
        **_COROUTINE_KIND, place=TEXT, started=INTEGER, running=INTEGER, loop_seconds={"type": "number"}
    ),
    "AsyncHost": _object(
        pid=INTEGER_OR_NULL, fileloc=TEXT, only={"oneOf": [_ref("CoroutineKind"), NULL]}, running=INTEGER, state=TEXT
    ),
    "LoopOffence": _object(
        **_COROUTINE_KIND,
        timestamp=INSTANT,
        offence={**TEXT, "description": "blocked, leaked (asyncio tasks left behind) or ended_its_host."},
        seconds={"type": "number"},
        file=TEXT,
        line=INTEGER,
        function=TEXT,
        stack=TEXT,
        tasks={**TEXTS, "description": "The tasks that were left behind."},
        interrupted=FLAG,
        place=TEXT,
        dag_run_id=TEXT,
        map_index=INTEGER,
        try_number=INTEGER,
    ),
    "Version": _object(version=TEXT, git_version=TEXT_OR_NULL),
    "ConfigOption": _object(key=TEXT, value=TEXT),
    "ConfigSection": _object(name=TEXT, options=_list_of("ConfigOption")),
    "Config": _object(sections=_list_of("ConfigSection")),
    "OpenApi": MAPPING,
    "Error": {
        "type": "object",
        "description": "A problem document (RFC 7807).",
        "properties": {"type": TEXT, "title": TEXT, "status": INTEGER, "detail": TEXT, "request_id": TEXT},
        "required": ["type", "title", "status", "detail"],
    },
}
