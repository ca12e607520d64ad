/** How news changes what a page shows. Pure: each function gives new values and leaves the old ones alone. */
import type { DagRun, RunEvent, TaskInstance, TaskInstanceChange } from "../api/types";

export type Instances = ReadonlyMap<string, TaskInstance>;

export const instanceKey = (taskId: string, mapIndex: number): string => `${taskId}\u0000${mapIndex}`;

export function toInstances(items: TaskInstance[]): Map<string, TaskInstance> {
  return new Map(items.map((item) => [instanceKey(item.task_id, item.map_index), item]));
}

/** The instances after `changes`, the same map where nothing is new. */
export function withChanges(instances: Instances, changes: TaskInstanceChange[]): Instances {
  if (!changes.length) return instances;
  const next = new Map(instances);
  for (const change of changes) {
    const key = instanceKey(change.task_id, change.map_index);
    const before = next.get(key);
    // A mapped task that had no instances yet stands there once, unmapped, until it is expanded.
    if (change.map_index >= 0) next.delete(instanceKey(change.task_id, -1));
    next.set(key, { ...before, ...change, duration: null });
  }
  return next;
}

const whenOf = (run: DagRun): string => run.logical_date ?? run.execution_date ?? run.start_date ?? "";

function newestFirst(a: DagRun, b: DagRun): number {
  return Date.parse(whenOf(b)) - Date.parse(whenOf(a)) || b.dag_run_id.localeCompare(a.dag_run_id);
}

/** The runs after `event`, newest first and at most `limit`, but never without `keep`; a run not seen before is put in its place. */
export function withRun(runs: DagRun[], event: RunEvent, limit: number, keep: string | null = null): DagRun[] {
  const at = runs.findIndex((run) => run.dag_run_id === event.dag_run_id);
  if (at >= 0) return runs.map((run, index) => (index === at ? { ...run, ...event } : run));
  const all = [...runs, { ...EMPTY_RUN, ...event }].sort(newestFirst);
  return all.filter((run, place) => place < limit || run.dag_run_id === keep);
}

const EMPTY_RUN: Omit<DagRun, "dag_id" | "dag_run_id"> = {
  state: "queued", run_type: "manual", logical_date: null, execution_date: null, start_date: null, end_date: null,
  data_interval_start: null, data_interval_end: null, conf: null, external_trigger: false,
};
