/** One task of a run: what it is, its attempts, and the log of one of them. */
import { useEffect, useRef, useState } from "react";
import type { DagRun, TaskInstance } from "../api/types";
import { byState, instancesOf } from "../logic/summary";
import { lookOf } from "../logic/states";
import type { RunTasks } from "../state/dag_view";
import { Facts } from "./facts";
import { Log } from "./log";
import { Empty, Loading } from "./problem";
import { StatePill } from "./state";
import { TaskInsight } from "./task_insight";
import { Elapsed, Time } from "./time";

interface Props {
  dagId: string;
  run: DagRun;
  taskId: string;
  shown: RunTasks | undefined;
  /** Grows whenever tasks of the run have published something. */
  told: number;
  mapIndex: number | null;
  /** The attempt asked for; null for the newest. */
  attempt: number | null;
  choose: (mapIndex: number | null, attempt: number | null) => void;
  back: () => void;
}

export function TaskPanel({ dagId, run, taskId, shown, told, mapIndex, attempt, choose, back }: Props) {
  const all = shown ? instancesOf(shown.instances, taskId) : [];
  // Without a choice the one that matters most is shown; which one that is may change, but not what somebody is reading.
  const first = useRef<number | null>(null);
  const named = (index: number | null): TaskInstance | undefined => all.find((each) => each.map_index === index);
  const instance = named(mapIndex) ?? named(first.current) ?? byState(all)[0]?.[1][0];
  useEffect(() => { first.current = instance?.map_index ?? null; }, [instance?.map_index]);
  return (
    <section className="card panel" aria-label={`Task ${taskId}`}>
      <div className="panel-head">
        <button type="button" className="as-link crumb" onClick={back}>← {run.dag_run_id}</button>
        {run.partition_key && <span className="tag" title="The partition of the run">{run.partition_key}</span>}
      </div>
      <div className="panel-head">
        <h2>{taskId}</h2>
        {instance && <StatePill state={instance.state} />}
        <span className="spacer" />
        {all.length > 1 && instance && <MapChoice all={all} chosen={instance} choose={(index) => choose(index, null)} />}
      </div>
      {!shown && <Loading what="the task" />}
      {shown && !instance && <Empty title="This run has no such task"><p>The DAG had other tasks when it ran.</p></Empty>}
      {instance && (
        <>
          <InstanceFacts of={instance} />
          <TaskInsight of={{ dagId, runId: run.dag_run_id, taskId, mapIndex: instance.map_index }} instance={instance} news={shown} told={told} />
          <Tries key={instance.map_index} dagId={dagId} runId={run.dag_run_id} of={instance} attempt={attempt}
            choose={(number) => choose(mapIndex, number)} />
        </>
      )}
    </section>
  );
}

const nameOf = (of: TaskInstance): string =>
  of.rendered_map_index ? `${of.map_index} · ${of.rendered_map_index}` : String(of.map_index);

function MapChoice({ all, chosen, choose }: { all: TaskInstance[]; chosen: TaskInstance; choose: (index: number) => void }) {
  return (
    <label className="inline-field">
      Mapped instance
      <select value={chosen.map_index} onChange={(event) => choose(Number(event.target.value))}>
        {byState(all).map(([state, some]) => (
          <optgroup key={state} label={`${lookOf(state).label}: ${some.length}`}>
            {some.map((each) => (
              <option key={each.map_index} value={each.map_index}>{nameOf(each)}: {lookOf(each.state).label}</option>
            ))}
          </optgroup>
        ))}
      </select>
    </label>
  );
}

function InstanceFacts({ of }: { of: TaskInstance }) {
  return (
    <Facts of={[
      ["Operator", of.operator ?? ""],
      ["Started", of.start_date && <Time at={of.start_date} precise />],
      ["Took", of.start_date && <Elapsed start={of.start_date} end={of.end_date} />],
      ["Pool", of.pool ?? ""],
      ["Queue", of.queue ?? ""],
      ["Host", of.hostname ?? ""],
      ["Process", of.pid ?? ""],
    ]} />
  );
}

interface TriesProps {
  dagId: string;
  runId: string;
  of: TaskInstance;
  attempt: number | null;
  choose: (attempt: number | null) => void;
}

/** The attempts and the log of one: of the newest, unless another is chosen or somebody reads further up in an older one. */
function Tries({ dagId, runId, of, attempt, choose }: TriesProps) {
  const [read, setRead] = useState<number | null>(null);
  if (of.try_number < 1) {
    return <Empty title="No attempt has begun"><p>{lookOf(of.state).meaning} The log shows here as soon as one begins.</p></Empty>;
  }
  const tryNumber = Math.min(attempt ?? read ?? of.try_number, of.try_number);
  const numbers = Array.from({ length: of.try_number }, (_, index) => index + 1);
  const pick = (number: number): void => {
    setRead(null);
    choose(number === of.try_number ? null : number);
  };
  return (
    <>
      <div className="attempts">
        <div className="choice" role="group" aria-label="Attempt">
          {numbers.map((number) => (
            <button key={number} type="button" aria-pressed={number === tryNumber} onClick={() => pick(number)}>Attempt {number}</button>
          ))}
        </div>
        {typeof of.max_tries === "number" && of.max_tries > 0 && (
          <span className="faint">{of.max_tries} {of.max_tries === 1 ? "retry" : "retries"} allowed</span>
        )}
      </div>
      <Log key={tryNumber} of={{ dagId, runId, taskId: of.task_id, mapIndex: of.map_index, tryNumber }}
        reads={(further) => setRead((before) => (further || (before ?? of.try_number) < of.try_number ? tryNumber : null))} />
    </>
  );
}
