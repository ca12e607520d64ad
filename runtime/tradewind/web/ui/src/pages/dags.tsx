/** The list of DAGs. */
import { useEffect, useMemo, useRef, useState } from "react";
import type { Dag, DagRun } from "../api/types";
import { lookOf } from "../logic/states";
import { fullTime, scheduleText } from "../logic/times";
import { PlayIcon, SearchIcon } from "../parts/icons";
import { ImportErrors } from "../parts/import_errors";
import { PauseSwitch } from "../parts/pause_switch";
import { Empty, Loading, Problem } from "../parts/problem";
import { Square } from "../parts/state";
import { Distance, Elapsed } from "../parts/time";
import { useTitle } from "../parts/title";
import { TriggerDialog } from "../parts/trigger_dialog";
import { go, Link, to } from "../router";
import { DagList } from "../state/dag_list";
import { useKey } from "../state/keys";
import { useObserved } from "../state/observed";
import { useZone } from "../state/zone";

const PAGE = 50;
const TYPING_MS = 200;
const SHOW = ["all", "active", "paused"] as const;
type Show = (typeof SHOW)[number];

interface Filter {
  text: string;
  show: Show;
  page: number;
}

function filterOf(query: URLSearchParams): Filter {
  const show = query.get("show") as Show;
  return {
    text: query.get("q") ?? "", show: SHOW.includes(show) ? show : "all",
    page: Math.max(1, Number.parseInt(query.get("page") ?? "1", 10) || 1),
  };
}

function goTo(filter: Filter, how: "push" | "replace"): void {
  const { text, show, page } = filter;
  go(to(["dags"], { q: text, show: show === "all" ? null : show, page: page > 1 ? page : null }), how);
}

export function DagsPage({ query }: { query: URLSearchParams }) {
  useTitle("DAGs");
  const filter = filterOf(query);
  const { text, show, page } = filter;
  const list = useMemo(() => new DagList({
    limit: PAGE, offset: (page - 1) * PAGE, pattern: text, paused: show === "all" ? null : show === "paused",
  }), [text, show, page]);
  useObserved(list);
  const [triggering, setTriggering] = useState<Dag | null>(null);

  return (
    <div className="page">
      <ImportErrors />
      <div className="page-head">
        <h1>DAGs</h1>
        {list.dags && <span className="faint" role="status">{list.total} {list.total === 1 ? "DAG" : "DAGs"}</span>}
        <span className="spacer" />
        <Search text={text} search={(next) => goTo({ ...filter, text: next, page: 1 }, "replace")} />
        <ShowChoice show={show} choose={(next) => goTo({ ...filter, show: next, page: 1 }, "push")} />
      </div>
      {list.problem !== null && <Problem what={list.dags ? "Some of this page is old" : "The DAGs could not be fetched"} cause={list.problem} retry={() => void list.reload()} />}
      {!list.dags && list.problem === null && <Loading what="DAGs" />}
      {list.dags?.length === 0 && <NoDags filter={filter} />}
      {list.dags && list.dags.length > 0 && <DagTable list={list} trigger={setTriggering} />}
      <Pages total={list.total} page={page} turn={(next) => goTo({ ...filter, page: next }, "push")} />
      {triggering && (
        <TriggerDialog dagId={triggering.dag_id} paused={triggering.is_paused === true} close={() => setTriggering(null)}
          started={(run) => go(to(["dags", triggering.dag_id], { run: run.dag_run_id }))} />
      )}
    </div>
  );
}

function Search({ text, search }: { text: string; search: (text: string) => void }) {
  const [typed, setTyped] = useState(text);
  const box = useRef<HTMLInputElement>(null);
  const searched = useRef(text);
  useEffect(() => {
    // What was searched for here comes back as the address; by then more may have been typed.
    if (text !== searched.current) setTyped(text);
    searched.current = text;
  }, [text]);
  useEffect(() => {
    if (typed === text) return undefined;
    const timer = setTimeout(() => {
      searched.current = typed;
      search(typed);
    }, TYPING_MS);
    return () => clearTimeout(timer);
  });
  useKey("/", () => box.current?.focus());
  return (
    <label className="search">
      <SearchIcon />
      <input ref={box} type="search" aria-label="Search DAGs" aria-keyshortcuts="/" placeholder="Search DAGs  ( / )" value={typed} spellCheck={false}
        onChange={(event) => setTyped(event.target.value)} />
    </label>
  );
}

function ShowChoice({ show, choose }: { show: Show; choose: (show: Show) => void }) {
  return (
    <div className="choice" role="group" aria-label="Which DAGs">
      {SHOW.map((each) => (
        <button key={each} type="button" aria-pressed={each === show} onClick={() => choose(each)}>
          {each === "all" ? "All" : each === "active" ? "Active" : "Paused"}
        </button>
      ))}
    </div>
  );
}

function NoDags({ filter }: { filter: Filter }) {
  if (filter.text || filter.show !== "all" || filter.page > 1) {
    return (
      <Empty title={filter.text ? `No DAG matches “${filter.text}”` : `No ${filter.show === "all" ? "more" : filter.show} DAGs`}>
        <p><Link to="dags">Show all DAGs</Link></p>
      </Empty>
    );
  }
  return (
    <Empty title="No DAGs yet">
      <p>Save a Python file such as this one in the DAG folder. It shows up here by itself, within a second.</p>
      <pre>{`from tradewind import DAG, task

with DAG("hello"):
    @task
    async def greet():
        print("Hello, wind")

    greet()`}</pre>
      <p>Which folder that is: <code>tradewind config list</code>.</p>
    </Empty>
  );
}

function DagTable({ list, trigger }: { list: DagList; trigger: (dag: Dag) => void }) {
  return (
    <div className="card table-card">
      <table className="dags">
        <caption className="hidden">DAGs</caption>
        <thead>
          <tr>
            <th scope="col" className="narrow">Active</th><th scope="col">DAG</th><th scope="col" className="wide-only">Schedule</th>
            <th scope="col">Recent runs</th><th scope="col" className="wide-only">Last run</th>
            <th scope="col" className="wide-only">Next run</th><th scope="col" className="narrow"><span className="hidden">Trigger</span></th>
          </tr>
        </thead>
        <tbody>
          {list.dags?.map((dag) => (
            <DagRow key={dag.dag_id} dag={dag} runs={list.recent.get(dag.dag_id)} trigger={() => trigger(dag)}
              paused={(paused) => list.setPaused(dag.dag_id, paused)} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

interface RowProps {
  dag: Dag;
  runs: DagRun[] | undefined;
  trigger: () => void;
  paused: (paused: boolean) => void;
}

function DagRow({ dag, runs, trigger, paused }: RowProps) {
  const last = runs?.[0];
  return (
    <tr className={dag.is_paused ? "is-paused" : ""}>
      <td><PauseSwitch dagId={dag.dag_id} paused={dag.is_paused === true} changed={paused} /></td>
      <th scope="row">
        <Link to={to(["dags", dag.dag_id])} className="dag-link">{dag.dag_id}</Link>
        {dag.tags?.map((tag) => <span key={tag.name} className="tag">{tag.name}</span>)}
        {dag.description && <span className="dag-text" title={dag.description}>{dag.description}</span>}
      </th>
      <td className="wide-only">
        <span className="schedule" title={dag.timetable_description ?? ""}>
          {scheduleText(dag.schedule_interval, dag.timetable_description)}
        </span>
      </td>
      <td><RecentRuns dagId={dag.dag_id} runs={runs} /></td>
      <td className="wide-only nowrap">
        {last ? <><Distance at={last.start_date ?? last.logical_date} /><span className="faint"> · <Elapsed start={last.start_date} end={last.end_date} /></span></>
          : <span className="faint">{runs ? "Never" : "…"}</span>}
      </td>
      <td className="wide-only nowrap">
        {dag.is_paused ? <span className="faint">Paused</span> : <Distance at={dag.next_dagrun_create_after} />}
      </td>
      <td>
        <button type="button" className="icon-only" aria-label={`Trigger ${dag.dag_id}`} title="Trigger a run" onClick={trigger}>
          <PlayIcon />
        </button>
      </td>
    </tr>
  );
}

/** The newest runs, the newest at the right, as on a time line. */
function RecentRuns({ dagId, runs }: { dagId: string; runs: DagRun[] | undefined }) {
  const zone = useZone();
  if (!runs?.length) return <span className="faint">{runs ? "None yet" : ""}</span>;
  return (
    <span className="recent">
      {[...runs].reverse().map((run) => (
        <Link key={run.dag_run_id} to={to(["dags", dagId], { run: run.dag_run_id })}
          aria-label={`Run ${run.dag_run_id}: ${lookOf(run.state).label}`}
          title={titleOf(run, zone)}>
          <Square state={run.state} />
        </Link>
      ))}
    </span>
  );
}

const titleOf = (run: DagRun, zone: string): string =>
  [lookOf(run.state).label, run.partition_key && `Partition ${run.partition_key}`, run.dag_run_id, fullTime(run.start_date, zone)]
    .filter(Boolean).join("\n");

function Pages({ total, page, turn }: { total: number; page: number; turn: (page: number) => void }) {
  const pages = Math.ceil(total / PAGE);
  if (pages <= 1) return null;
  return (
    <nav className="pages" aria-label="Pages">
      <button type="button" disabled={page <= 1} onClick={() => turn(page - 1)}>Previous</button>
      <span>Page {page} of {pages}</span>
      <button type="button" disabled={page >= pages} onClick={() => turn(page + 1)}>Next</button>
    </nav>
  );
}
