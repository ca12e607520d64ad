/** Where the tasks of a DAG are drawn: layers from left to right, with few crossings. Pure. */
import type { Task } from "../api/types";

export interface Placed {
  id: string;
  /** The column, counted from the left. */
  layer: number;
  /** The place in the column, counted from the top. */
  row: number;
}

export interface Edge {
  from: string;
  to: string;
  /** What the edge passes on its way: one place for each layer between its ends. */
  via: Placed[];
}

export interface Layout {
  nodes: Placed[];
  edges: Edge[];
  layers: number;
  rows: number;
}

const SWEEPS = 6;

/** Task ids so that each comes after all that it needs; otherwise in the order given. */
export function inOrder(tasks: Task[]): string[] {
  const known = new Set(tasks.map((task) => task.task_id));
  const unmet = new Map(tasks.map((task) => [task.task_id, 0]));
  for (const task of tasks) {
    for (const next of task.downstream_task_ids) if (known.has(next)) unmet.set(next, (unmet.get(next) ?? 0) + 1);
  }
  const byId = new Map(tasks.map((task) => [task.task_id, task]));
  const ready = tasks.filter((task) => unmet.get(task.task_id) === 0).map((task) => task.task_id);
  const sorted: string[] = [];
  for (let at = 0; at < ready.length; at += 1) {
    const id = ready[at] as string;
    sorted.push(id);
    for (const next of byId.get(id)?.downstream_task_ids ?? []) {
      const left = (unmet.get(next) ?? 0) - 1;
      unmet.set(next, left);
      if (left === 0) ready.push(next);
    }
  }
  return sorted;
}

function layerOf(tasks: Task[]): Map<string, number> {
  const layer = new Map<string, number>(tasks.map((task) => [task.task_id, 0]));
  const byId = new Map(tasks.map((task) => [task.task_id, task]));
  for (const id of inOrder(tasks)) {
    for (const next of byId.get(id)?.downstream_task_ids ?? []) {
      if (layer.has(next)) layer.set(next, Math.max(layer.get(next) ?? 0, (layer.get(id) ?? 0) + 1));
    }
  }
  return layer;
}

/** A point in a layer: a task, or the place where a long edge passes. */
interface Point {
  key: string;
  task: boolean;
  before: Point[];
  after: Point[];
  row: number;
}

function newPoint(key: string, task: boolean): Point {
  return { key, task, before: [], after: [], row: 0 };
}

function connect(from: Point, to: Point): void {
  from.after.push(to);
  to.before.push(from);
}

function meanRow(points: Point[], otherwise: number): number {
  return points.length ? points.reduce((sum, point) => sum + point.row, 0) / points.length : otherwise;
}

/** Sorts each column by where its neighbours stand, to and fro, until crossings are few. */
function settle(columns: Point[][]): void {
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const forward = sweep % 2 === 0;
    const walk = forward ? columns : [...columns].reverse();
    for (const column of walk) {
      const wish = new Map(column.map((p) => [p, meanRow(forward ? p.before : p.after, p.row)]));
      column.sort((a, b) => (wish.get(a) ?? 0) - (wish.get(b) ?? 0));
      column.forEach((point, row) => { point.row = row; });
    }
  }
  // Short columns stand in the middle of the tallest.
  const tallest = Math.max(0, ...columns.map((column) => column.length));
  for (const column of columns) column.forEach((p, row) => { p.row = row + (tallest - column.length) / 2; });
}

/** The drawing of `tasks`; edges to unknown tasks are left out. */
export function layout(tasks: Task[]): Layout {
  const layer = layerOf(tasks);
  const count = tasks.length ? Math.max(...layer.values()) + 1 : 0;
  const columns: Point[][] = Array.from({ length: count }, () => []);
  const points = new Map<string, Point>();
  const place = (point: Point, at: number): Point => {
    point.row = columns[at]?.push(point) ?? 0;
    return point;
  };
  for (const id of inOrder(tasks)) points.set(id, place(newPoint(id, true), layer.get(id) ?? 0));

  const drawn: { from: string; to: string; via: { point: Point; layer: number }[] }[] = [];
  for (const task of tasks) {
    for (const to of task.downstream_task_ids) {
      const [start, end] = [points.get(task.task_id), points.get(to)];
      if (!start || !end) continue;
      const via: { point: Point; layer: number }[] = [];
      let last = start;
      for (let at = (layer.get(task.task_id) ?? 0) + 1; at < (layer.get(to) ?? 0); at += 1) {
        const bend = place(newPoint(`${task.task_id}>${to}@${at}`, false), at);
        connect(last, bend);
        via.push({ point: bend, layer: at });
        last = bend;
      }
      connect(last, end);
      drawn.push({ from: task.task_id, to, via });
    }
  }
  settle(columns);
  return {
    nodes: tasks.flatMap((task) => {
      const point = points.get(task.task_id);
      return point ? [{ id: point.key, layer: layer.get(point.key) ?? 0, row: point.row }] : [];
    }),
    edges: drawn.map(({ from, to, via }) => ({
      from, to, via: via.map(({ point, layer: at }) => ({ id: point.key, layer: at, row: point.row })),
    })),
    layers: count,
    rows: Math.max(0, ...columns.map((column) => column.length)),
  };
}
