/** Calls of the parts that look behind a run: why tasks wait, what they tell and keep, watchers, the loop, assets. */
import { address, API, json, runPath } from "./client";
import type { Page } from "./types";

/** A task instance by its names. */
export interface InstanceRef {
  dagId: string;
  runId: string;
  taskId: string;
  mapIndex: number;
}

export interface Published {
  name: string;
  value: unknown;
  timestamp: string | null;
}

export interface Kept {
  key: string;
  value: unknown;
  updated_at: string;
  expires_at?: string | null;
}

export interface TaskState {
  task_id: string;
  state: string;
}

export interface Miss {
  id: string;
  dag_id: string;
  dag_run_id: string;
  kind: "sla" | "deadline";
  alert_name: string | null;
  deadline_time: string;
  created_at: string;
  tasks: TaskState[];
  blocking_tasks: TaskState[];
}

export interface Watcher {
  asset_uri: string;
  name: string;
  kind: string;
  dag_ids: string[];
  state: "running" | "pausing" | "not_here";
  place: string | null;
  since: string;
  events: number;
  last_event_at: string | null;
  failures: number;
  last_error: string | null;
  last_error_at: string | null;
  again_at: string | null;
}

interface CoroutineKind {
  dag_id: string;
  task_id: string;
  what: string;
}

export interface Offence extends CoroutineKind {
  timestamp: string;
  offence: string;
  seconds: number;
  file: string;
  line: number;
  function: string;
  stack: string;
  tasks: string[];
  interrupted: boolean;
  place: string;
  dag_run_id: string;
  map_index: number;
  try_number: number;
}

export interface KindUse extends CoroutineKind {
  place: string;
  started: number;
  running: number;
  loop_seconds: number;
}

export interface AsyncHost {
  pid: number | null;
  fileloc: string;
  only: CoroutineKind | null;
  running: number;
  state: string;
}

export interface LoopReport {
  isolation: string;
  counters: Record<string, number>;
  kinds: KindUse[];
  isolated: CoroutineKind[];
  hosts: AsyncHost[];
  offences: Offence[];
  total_kinds: number;
  total_offences: number;
}

export interface Asset {
  id: number;
  name: string;
  uri: string;
  group: string;
  consuming_dags: { dag_id: string }[];
  producing_tasks: { dag_id: string; task_id: string }[];
}

export interface AssetEvent {
  id: number;
  timestamp: string;
  extra: Record<string, unknown> | null;
  source_dag_id: string | null;
  source_task_id: string | null;
  source_run_id: string | null;
  partition_key?: string | null;
}

const instancePath = (of: InstanceRef): string =>
  `${runPath(of.dagId, of.runId)}/taskInstances/${encodeURIComponent(of.taskId)}`;

export const ALL = "~";

async function page<T>(path: string, field: string, signal: AbortSignal): Promise<Page<T>> {
  const body = await json<Record<string, unknown>>(path, { signal });
  return { items: body[field] as T[], total: body["total_entries"] as number };
}

export const looks = {
  async reasons(of: InstanceRef, signal: AbortSignal): Promise<string[]> {
    const path = address(`${instancePath(of)}/dependencies`, { map_index: of.mapIndex });
    const body = await json<{ dependencies: { reason: string }[] }>(path, { signal });
    return body.dependencies.map((each) => each.reason);
  },
  published: (of: InstanceRef, signal: AbortSignal) =>
    page<Published>(address(`${instancePath(of)}/queries`, { map_index: of.mapIndex }), "queries", signal),
  keptByTask: (of: InstanceRef, signal: AbortSignal) =>
    page<Kept>(address(`${instancePath(of)}/state-store`, { map_index: of.mapIndex }), "task_state_store", signal),
  keptByAsset: (id: number, signal: AbortSignal) =>
    page<Kept>(`${API}assets/${id}/state-store`, "asset_state_store", signal),
  misses: (dagId: string, runId: string, signal: AbortSignal) =>
    page<Miss>(address(`${runPath(dagId, runId)}/deadlines`, { order_by: "-created_at" }), "deadlines", signal),
  watchers: (uri: string | null, signal: AbortSignal) =>
    page<Watcher>(address(`${API}assets/watchers`, { uri }), "watchers", signal),
  loop: (signal: AbortSignal) => json<LoopReport>(`${API}loop`, { signal }),
  assets: (signal: AbortSignal) => page<Asset>(address(`${API}assets`, { limit: 1000, order_by: "uri" }), "assets", signal),
  assetEvents: (id: number, signal: AbortSignal) =>
    page<AssetEvent>(address(`${API}assets/events`, { asset_id: id, limit: 10, order_by: "-timestamp" }), "asset_events", signal),
};
