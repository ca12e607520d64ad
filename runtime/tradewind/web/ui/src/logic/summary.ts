/** What one square of the grid says: the instances of one task in one run, taken together. */
import type { Task, TaskInstance, TaskState } from "../api/types";
import type { Instances } from "./merge";
import { inOrder } from "./layers";
import { counted, foremost, stateOf } from "./states";

export interface Summary {
  state: TaskState | null;
  /** How many mapped instances there are; 1 for a task that is not mapped. */
  count: number;
}

const known = new WeakMap<Instances, ReadonlyMap<string, Summary>>();

/** By task id. Computed once for each state of a run. */
export function summaries(instances: Instances): ReadonlyMap<string, Summary> {
  const before = known.get(instances);
  if (before) return before;
  const states = new Map<string, (TaskState | null)[]>();
  for (const { task_id: id, state } of instances.values()) {
    const list = states.get(id);
    if (list) list.push(state);
    else states.set(id, [state]);
  }
  const result = new Map<string, Summary>();
  for (const [id, list] of states) result.set(id, { state: foremost(list), count: list.length });
  known.set(instances, result);
  return result;
}

/** The rows of the grid: the tasks of the DAG in their order, then those that only old runs had. */
export function rowsOf(tasks: Task[], runs: Iterable<Instances>): string[] {
  const rows = inOrder(tasks);
  const seen = new Set(rows);
  for (const instances of runs) {
    for (const id of summaries(instances).keys()) {
      if (!seen.has(id)) rows.push(id);
      seen.add(id);
    }
  }
  return rows;
}

/** The instances of one task, by map index. */
export function instancesOf(instances: Instances, taskId: string): TaskInstance[] {
  const mine: TaskInstance[] = [];
  for (const instance of instances.values()) if (instance.task_id === taskId) mine.push(instance);
  return mine.sort((a, b) => a.map_index - b.map_index);
}

/** Mapped instances by their states, those first that the eye should catch first. */
export function byState(instances: readonly TaskInstance[]): [TaskState, TaskInstance[]][] {
  const states = counted(instances.map((each) => each.state)).map(([state]) => state);
  return states.map((state) => [state, instances.filter((each) => stateOf(each.state) === state)]);
}
