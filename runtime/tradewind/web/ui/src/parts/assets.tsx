/** Assets: who names them; and of one asset its events, its watchers and what it keeps. */
import { looks, type Asset, type AssetEvent } from "../api/looks";
import type { Page } from "../api/types";
import { Link, to } from "../router";
import { useFetched, useNews } from "../state/fetched";
import { Empty } from "./problem";
import { Failed, Shown } from "./shown";
import { Distance } from "./time";
import { asText, Values } from "./values";
import { Watchers } from "./watchers";

/** Tasks send events and keep values as they run; watchers bring events from outside. */
const NEWS = ["dag", "task", "run", "watchers"] as const;

export function Assets({ chosen }: { chosen: string | null }) {
  const news = useNews(NEWS);
  const found = useFetched("", (signal) => looks.assets(signal), news);
  return (
    <Shown of={found} what="assets" failed="The assets could not be fetched">
      {(page) => <Whole of={page} chosen={chosen} news={news} />}
    </Shown>
  );
}

function Whole({ of: value, chosen, news }: { of: Page<Asset>; chosen: string | null; news: number }) {
  if (!value.items.length) {
    return <Empty title="No assets yet"><p>DAGs name them in <code>schedule</code>, <code>inlets</code> and <code>outlets</code>.</p></Empty>;
  }
  const one = value.items.find((each) => String(each.id) === chosen);
  if (one) return <One key={one.id} of={one} news={news} />;
  if (chosen !== null) return <Empty title="There is no such asset"><p><Link to="browse/assets">All assets</Link></p></Empty>;
  return (
    <div className="card table-card">
      <table aria-label="Assets">
        <thead><tr><th scope="col">Asset</th><th scope="col">Made by</th><th scope="col">Awaited by</th></tr></thead>
        <tbody>
          {value.items.map((each) => (
            <tr key={each.id}>
              <th scope="row">
                <Link to={to(["browse", "assets"], { asset: each.id })} className="dag-link">{each.name}</Link>
                <span className="under breaks">{each.uri}</span>
              </th>
              <td><Producers of={each} /></td>
              <td><Consumers of={each} /></td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Producers({ of }: { of: Asset }) {
  return <>{of.producing_tasks.map((task) => (
    <span key={`${task.dag_id} ${task.task_id}`} className="listed">
      <Link to={to(["dags", task.dag_id])}>{task.dag_id}</Link> <span className="faint">{task.task_id}</span>
    </span>
  ))}</>;
}

function Consumers({ of }: { of: Asset }) {
  return <>{of.consuming_dags.map((dag) => <span key={dag.dag_id} className="listed"><Link to={to(["dags", dag.dag_id])}>{dag.dag_id}</Link></span>)}</>;
}

function One({ of, news }: { of: Asset; news: number }) {
  return (
    <section className="card panel" aria-label={`Asset ${of.name}`}>
      <div className="panel-head"><Link to="browse/assets" className="crumb">← All assets</Link></div>
      <div className="panel-head"><h2>{of.name}</h2><span className="faint breaks">{of.uri}</span></div>
      <dl className="facts">
        {of.producing_tasks.length > 0 && <div><dt>Made by</dt><dd><Producers of={of} /></dd></div>}
        {of.consuming_dags.length > 0 && <div><dt>Awaited by</dt><dd><Consumers of={of} /></dd></div>}
      </dl>
      <Kept of={of} news={news} />
      <Watchers uri={of.uri} />
      <Events of={of} news={news} />
    </section>
  );
}

function Kept({ of, news }: { of: Asset; news: number }) {
  const found = useFetched("", (signal) => looks.keptByAsset(of.id, signal), news);
  const lines = found.value?.items.map((one) => ({ name: one.key, value: one.value, at: <Distance at={one.updated_at} /> })) ?? [];
  return (
    <>
      <Failed of={found} what="What it keeps could not be fetched" />
      {lines.length > 0 && <Values label="Kept" lines={lines} />}
    </>
  );
}

function Events({ of, news }: { of: Asset; news: number }) {
  const found = useFetched("", (signal) => looks.assetEvents(of.id, signal), news);
  const { value } = found;
  if (value === null) return <Failed of={found} what="Its events could not be fetched" />;
  return (
    <section className="values" aria-label="Events">
      <h3>Events</h3>
      {value.items.length === 0 && <p className="faint">None yet. A task with this outlet sends one when it succeeds; so does <code>POST /assets/events</code>.</p>}
      {value.items.length > 0 && <div className="table-scroll">
        <table>
          <thead><tr><th scope="col">When</th><th scope="col">From</th><th scope="col">Partition</th><th scope="col">Extra</th></tr></thead>
          <tbody>
            {value.items.map((event) => (
              <tr key={event.id}>
                <td className="nowrap narrow"><Distance at={event.timestamp} /></td>
                <td><Source of={event} /></td>
                <td>{event.partition_key && <code title="Partition">{event.partition_key}</code>}</td>
                <td>{Object.keys(event.extra ?? {}).length > 0 && <code title="Extra">{asText(event.extra)}</code>}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>}
      {value.total > value.items.length && <p className="faint">The newest {value.items.length} of {value.total}.</p>}
    </section>
  );
}

function Source({ of }: { of: AssetEvent }) {
  if (of.source_dag_id === null) return <span className="faint">outside</span>;
  const place = to(["dags", of.source_dag_id], { run: of.source_run_id, task: of.source_task_id });
  return <Link to={place}>{of.source_dag_id}{of.source_task_id && ` · ${of.source_task_id}`}</Link>;
}
