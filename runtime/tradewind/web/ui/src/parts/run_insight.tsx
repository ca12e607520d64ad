/** What is behind a run: deadlines that it has missed, and what its waiting tasks wait for. */
import { looks, type Miss } from "../api/looks";
import type { DagRun, TaskInstance } from "../api/types";
import { isFinal } from "../logic/states";
import { timesIn } from "../logic/times";
import type { RunTasks } from "../state/dag_view";
import { useFetched } from "../state/fetched";
import { useZone } from "../state/zone";
import { Empty, Loading } from "./problem";
import { Failed, Shown } from "./shown";
import { StatePill } from "./state";
import { waits } from "./task_insight";
import { Time } from "./time";

export function Missed({ run, news }: { run: DagRun; news: unknown }) {
  const found = useFetched(run.dag_run_id, (signal) => looks.misses(run.dag_id, run.dag_run_id, signal), news);
  const { value } = found;
  if (!value?.items.length) return <Failed of={found} what="Its missed deadlines could not be fetched" />;
  return (
    <section className="hint hint-warn" aria-label="Missed deadlines">
      <strong>Missed</strong>
      <ul>
        {value.items.map((miss) => (
          <li key={miss.id}>{wordOf(miss)} of <Time at={miss.deadline_time} precise />{late(miss)}</li>
        ))}
      </ul>
    </section>
  );
}

export const wordOf = (miss: Miss): string =>
  miss.kind === "sla" ? "The SLA" : miss.alert_name ? `The deadline ${miss.alert_name}` : "The deadline";

const late = (miss: Miss): string => (miss.tasks.length ? `: ${miss.tasks.map((each) => each.task_id).join(", ")} had not ended` : "");

/** Each is asked about on its own. */
const MOST = 20;

export function WaitingTasks({ run, shown, choose }: { run: DagRun; shown: RunTasks | undefined; choose: (taskId: string) => void }) {
  // Nothing is asked before it is known about which tasks.
  return shown ? <Reasons run={run} shown={shown} choose={choose} /> : <Loading what="tasks" />;
}

function Reasons({ run, shown, choose }: { run: DagRun; shown: RunTasks; choose: (taskId: string) => void }) {
  const all = [...shown.instances.values()].filter(waits);
  const asked = all.slice(0, MOST);
  const found = useFetched(run.dag_run_id, (signal) => reasonsOf(run, asked, signal), shown);
  return (
    <Shown of={found} what="reasons" failed="The reasons could not be fetched">
      {(value) => <ReasonTable run={run} all={all} value={value} choose={choose} />}
    </Shown>
  );
}

interface ReasonProps {
  run: DagRun;
  all: TaskInstance[];
  value: ReadonlyMap<string, string[]>;
  choose: (taskId: string) => void;
}

function ReasonTable({ run, all, value, choose }: ReasonProps) {
  const zone = useZone();
  if (!all.length) {
    return (
      <Empty title="Nothing waits in this run">
        <p>{isFinal(run.state) ? "It has ended." : "Whatever can run is running."} While tasks wait, what each of them waits for stands here.</p>
      </Empty>
    );
  }
  return (
    <div className="table-scroll">
      <table className="tasks">
        <caption className="hidden">What tasks wait for</caption>
        <thead><tr><th scope="col">Task</th><th scope="col">State</th><th scope="col">Why it waits</th></tr></thead>
        <tbody>
          {all.slice(0, MOST).map((one) => (
            <tr key={nameOf(one)}>
              <th scope="row"><button type="button" className="as-link" onClick={() => choose(one.task_id)}>{nameOf(one)}</button></th>
              <td><StatePill state={one.state} /></td>
              <td>{timesIn(value.get(nameOf(one))?.join(" ") ?? "…", zone)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {all.length > MOST && <p className="faint">{all.length - MOST} more wait.</p>}
    </div>
  );
}

const nameOf = (one: TaskInstance): string => (one.map_index >= 0 ? `${one.task_id} [${one.map_index}]` : one.task_id);

async function reasonsOf(run: DagRun, asked: TaskInstance[], signal: AbortSignal): Promise<Map<string, string[]>> {
  const found = await Promise.all(asked.map(async (one) => {
    const of = { dagId: run.dag_id, runId: run.dag_run_id, taskId: one.task_id, mapIndex: one.map_index };
    return [nameOf(one), await looks.reasons(of, signal)] as const;
  }));
  return new Map(found);
}
