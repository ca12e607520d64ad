/** The tasks of a run in layers from left to right, each in the colour of its state. */
import { useLayoutEffect, useMemo, useRef, useState } from "react";
import type { Task } from "../api/types";
import { layout, type Edge, type Placed } from "../logic/layers";
import { lookOf, stateOf } from "../logic/states";
import { summaries } from "../logic/summary";
import type { RunTasks } from "../state/dag_view";
import { Empty } from "./problem";

const NODE = { width: 172, height: 44 };
const STEP = { x: 214, y: 60 };
const EDGE_PAD = 16;
const MOST_NODES = 400;

const left = (place: Placed): number => EDGE_PAD + place.layer * STEP.x;
const middle = (place: Placed): number => EDGE_PAD + place.row * STEP.y + NODE.height / 2;

/** A smooth line from the right of one task through the gaps of the layers between to the left of the other. */
function pathOf(edge: Edge, places: ReadonlyMap<string, Placed>): string {
  const [from, to] = [places.get(edge.from), places.get(edge.to)];
  if (!from || !to) return "";
  let [x, y] = [left(from) + NODE.width, middle(from)];
  let path = `M${x} ${y}`;
  for (const stop of [...edge.via, to]) {
    const [nextX, nextY] = [left(stop), middle(stop)];
    const bend = (nextX - x) / 2;
    path += `C${x + bend} ${y} ${nextX - bend} ${nextY} ${nextX} ${nextY}`;
    if (stop !== to) path += `H${nextX + NODE.width}`;
    [x, y] = [stop === to ? nextX : nextX + NODE.width, nextY];
  }
  return path;
}

const SMALLEST = 0.7;

/** How much a drawing of `width` is made smaller to fit its box; below the smallest it is scrolled instead. */
function useFit(width: number) {
  const box = useRef<HTMLDivElement>(null);
  const [room, setRoom] = useState(width);
  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return undefined;
    const observer = new ResizeObserver(() => setRoom(element.clientWidth));
    setRoom(element.clientWidth);
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return { box, zoom: Math.max(SMALLEST, Math.min(1, room / width)) };
}

interface Props {
  tasks: Task[];
  run: RunTasks | undefined;
  taskId: string | null;
  choose: (taskId: string) => void;
}

export function Graph({ tasks, run, taskId, choose }: Props) {
  const drawing = useMemo(() => {
    if (tasks.length > MOST_NODES) return null;
    const plan = layout(tasks);
    const places = new Map(plan.nodes.map((node) => [node.id, node]));
    return { plan, lines: plan.edges.map((edge) => ({ edge, path: pathOf(edge, places) })) };
  }, [tasks]);
  const width = 2 * EDGE_PAD + Math.max(0, (drawing?.plan.layers ?? 0) - 1) * STEP.x + NODE.width;
  const { box, zoom } = useFit(width);
  if (!drawing) {
    return <Empty title={`${tasks.length} tasks are too many for one picture`}><p>The grid shows them all.</p></Empty>;
  }
  const { plan, lines } = drawing;
  const height = 2 * EDGE_PAD + Math.max(0, plan.rows - 1) * STEP.y + NODE.height;
  const states = run ? summaries(run.instances) : null;
  const operators = new Map(tasks.map((task) => [task.task_id, task.operator_name ?? ""]));
  return (
    <div ref={box} className="graph" role="group" aria-label="Graph of the run">
      <div className="graph-sheet" style={{ width, height, zoom }}>
        <svg width={width} height={height} aria-hidden="true">
          {lines.map(({ edge, path }) => <path key={`${edge.from}>${edge.to}`} d={path} className="edge" />)}
        </svg>
        {plan.nodes.map((node) => {
          const summary = states?.get(node.id);
          const state = summary?.state ?? null;
          const count = summary && summary.count > 1 ? ` × ${summary.count}` : "";
          return (
            <button key={node.id} type="button" className={`node s-${stateOf(state)}`} aria-pressed={node.id === taskId}
              aria-label={`${node.id}: ${lookOf(state).label}`} title={`${node.id}\n${lookOf(state).meaning}`}
              style={{ left: left(node), top: middle(node) - NODE.height / 2, width: NODE.width, height: NODE.height }}
              onClick={() => choose(node.id)}>
              <span className="node-name">{node.id}{count}</span>
              <span className="node-text">{summary ? lookOf(state).label : operators.get(node.id)}</span>
            </button>
          );
        })}
      </div>
    </div>
  );
}
