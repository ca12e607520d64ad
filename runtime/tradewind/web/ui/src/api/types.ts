/** The shapes that the REST API and its event streams send. Times are ISO 8601 strings with a zone. */

export const TASK_STATES = [
  "none", "scheduled", "queued", "running", "success", "failed", "skipped", "upstream_failed", "up_for_retry",
  "up_for_reschedule", "deferred", "restarting", "removed", "shutdown",
] as const;
export type TaskState = (typeof TASK_STATES)[number];
export type RunState = "queued" | "running" | "success" | "failed";

export interface Me {
  username: string;
  roles: string[];
}

export interface Health {
  metadatabase: { status: string | null };
  scheduler: { status: string | null; latest_scheduler_heartbeat: string | null };
}

export interface Version {
  version: string;
}

/** A cron expression, a number of seconds as parts, or a preset; `null` where only a person or an event starts runs. */
export type ScheduleInterval =
  | { __type: "CronExpression"; value: string }
  | { __type: "TimeDelta"; days: number; seconds: number; microseconds: number }
  | { __type: "RelativeDelta"; [part: string]: string | number | null }
  | null;

export interface Dag {
  dag_id: string;
  is_paused: boolean | null;
  is_active: boolean | null;
  description: string | null;
  tags: { name: string }[] | null;
  schedule_interval: ScheduleInterval;
  timetable_description: string | null;
  next_dagrun: string | null;
  next_dagrun_create_after: string | null;
  owners: string[];
  has_import_errors: boolean;
  fileloc: string;
  max_active_runs: number | null;
  max_active_tasks: number | null;
}

export interface DagDetails extends Dag {
  params?: Record<string, unknown> | null;
  catchup?: boolean | null;
  timezone?: string | null;
  doc_md?: string | null;
}

export interface Task {
  task_id: string;
  operator_name?: string | null;
  downstream_task_ids: string[];
  trigger_rule: string;
  ui_color?: string | null;
  is_mapped?: boolean;
}

export interface DagRun {
  dag_id: string;
  dag_run_id: string;
  state: RunState;
  run_type: string;
  logical_date: string | null;
  execution_date: string | null;
  start_date: string | null;
  end_date: string | null;
  data_interval_start: string | null;
  data_interval_end: string | null;
  conf: Record<string, unknown> | null;
  external_trigger: boolean;
  note?: string | null;
  /** Which part of the data the run is about, and the moment that this stands for. */
  partition_key?: string | null;
  partition_date?: string | null;
}

/** What a `task` event tells of one task instance; the REST answer holds more. */
export interface TaskInstanceChange {
  task_id: string;
  map_index: number;
  state: TaskState | null;
  try_number: number;
  start_date: string | null;
  end_date: string | null;
}

export interface TaskInstance extends TaskInstanceChange {
  rendered_map_index?: string | null;
  max_tries?: number | null;
  duration?: number | null;
  operator?: string | null;
  pool?: string | null;
  queue?: string | null;
  hostname?: string | null;
  pid?: number | null;
}

export interface ImportError {
  import_error_id: number;
  timestamp: string;
  filename: string;
  stack_trace: string;
}

export interface LogRecord {
  ts: string | null;
  level: string | null;
  logger: string | null;
  message: string;
  stream: string | null;
}

export type DagEvent = Partial<Dag> & { dag_id: string };
export type RunEvent = Partial<DagRun> & { dag_id: string; dag_run_id: string };
export interface TaskEvent {
  dag_id: string;
  dag_run_id: string;
  items: TaskInstanceChange[];
}

/** One page of a list, and how many entries there are in all. */
export interface Page<T> {
  items: T[];
  total: number;
}
