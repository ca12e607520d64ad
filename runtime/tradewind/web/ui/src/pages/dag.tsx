/** One DAG: its runs as a grid, and the run or task that is chosen in it. The choice is in the address. */
import { useEffect, useMemo, useState } from "react";
import type { DagDetails } from "../api/types";
import { rowsOf } from "../logic/summary";
import { scheduleText } from "../logic/times";
import { Copy } from "../parts/copy";
import { Grid } from "../parts/grid";
import { PlayIcon } from "../parts/icons";
import { Legend } from "../parts/legend";
import { PauseSwitch } from "../parts/pause_switch";
import { Empty, Loading, Problem } from "../parts/problem";
import { RUN_TABS, RunPanel, type RunTab } from "../parts/run_panel";
import { TaskPanel } from "../parts/task_panel";
import { Distance } from "../parts/time";
import { useTitle } from "../parts/title";
import { TriggerDialog } from "../parts/trigger_dialog";
import { go, Link, to } from "../router";
import { DagView } from "../state/dag_view";
import { useObserved } from "../state/observed";

const RUNS_SHOWN = [10, 25, 50, 100] as const;
const USUAL_RUNS = 25;

interface Choice {
  run: string | null;
  task: string | null;
  mapIndex: number | null;
  attempt: number | null;
  tab: RunTab;
  limit: number;
}

const number = (text: string | null): number | null => (text !== null && /^-?\d+$/.test(text) ? Number(text) : null);

function choiceOf(query: URLSearchParams): Choice {
  const tab = RUN_TABS.find(([each]) => each === query.get("tab"))?.[0] ?? "graph";
  const limit = RUNS_SHOWN.find((each) => each === number(query.get("runs"))) ?? USUAL_RUNS;
  return {
    run: query.get("run"), task: query.get("task"), mapIndex: number(query.get("map_index")),
    attempt: number(query.get("attempt")), tab, limit,
  };
}

export function DagPage({ dagId, query }: { dagId: string; query: URLSearchParams }) {
  const choice = choiceOf(query);
  useTitle([choice.task, dagId].filter(Boolean).join(" · "));
  const view = useMemo(() => new DagView(dagId, choice.limit, choice.run), [dagId]);
  useObserved(view);
  useEffect(() => view.show(choice.limit, choice.run), [view, choice.limit, choice.run]);
  const [triggering, setTriggering] = useState(false);
  const choose = (change: Partial<Choice>): void => {
    const next = { ...choice, ...change };
    go(to(["dags", dagId], {
      run: next.run, task: next.task, map_index: next.mapIndex, attempt: next.attempt,
      tab: next.tab === "graph" ? null : next.tab, runs: next.limit === USUAL_RUNS ? null : next.limit,
    }));
  };

  if (!view.dag) {
    if (view.problem === null) return <Loading what={dagId} />;
    return <Problem what={`${dagId} could not be shown`} cause={view.problem} retry={view.again} />;
  }
  return (
    <div className="page">
      <DagHead dag={view.dag} paused={(paused) => view.setPaused(paused)} trigger={() => setTriggering(true)} />
      {view.problem !== null && <Problem what="Some of this page is old" cause={view.problem} retry={view.again} />}
      <DagBody view={view} choice={choice} choose={choose} />
      {triggering && (
        <TriggerDialog dagId={dagId} paused={view.dag.is_paused === true} close={() => setTriggering(false)}
          started={(run, unpaused) => {
            setTriggering(false);
            if (unpaused) view.setPaused(false);
            view.started(run);
            choose({ run: run.dag_run_id, task: null, mapIndex: null, attempt: null });
          }} />
      )}
    </div>
  );
}

function DagHead({ dag, paused, trigger }: { dag: DagDetails; paused: (paused: boolean) => void; trigger: () => void }) {
  return (
    <>
      <nav className="crumbs" aria-label="Path"><Link to="dags">DAGs</Link> <span aria-hidden="true">/</span></nav>
      <div className="page-head">
        <PauseSwitch dagId={dag.dag_id} paused={dag.is_paused === true} changed={paused} />
        <h1>{dag.dag_id}</h1>
        {dag.is_paused && <span className="tag tag-warn">Paused</span>}
        {dag.tags?.map((tag) => <span key={tag.name} className="tag">{tag.name}</span>)}
        <span className="spacer" />
        <button type="button" className="primary" onClick={trigger}><PlayIcon />Trigger</button>
      </div>
      <p className="dag-meta">
        {dag.description && <span>{dag.description}</span>}
        <span title={dag.timetable_description ?? ""}>
          Schedule <code>{scheduleText(dag.schedule_interval, dag.timetable_description)}</code>
        </span>
        {!dag.is_paused && dag.next_dagrun_create_after && <span>Next run <Distance at={dag.next_dagrun_create_after} /></span>}
        <span className="file">File <code>{dag.fileloc}</code> <Copy what="path" text={() => dag.fileloc} /></span>
      </p>
      {dag.has_import_errors && (
        <div className="hint hint-warn" role="alert">
          <strong>The file of this DAG can’t be imported now.</strong> Its last good version runs on.{" "}
          <Link to="dags">See the error in the list of DAGs</Link>, correct the file and save it.
        </div>
      )}
    </>
  );
}

interface BodyProps {
  view: DagView;
  choice: Choice;
  choose: (change: Partial<Choice>) => void;
}

function DagBody({ view, choice, choose }: BodyProps) {
  const tasks = view.tasks ?? [];
  const runs = view.runs ?? [];
  const loaded = runs.flatMap((run) => view.byRun.get(run.dag_run_id)?.instances ?? []);
  const rows = rowsOf(tasks, loaded);
  const run = runs.find((each) => each.dag_run_id === choice.run) ?? (choice.run === null ? runs[0] : undefined);
  const shown = run && view.byRun.get(run.dag_run_id);
  if (!runs.length && choice.run === null) {
    return (
      <Empty title="No runs yet">
        <p>Press <strong>Trigger</strong> to start one now{view.dag?.is_paused ? ", or unpause the DAG so that its schedule starts them" : ""}.</p>
      </Empty>
    );
  }
  return (
    <div className="dag-body">
      <section className="card grid-card" aria-label="Runs">
        <div className="card-head">
          <h2>Runs</h2>
          <span className="faint">{Math.min(runs.length, view.totalRuns)} of {view.totalRuns}</span>
          <span className="spacer" />
          <label className="inline-field">
            Show
            <select aria-label="Runs shown" value={choice.limit} onChange={(event) => choose({ limit: Number(event.target.value) })}>
              {RUNS_SHOWN.map((each) => <option key={each} value={each}>{each}</option>)}
            </select>
          </label>
        </div>
        <Grid runs={[...runs].reverse()} rows={rows} byRun={view.byRun} runId={run?.dag_run_id ?? null} taskId={choice.task}
          choose={(runId, task) => choose({ run: runId, task, mapIndex: null, attempt: null })} />
        <Legend byRun={view.byRun} />
      </section>
      {!run && view.lacking !== choice.run && <Loading what={`the run ${choice.run ?? ""}`} />}
      {!run && view.lacking === choice.run && (
        <Empty title={`This DAG has no run ${choice.run ?? ""}`}>
          <p>It may have been deleted. Choose one in the grid.</p>
        </Empty>
      )}
      {run && choice.task !== null && (
        <TaskPanel key={`${run.dag_run_id}\n${choice.task}`} dagId={view.dagId} run={run} taskId={choice.task} shown={shown} told={view.told} mapIndex={choice.mapIndex} attempt={choice.attempt}
          choose={(mapIndex, attempt) => choose({ run: run.dag_run_id, mapIndex, attempt })}
          back={() => choose({ run: run.dag_run_id, task: null, mapIndex: null, attempt: null })} />
      )}
      {run && choice.task === null && (
        <RunPanel run={run} tasks={tasks} rows={rows} shown={shown} missed={view.missed} tab={choice.tab} chooseTab={(tab) => choose({ run: run.dag_run_id, tab })}
          chooseTask={(task) => choose({ run: run.dag_run_id, task, mapIndex: null, attempt: null })} />
      )}
    </div>
  );
}
