/** The list of DAGs with the newest runs of each, kept up to date by the event stream. */
import { api, type Api, type DagFilter } from "../api/client";
import { follow } from "../api/stream";
import type { Dag, DagEvent, DagRun, RunEvent } from "../api/types";
import { withLateRuns, withRun } from "../logic/merge";
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
  /** Events of DAGs whose runs are just being fetched. */
  private readonly late = new Map<string, RunEvent[]>();
  private stopped = new AbortController();
  private gathering: ReturnType<typeof setTimeout> | undefined;
  private fetchNumber = 0;

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
    this.stream = follow(this.server.eventStream(null), on, fetchAll, setStreamState);
  }

  stop(): void {
    clearTimeout(this.gathering);
    this.stopped.abort();
    this.stream?.close();
    setStreamState(null);
  }

  readonly reload = async (): Promise<void> => {
    const signal = this.stopped.signal;
    this.fetchNumber += 1;
    const mine = this.fetchNumber;
    try {
      const page = await this.server.dags(this.filter, signal);
      if (mine !== this.fetchNumber) return;
      this.dags = page.items;
      this.total = page.total;
      this.problem = null;
      void this.fetchRecent(page.items.map((dag) => dag.dag_id), mine);
    } catch (problem) {
      if (signal.aborted) return;
      this.problem = problem;
    }
    this.changed();
  };

  /** The runs beside each DAG come after the list itself: the list is what people wait for. */
  private async fetchRecent(dagIds: string[], mine: number): Promise<void> {
    const signal = this.stopped.signal;
    const left = [...dagIds];
    const work = async (): Promise<void> => {
      for (let id = left.shift(); id !== undefined && mine === this.fetchNumber; id = left.shift()) {
        try {
          this.late.set(id, []);
          const runs = (await this.server.runs(id, RECENT_RUNS, signal)).items;
          this.recent.set(id, withLateRuns(runs, this.late.get(id) ?? [], RECENT_RUNS));
          this.late.delete(id);
          this.changed();
        } catch {
          if (signal.aborted) return; // A DAG that has just gone; the list follows with the next event.
        }
      }
    };
    await Promise.all(Array.from({ length: FETCHES_AT_ONCE }, work));
  }

  private onDag(event: DagEvent): void {
    const known = this.dags?.some((dag) => dag.dag_id === event.dag_id);
    if (known && event.is_active !== false) {
      this.dags = this.dags?.map((dag) => (dag.dag_id === event.dag_id ? { ...dag, ...event } : dag)) ?? null;
      this.changed();
      return;
    }
    clearTimeout(this.gathering);
    this.gathering = setTimeout(() => void this.reload(), GATHER_MS);
  }

  private onRun(event: RunEvent): void {
    this.late.get(event.dag_id)?.push(event);
    const runs = this.recent.get(event.dag_id);
    if (!runs) return;
    this.recent.set(event.dag_id, withRun(runs, event, RECENT_RUNS));
    this.changed();
  }

  /** Shows at once what the server has just confirmed. */
  setPaused(dagId: string, paused: boolean): void {
    this.dags = this.dags?.map((dag) => (dag.dag_id === dagId ? { ...dag, is_paused: paused } : dag)) ?? null;
    this.changed();
  }
}
