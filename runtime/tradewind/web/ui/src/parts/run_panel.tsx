/** One run: its graph, its tasks as a list, and how it came about. */
import type { DagRun, Task } from "../api/types";
import { byState, instancesOf, summaries } from "../logic/summary";
import { counted } from "../logic/states";
import type { RunTasks } from "../state/dag_view";
import { Copy } from "./copy";
import { Facts } from "./facts";
import { Graph } from "./graph";
import { Loading } from "./problem";
import { Missed, WaitingTasks } from "./run_insight";
import { StatePill } from "./state";
import { Tabs } from "./tabs";
import { Elapsed, Time } from "./time";

export const RUN_TABS = [["graph", "Graph"], ["tasks", "Tasks"], ["waiting", "Waiting"], ["details", "Details"]] as const;
export type RunTab = (typeof RUN_TABS)[number][0];

/** Rows of the list of tasks at most; the grid shows the rest. */
const MOST_ROWS = 500;

interface Props {
  run: DagRun;
  tasks: Task[];
  rows: string[];
  shown: RunTasks | undefined;
  /** Grows whenever a run has missed something. */
  missed: number;
  tab: RunTab;
  chooseTab: (tab: RunTab) => void;
  chooseTask: (taskId: string) => void;
}

export function RunPanel({ run, tasks, rows, shown, missed, tab, chooseTab, chooseTask }: Props) {
  return (
    <section className="card panel" aria-label={`Run ${run.dag_run_id}`}>
      <div className="panel-head">
        <h2>{run.dag_run_id}</h2>
        <Copy what="run id" text={() => run.dag_run_id} />
        <StatePill state={run.state} />
      </div>
      <Facts of={[
        ["Type", typeOf(run)],
        ["Partition", run.partition_key && <Partition of={run.partition_key} />],
        ["Logical date", run.logical_date && <Time at={run.logical_date} precise />],
        ["Started", run.start_date && <Time at={run.start_date} precise />],
        ["Took", run.start_date && <Elapsed start={run.start_date} end={run.end_date} />],
      ]} />
      <Missed run={run} news={missed} />
      <Counts shown={shown} />
      <Tabs label="Views of the run" tabs={RUN_TABS} chosen={tab} choose={chooseTab}>
        {tab === "graph" && <Graph tasks={tasks} run={shown} taskId={null} choose={chooseTask} />}
        {tab === "tasks" && <TaskTable rows={rows} shown={shown} choose={chooseTask} />}
        {tab === "waiting" && <WaitingTasks run={run} shown={shown} choose={chooseTask} />}
        {tab === "details" && <Details run={run} />}
      </Tabs>
    </section>
  );
}

/** How the run came about, as a word. */
function typeOf(run: DagRun): string {
  // The API keeps the older word for assets.
  const words = run.run_type.replace("dataset", "asset").replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** The key alone, so that it can be copied as it is. */
const Partition = ({ of }: { of: string }) => (
  <span className="partition" title="Which part of the data this run is about"><code>{of}</code><Copy what="partition key" text={() => of} /></span>
);

function Counts({ shown }: { shown: RunTasks | undefined }) {
  if (!shown) return null;
  const all = [...shown.instances.values()];
  const missing = shown.total - all.length;
  return (
    <p className="counts">
      {counted(all.map((instance) => instance.state)).map(([state, count]) => (
        <span key={state}><StatePill state={state} /> {count}</span>
      ))}
      {missing > 0 && <span className="faint">and {missing} more that are not shown here</span>}
    </p>
  );
}

function TaskTable({ rows, shown, choose }: { rows: string[]; shown: RunTasks | undefined; choose: (taskId: string) => void }) {
  if (!shown) return <Loading what="tasks" />;
  const present = rows.filter((id) => summaries(shown.instances).has(id));
  return (
    <div className="table-scroll">
      <table className="tasks">
        <caption className="hidden">Tasks of the run</caption>
        <thead>
          <tr>
            <th scope="col">Task</th><th scope="col">State</th><th scope="col">Attempt</th>
            <th scope="col">Started</th><th scope="col">Took</th><th scope="col">Operator</th>
          </tr>
        </thead>
        <tbody>{present.slice(0, MOST_ROWS).map((id) => <TaskRow key={id} id={id} shown={shown} choose={choose} />)}</tbody>
      </table>
      {present.length > MOST_ROWS && <p className="faint">{present.length - MOST_ROWS} more are in the grid.</p>}
    </div>
  );
}

function TaskRow({ id, shown, choose }: { id: string; shown: RunTasks; choose: (taskId: string) => void }) {
  const summary = summaries(shown.instances).get(id);
  const single = summary?.count === 1 ? instancesOf(shown.instances, id)[0] : undefined;
  return (
    <tr>
      <th scope="row"><button type="button" className="as-link" onClick={() => choose(id)}>{id}</button></th>
      <td>{single || !summary ? <StatePill state={summary?.state ?? null} /> : <Mapped id={id} shown={shown} />}</td>
      <td>{single?.try_number || ""}</td>
      <td className="nowrap">{single && <Time at={single.start_date} precise />}</td>
      <td className="nowrap">{single && <Elapsed start={single.start_date} end={single.end_date} />}</td>
      <td>{single?.operator ?? ""}</td>
    </tr>
  );
}

/** Of a mapped task, how many instances are in which state. */
const Mapped = ({ id, shown }: { id: string; shown: RunTasks }) => (
  <span className="counts">
    {byState(instancesOf(shown.instances, id)).map(([state, some]) => <span key={state}><StatePill state={state} /> × {some.length}</span>)}
  </span>
);

function Details({ run }: { run: DagRun }) {
  return (
    <>
      <Facts of={[
        ["Data from", run.data_interval_start && <Time at={run.data_interval_start} precise />],
        ["Data until", run.data_interval_end && <Time at={run.data_interval_end} precise />],
        ["Partition date", run.partition_date && <Time at={run.partition_date} precise />],
        ["Ended", run.end_date && <Time at={run.end_date} precise />],
        ["Triggered from outside", run.external_trigger ? "Yes" : "No"],
        ["Note", run.note ?? ""],
      ]} />
      <h3>Configuration</h3>
      <pre tabIndex={0} aria-label="Configuration">{JSON.stringify(run.conf ?? {}, null, 2)}</pre>
    </>
  );
}
