import { counted } from "../logic/states";
import { summaries } from "../logic/summary";
import type { RunTasks } from "../state/dag_view";
import { StatePill } from "./state";

/** The states that occur in the grid, each with its colour; what it means is its hint. */
export function Legend({ byRun }: { byRun: ReadonlyMap<string, RunTasks> }) {
  const states = [...byRun.values()].flatMap((run) => [...summaries(run.instances).values()].map((summary) => summary.state));
  const present = counted(states).map(([state]) => state);
  if (!present.length) return null;
  return (
    <ul className="legend" aria-label="Colours">
      {present.map((state) => <li key={state}><StatePill state={state} /></li>)}
    </ul>
  );
}
