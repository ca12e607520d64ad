/** How coroutines share the event loop of this server's runtime: who blocked it, who uses it, and its async hosts. */
import { looks, type AsyncHost, type KindUse, type LoopReport, type Offence } from "../api/looks";
import { Link, to } from "../router";
import { useFetched, useNews } from "../state/fetched";
import { Facts } from "./facts";
import { Empty } from "./problem";
import { Shown } from "./shown";
import { Distance } from "./time";

/** Who uses the loop changes with the tasks; who blocks it is told as it happens. */
const NEWS = ["loop", "task", "run"] as const;

export function Loop() {
  const found = useFetched("", (signal) => looks.loop(signal), useNews(NEWS));
  return (
    <Shown of={found} what="the report" failed="The report of the event loop could not be fetched">
      {(report) => <Whole of={report} />}
    </Shown>
  );
}

function Whole({ of: value }: { of: LoopReport }) {
  return (
    <>
      <Facts of={[
        ["Async tasks begin", value.isolation === "host" ? "in async hosts" : "on the loop"],
        ...Object.entries(value.counters).map(([name, count]) => [titled(name), String(count)] as const),
      ]} />
      <Offences of={value} />
      {value.isolated.length > 0 && (
        <div className="hint hint-warn">
          <strong>Begin in a process of their own</strong>, for they have blocked too often:{" "}
          {value.isolated.map((kind) => `${kind.what} ${kind.task_id} of ${kind.dag_id}`).join(", ")}
        </div>
      )}
      <Kinds kinds={value.kinds} total={value.total_kinds} />
      {value.hosts.length > 0 && <Hosts hosts={value.hosts} />}
    </>
  );
}

const titled = (name: string): string => name.charAt(0).toUpperCase() + name.slice(1).replaceAll("_", " ");

function Offences({ of }: { of: LoopReport }) {
  if (!of.offences.length) {
    return <Empty title="Nothing has blocked the event loop"><p>Coroutines that hold it up for more than a moment show here, with the line where they were.</p></Empty>;
  }
  return (
    <div className="card table-card">
      <table aria-label="Reports">
        <caption>Reports, the newest first</caption>
        <thead>
          <tr><th scope="col">When</th><th scope="col">Who</th><th scope="col">What</th><th scope="col">Where</th></tr>
        </thead>
        <tbody>{of.offences.map((one, at) => <Report key={of.total_offences - at} of={one} />)}</tbody>
      </table>
      {of.total_offences > of.offences.length && <p className="faint table-foot">The newest {of.offences.length} of {of.total_offences}.</p>}
    </div>
  );
}

const WORDS: Record<string, string> = { blocked: "held the loop", leaked: "left asyncio tasks behind", ended_its_host: "ended its async host" };

function Report({ of }: { of: Offence }) {
  return (
    <tr>
      <td className="nowrap"><Distance at={of.timestamp} /></td>
      <th scope="row">
        <Link to={to(["dags", of.dag_id], of.dag_run_id ? { run: of.dag_run_id, task: of.task_id } : {})}>{of.dag_id}</Link>
        <span className="under">{of.what} {of.task_id}</span>
      </th>
      <td>
        {WORDS[of.offence] ?? of.offence}{of.seconds > 0 && ` for ${of.seconds} s`}{of.interrupted && ", interrupted"}
        {of.tasks.length > 0 && <span className="under">{of.tasks.join(", ")}</span>}
      </td>
      <td>
        {of.file && (
          <details className="report">
            <summary><code className="breaks">{of.file}:{of.line}</code> {of.function}</summary>
            <pre tabIndex={0}>{of.stack}</pre>
          </details>
        )}
      </td>
    </tr>
  );
}

function Kinds({ kinds, total }: { kinds: KindUse[]; total: number }) {
  if (!kinds.length) return null;
  return (
    <div className="card table-card">
      <table aria-label="Use of the loop">
        <caption>Who uses the loop</caption>
        <thead>
          <tr>
            <th scope="col">DAG</th><th scope="col">What</th><th scope="col">Where</th><th scope="col">Begun</th>
            <th scope="col">Running</th><th scope="col">Seconds of the loop</th>
          </tr>
        </thead>
        <tbody>
          {kinds.map((kind) => (
            <tr key={`${kind.what} ${kind.dag_id} ${kind.task_id} ${kind.place}`}>
              <th scope="row"><Link to={to(["dags", kind.dag_id])}>{kind.dag_id}</Link></th>
              <td>{kind.what} {kind.task_id}</td><td>{kind.place}</td><td>{kind.started}</td><td>{kind.running}</td>
              <td>{kind.loop_seconds.toFixed(3)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {total > kinds.length && <p className="faint table-foot">{kinds.length} of {total}.</p>}
    </div>
  );
}

function Hosts({ hosts }: { hosts: AsyncHost[] }) {
  return (
    <div className="card table-card">
      <table aria-label="Async hosts">
        <caption>Async hosts</caption>
        <thead><tr><th scope="col">Process</th><th scope="col">File</th><th scope="col">Only for</th><th scope="col">Running</th><th scope="col">State</th></tr></thead>
        <tbody>
          {hosts.map((host, at) => (
            <tr key={host.pid ?? `new ${at}`}>
              <th scope="row">{host.pid ?? "–"}</th><td className="breaks">{host.fileloc}</td>
              <td>{host.only && `${host.only.what} ${host.only.task_id} of ${host.only.dag_id}`}</td>
              <td>{host.running}</td><td>{host.state}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
