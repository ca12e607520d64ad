/** The grid: a row for each task, a column for each run, a square for each task of a run. */
import { memo, useEffect, useLayoutEffect, useRef, useState, type KeyboardEvent, type MouseEvent } from "react";
import type { DagRun } from "../api/types";
import { summaries, type Summary } from "../logic/summary";
import { isFinal, lookOf } from "../logic/states";
import { duration, elapsedMs, fullTime } from "../logic/times";
import type { RunTasks } from "../state/dag_view";
import { useNow } from "../state/clock";
import { useZone } from "../state/zone";
import { Square } from "./state";

const ROW_PX = 26;
const SPARE_ROWS = 12;
const BAR_PX = 56;
const HEADER = -1;
const NEAR_PX = 8;

interface Props {
  /** Oldest first: time goes to the right. */
  runs: DagRun[];
  rows: string[];
  byRun: ReadonlyMap<string, RunTasks>;
  runId: string | null;
  taskId: string | null;
  choose: (runId: string, taskId: string | null) => void;
}

interface At {
  row: number;
  column: number;
}

/** What the arrow keys have led to, by its names: new runs and rows shift the numbers. */
interface Spot {
  taskId: string | null;
  runId: string;
}

/** Where the arrow keys lead from `at`; null for any other key. */
function moved(at: At, key: string, rows: number, columns: number): At | null {
  const steps: Record<string, [number, number]> = {
    ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1],
    PageUp: [-10, 0], PageDown: [10, 0], Home: [0, -columns], End: [0, columns],
  };
  const step = steps[key];
  if (!step) return null;
  const within = (value: number, least: number, most: number): number => Math.min(most, Math.max(least, value));
  return { row: within(at.row + step[0], HEADER, rows - 1), column: within(at.column + step[1], 0, columns - 1) };
}

/** Which rows are in view; the others are only space. */
function useWindow(count: number) {
  const box = useRef<HTMLDivElement>(null);
  const [range, setRange] = useState({ first: 0, last: 60 });
  const look = (): void => {
    const element = box.current;
    if (!element) return;
    const first = Math.max(0, Math.floor(element.scrollTop / ROW_PX) - SPARE_ROWS);
    const last = first + Math.ceil(element.clientHeight / ROW_PX) + 2 * SPARE_ROWS;
    setRange((now) => (now.first === first && now.last === last ? now : { first, last }));
  };
  useEffect(() => {
    look();
    window.addEventListener("resize", look);
    return () => window.removeEventListener("resize", look);
  }, [count]);
  return { box, look, first: Math.min(range.first, count), last: Math.min(range.last, count) };
}

export function Grid({ runs, rows, byRun, runId, taskId, choose }: Props) {
  const { box, look, first, last } = useWindow(rows.length);
  const [active, setActive] = useState<Spot | null>(null);
  const wantFocus = useRef(false);
  const atNewest = useRef(true);
  const column = (of: string | null): number => runs.findIndex((run) => run.dag_run_id === of);
  const spot = active && column(active.runId) >= 0 ? active : { taskId, runId };
  const at: At = { row: spot.taskId === null ? HEADER : rows.indexOf(spot.taskId), column: Math.max(0, column(spot.runId)) };

  // The newest runs stand at the right; a wide grid begins there, and stays there unless somebody looks at older ones.
  useLayoutEffect(() => { if (box.current && atNewest.current) box.current.scrollLeft = box.current.scrollWidth; }, [box, runs.length]);
  useEffect(() => {
    if (!wantFocus.current) return;
    wantFocus.current = false;
    box.current?.querySelector<HTMLElement>(`[data-at="${at.row}:${at.column}"]`)?.focus();
  });

  const onKey = (event: KeyboardEvent): void => {
    const next = moved(at, event.key, rows.length, runs.length);
    if (!next) return;
    event.preventDefault();
    const run = runs[next.column];
    if (!run) return;
    wantFocus.current = true;
    setActive({ taskId: rows[next.row] ?? null, runId: run.dag_run_id });
    const element = box.current;
    if (!element || next.row < 0) return;
    const top = next.row * ROW_PX;
    if (top < element.scrollTop || top > element.scrollTop + element.clientHeight - BAR_PX - 2 * ROW_PX) {
      element.scrollTop = top - element.clientHeight / 2;
      look();
    }
  };
  const onClick = (event: MouseEvent): void => {
    const place = (event.target as HTMLElement).closest<HTMLElement>("[data-at]")?.dataset["at"]?.split(":").map(Number);
    const run = runs[place?.[1] ?? -1];
    if (!place || !run) return;
    setActive(null);
    choose(run.dag_run_id, rows[place[0] ?? HEADER] ?? null);
  };

  const onScroll = (): void => {
    const element = box.current;
    if (element) atNewest.current = element.scrollLeft + element.clientWidth >= element.scrollWidth - NEAR_PX;
    look();
  };

  const columns = runs.map((run) => byRun.get(run.dag_run_id));
  return (
    <div ref={box} className="grid" role="grid" aria-label="Tasks by run" aria-rowcount={rows.length + 1}
      aria-colcount={runs.length + 1} onScroll={onScroll} onKeyDown={onKey} onClick={onClick}>
      <Bars runs={runs} runId={runId} focus={at.row === HEADER ? at.column : null} />
      <div className="grid-body" style={{ paddingTop: first * ROW_PX, paddingBottom: (rows.length - last) * ROW_PX }}>
        {rows.slice(first, last).map((id, offset) => {
          const row = first + offset;
          return (
            <div key={id} role="row" aria-rowindex={row + 2} className={`grid-row${id === taskId ? " chosen-row" : ""}`}>
              <div role="rowheader" className="grid-name" title={id}><span>{id}</span></div>
              {runs.map((run, column) => (
                <Cell key={run.dag_run_id} at={`${row}:${column}`} task={id} runId={run.dag_run_id} {...summaryOf(columns[column], id)}
                  chosen={run.dag_run_id === runId} picked={run.dag_run_id === runId && id === taskId}
                  reachable={at.row === row && at.column === column} />
              ))}
            </div>
          );
        })}
      </div>
    </div>
  );
}

interface CellSummary {
  state: Summary["state"] | undefined;
  count: number;
}

function summaryOf(tasks: RunTasks | undefined, taskId: string): CellSummary {
  const summary = tasks && summaries(tasks.instances).get(taskId);
  return { state: summary?.state, count: summary?.count ?? 0 };
}

interface CellProps extends CellSummary {
  at: string;
  task: string;
  runId: string;
  chosen: boolean;
  picked: boolean;
  reachable: boolean;
}

const Cell = memo(function Cell({ at, task, runId, state, count, chosen, picked, reachable }: CellProps) {
  const mapped = count > 1 ? `, ${count} mapped` : "";
  const label = state === undefined ? "Not in this run" : `${lookOf(state).label}${mapped}`;
  return (
    <div role="gridcell" className={`grid-cell${chosen ? " chosen" : ""}`} aria-selected={picked}>
      <button type="button" data-at={at} tabIndex={reachable ? 0 : -1} disabled={state === undefined}
        aria-label={`${task}, run ${runId}: ${label}`} title={`${task}\n${label}\n${runId}`}>
        {state !== undefined && <Square state={state} count={count} />}
      </button>
    </div>
  );
});

/** The heads of the columns: how long each run took, in the colour of its state. */
function Bars({ runs, runId, focus }: { runs: DagRun[]; runId: string | null; focus: number | null }) {
  const zone = useZone();
  const busy = runs.some((run) => !isFinal(run.state));
  const now = useNow(busy ? 1_000 : 60_000);
  const took = runs.map((run) => elapsedMs(run.start_date, run.end_date, now) ?? 0);
  const longest = Math.max(1, ...took);
  return (
    <div role="row" aria-rowindex={1} className="grid-row grid-head">
      <div role="columnheader" className="grid-name"><span className="faint">{duration(longest)}</span></div>
      {runs.map((run, column) => {
        const ms = took[column] ?? 0;
        const partition = run.partition_key ? `, partition ${run.partition_key}` : "";
        const text = `${lookOf(run.state).label}${ms ? `, ${duration(ms)}` : ""}${partition}`;
        return (
          <div key={run.dag_run_id} role="columnheader" className={`grid-cell${run.dag_run_id === runId ? " chosen" : ""}`}>
            <button type="button" data-at={`${HEADER}:${column}`} tabIndex={focus === column ? 0 : -1}
              aria-label={`Run ${run.dag_run_id}: ${text}`}
              title={`${text}\n${run.dag_run_id}\n${fullTime(run.logical_date ?? run.start_date, zone)}`}>
              <span className={`bar s-${run.state}`} style={{ height: Math.max(6, (ms / longest) * BAR_PX) }} />
            </button>
          </div>
        );
      })}
    </div>
  );
}
