/** The watchers of assets that the runtime of this server carries out. */
import { looks, type Watcher } from "../api/looks";
import type { Page } from "../api/types";
import { lastLine } from "../logic/traceback";
import { Link, to } from "../router";
import { useFetched, useNews } from "../state/fetched";
import { Empty } from "./problem";
import { Shown } from "./shown";
import { Distance } from "./time";

const STATES: Record<Watcher["state"], readonly [string, string, string]> = {
  running: ["s-running", "Running", "It waits for the next event of its source."],
  pausing: ["s-up_for_retry", "Pausing", "It has failed and begins again by itself."],
  not_here: ["s-none", "Not here", "This runtime has no inline executor, so it carries no watchers out."],
};

/** Those of one asset, or all. */
export function Watchers({ uri = null }: { uri?: string | null }) {
  const found = useFetched(uri ?? "", (signal) => looks.watchers(uri, signal), useNews(["watchers"]));
  return (
    <Shown of={found} what="watchers" failed="The watchers could not be fetched">
      {(page) => <Whole of={page} uri={uri} />}
    </Shown>
  );
}

function Whole({ of: value, uri }: { of: Page<Watcher>; uri: string | null }) {
  if (!value.items.length) {
    if (uri !== null) return null;
    return <Empty title="No watchers run here"><p>A watcher waits for events of an asset from outside: <code>Asset(…, watchers=[…])</code> in a DAG file.</p></Empty>;
  }
  return (
    <div className="card table-card">
      <table aria-label="Watchers">
        <thead>
          <tr>
            <th scope="col">Watcher</th>{uri === null && <th scope="col">Asset</th>}<th scope="col">State</th><th scope="col">Events</th>
            <th scope="col">Last event</th><th scope="col">Failures</th><th scope="col">Last error</th>
          </tr>
        </thead>
        <tbody>{value.items.map((one) => <Row key={`${one.asset_uri}\n${one.name}\n${one.kind}`} of={one} withAsset={uri === null} />)}</tbody>
      </table>
    </div>
  );
}

function Row({ of, withAsset }: { of: Watcher; withAsset: boolean }) {
  const [sign, label, meaning] = STATES[of.state];
  return (
    <tr>
      <th scope="row">
        {of.name}
        <span className="under">{of.kind}</span>
        {of.dag_ids.map((dagId) => <span key={dagId} className="listed"><Link to={to(["dags", dagId])}>{dagId}</Link></span>)}
      </th>
      {withAsset && <td className="breaks">{of.asset_uri}</td>}
      <td>
        <span className={`pill ${sign}`} title={meaning}><i aria-hidden="true" />{label}</span>
        {of.place !== null && <span className="under nowrap">{of.place === "loop" ? "on the loop" : "in an async host"}</span>}
        <span className="under nowrap">{of.again_at ? <>again <Distance at={of.again_at} /></> : <>since <Distance at={of.since} /></>}</span>
      </td>
      <td>{of.events}</td>
      <td className="nowrap"><Distance at={of.last_event_at} /></td>
      <td>{of.failures}</td>
      <td>
        {of.last_error !== null && (
          <details className="report">
            <summary className="bad">{lastLine(of.last_error)} <span className="faint"><Distance at={of.last_error_at} /></span></summary>
            <pre tabIndex={0}>{of.last_error}</pre>
          </details>
        )}
      </td>
    </tr>
  );
}
