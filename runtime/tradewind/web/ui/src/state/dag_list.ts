/** The list of DAGs with the newest runs of each, kept up to date by the event stream. */
import { api, ApiError, type Api, type DagFilter } from "../api/client";
import { follow } from "../api/stream";
import type { Dag, DagEvent, DagRun, RunEvent } from "../api/types";
import { Meanwhile } from "../logic/meanwhile";
import { withRun } from "../logic/merge";
import { setStreamState } from "./live";
import { Observed } from "./observed";
import { reloadImportErrors } from "./import_errors";

export const RECENT_RUNS = 10;
const FETCHES_AT_ONCE = 4;
/** Many files that change together cause one fetch. */
const GATHER_MS = 150;

export class DagList extends Observed {
  dags: Dag[] | null = null;
  total = 0;
  problem: unknown = null;
  readonly recent = new Map<string, DagRun[]>();

  private stream: { close: () => void } | null = null;
  private readonly page = new Meanwhile<() => void>();
  private readonly runsOf = new Map<string, Meanwhile<RunEvent>>();
  private stopped = new AbortController();
  private gathering: ReturnType<typeof setTimeout> | undefined;
  /** Grows with each list that is shown: the runs beside the DAGs are fetched anew then. */
  private round = 0;

  constructor(readonly filter: DagFilter, private readonly server: Api = api) {
    super();
  }

  start(): void {
    this.stopped = new AbortController();
    const on = {
      dag: (event: DagEvent) => this.onDag(event),
      run: (event: RunEvent) => this.onRun(event),
      import_errors: () => void reloadImportErrors(),
    };
    const fetchAll = (): void => {
      void this.reload();
      void reloadImportErrors();
    };
    this.stream = follow(this.server.eventStream(null), on, fetchAll, (state) => setStreamState(this, state));
  }

  stop(): void {
    clearTimeout(this.gathering);
    this.stopped.abort();
    this.stream?.close();
    setStreamState(this, null);
  }

  readonly reload = async (): Promise<void> => {
    const signal = this.stopped.signal;
    const fetch = this.page.begin();
    try {
      const page = await this.server.dags(this.filter, signal);
      const since = this.page.answered(fetch);
      if (!since) return;
      this.dags = page.items;
      this.total = page.total;
      this.problem = null;
      for (const change of since) change();
      this.round += 1;
      void this.fetchRecent(page.items.map((dag) => dag.dag_id), this.round);
    } catch (problem) {
      if (!this.page.failed(fetch) || signal.aborted) return;
      this.problem = problem;
    }
    this.changed();
  };

  /** The runs beside each DAG come after the list itself: the list is what people wait for. */
  private async fetchRecent(dagIds: string[], round: number): Promise<void> {
    const left = [...dagIds];
    const work = async (): Promise<void> => {
      for (let id = left.shift(); id !== undefined && round === this.round; id = left.shift()) await this.fetchRuns(id);
    };
    await Promise.all(Array.from({ length: FETCHES_AT_ONCE }, work));
  }

  private async fetchRuns(dagId: string): Promise<void> {
    const signal = this.stopped.signal;
    const news = this.runsOf.get(dagId) ?? new Meanwhile<RunEvent>();
    this.runsOf.set(dagId, news);
    const fetch = news.begin();
    try {
      const { items } = await this.server.runs(dagId, RECENT_RUNS, signal);
      const since = news.answered(fetch);
      if (!since) return;
      this.recent.set(dagId, since.reduce((runs, event) => withRun(runs, event, RECENT_RUNS), items));
    } catch (problem) {
      // A DAG that has just gone: the list follows with the next event.
      if (!news.failed(fetch) || signal.aborted || (problem instanceof ApiError && problem.status === 404)) return;
      this.problem = problem;
    }
    this.changed();
  }

  private onDag(event: DagEvent): void {
    const known = this.dags?.some((dag) => dag.dag_id === event.dag_id);
    if (known && event.is_active !== false) {
      this.put(event);
      return;
    }
    clearTimeout(this.gathering);
    this.gathering = setTimeout(() => void this.reload(), GATHER_MS);
  }

  /** Changes what is shown, and what a fetch on its way will bring. */
  private put(event: DagEvent): void {
    const change = (): void => {
      this.dags = this.dags?.map((dag) => (dag.dag_id === event.dag_id ? { ...dag, ...event } : dag)) ?? null;
    };
    this.page.tell(change);
    change();
    this.changed();
  }

  private onRun(event: RunEvent): void {
    this.runsOf.get(event.dag_id)?.tell(event);
    const runs = this.recent.get(event.dag_id);
    if (!runs) return;
    this.recent.set(event.dag_id, withRun(runs, event, RECENT_RUNS));
    this.changed();
  }

  /** Shows at once what the server has just confirmed. */
  setPaused(dagId: string, paused: boolean): void {
    this.put({ dag_id: dagId, is_paused: paused });
  }
}
