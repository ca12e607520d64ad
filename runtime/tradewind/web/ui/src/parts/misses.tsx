/** Deadlines and SLAs that were missed, of all DAGs, the newest first. */
import { ALL, looks, type Miss, type TaskState } from "../api/looks";
import type { Page } from "../api/types";
import { Link, to } from "../router";
import { useFetched, useNews } from "../state/fetched";
import { Empty } from "./problem";
import { Shown } from "./shown";
import { Distance, Time } from "./time";

export function Misses() {
  const found = useFetched("", (signal) => looks.misses(ALL, ALL, signal), useNews(["deadlines"]));
  return (
    <Shown of={found} what="missed deadlines" failed="The missed deadlines could not be fetched">
      {(page) => <Whole of={page} />}
    </Shown>
  );
}

function Whole({ of: value }: { of: Page<Miss> }) {
  if (!value.items.length) {
    return <Empty title="Nothing was missed"><p>What a DAG’s <code>deadline</code> or a task’s <code>sla</code> asked for and did not get shows here.</p></Empty>;
  }
  return (
    <div className="card table-card">
      <table aria-label="Missed deadlines">
        <thead>
          <tr>
            <th scope="col">What</th><th scope="col">DAG and run</th><th scope="col">Was due</th><th scope="col">Found</th>
            <th scope="col">Late tasks</th><th scope="col" className="wide-only">Held up by</th>
          </tr>
        </thead>
        <tbody>{value.items.map((miss) => <Row key={miss.id} of={miss} />)}</tbody>
      </table>
      {value.total > value.items.length && <p className="faint table-foot">The newest {value.items.length} of {value.total}.</p>}
    </div>
  );
}

function Row({ of }: { of: Miss }) {
  return (
    <tr>
      <th scope="row" className="nowrap">{of.kind === "sla" ? "SLA" : `Deadline${of.alert_name ? ` ${of.alert_name}` : ""}`}</th>
      <td className="breaks"><Link to={to(["dags", of.dag_id], { run: of.dag_run_id })}>{of.dag_id}</Link> <span className="under breaks">{of.dag_run_id}</span></td>
      <td className="nowrap"><Time at={of.deadline_time} precise /></td>
      <td className="nowrap"><Distance at={of.created_at} /></td>
      <td><Tasks of={of} tasks={of.tasks} /></td>
      <td className="wide-only"><Tasks of={of} tasks={of.blocking_tasks} /></td>
    </tr>
  );
}

function Tasks({ of, tasks }: { of: Miss; tasks: TaskState[] }) {
  return (
    <>
      {tasks.map((task) => (
        <span key={task.task_id} className="listed">
          <Link to={to(["dags", of.dag_id], { run: of.dag_run_id, task: task.task_id })}>{task.task_id}</Link>{" "}
          <span className="faint">{task.state.replaceAll("_", " ")}</span>
        </span>
      ))}
    </>
  );
}
