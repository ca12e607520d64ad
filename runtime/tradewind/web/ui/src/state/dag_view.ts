/** Everything the page of one DAG shows, kept up to date by the event stream. */
import { api, ApiError, type Api } from "../api/client";
import { follow } from "../api/stream";
import type { DagDetails, DagEvent, DagRun, RunEvent, Task, TaskEvent, TaskInstanceChange } from "../api/types";
import { Meanwhile } from "../logic/meanwhile";
import { toInstances, withChanges, withRun, type Instances } from "../logic/merge";
import { setStreamState } from "./live";
import { Observed } from "./observed";

/** Task instances fetched of one run at most; the page says so where a run has more. */
export const MOST_INSTANCES = 2_000;
const PAGE = 500;
const FETCHES_AT_ONCE = 4;

export interface RunTasks {
  instances: Instances;
  /** How many the run has in all; more than `instances` holds where the run is very large. */
  total: number;
}

export class DagView extends Observed {
  dag: DagDetails | null = null;
  tasks: Task[] | null = null;
  runs: DagRun[] | null = null;
  totalRuns = 0;
  problem: unknown = null;
  /** Grow with what tasks publish, and with deadlines that were missed. */
  told = 0;
  missed = 0;
  /** By run id; a run that is not here is still being fetched. */
  readonly byRun = new Map<string, RunTasks>();

  /** The run that was asked for and is not there. */
  lacking: string | null = null;

  private stream: { close: () => void } | null = null;
  private stopped = new AbortController();
  private readonly page = new Meanwhile<() => void>();
  private readonly tasksOf = new Map<string, Meanwhile<TaskInstanceChange[]>>();
  private readonly queue: string[] = [];
  private busy = 0;

  constructor(
    readonly dagId: string, private limit: number, private wanted: string | null, private readonly server: Api = api,
  ) {
    super();
  }

  start(): void {
    this.stopped = new AbortController();
    this.listen();
  }

  private listen(): void {
    const on = {
      dag: (event: DagEvent) => this.onDag(event),
      run: (event: RunEvent) => this.onRun(event),
      task: (event: TaskEvent) => this.onTasks(event),
      queries: () => { this.told += 1; this.changed(); },
      deadlines: () => { this.missed += 1; this.changed(); },
    };
    this.stream = follow(this.server.eventStream(this.dagId), on, () => void this.reload(), (state) => setStreamState(this, state));
  }

  stop(): void {
    this.stopped.abort();
    this.stream?.close();
    setStreamState(this, null);
  }

  /** Shows `limit` runs and always the run `wanted`. */
  show(limit: number, wanted: string | null): void {
    if (limit === this.limit && wanted === this.wanted) return;
    const more = limit !== this.limit || (wanted !== null && !this.runs?.some((run) => run.dag_run_id === wanted));
    this.limit = limit;
    this.wanted = wanted;
    if (more) void this.reload();
  }

  /** Fetches all that is shown; what changes meanwhile is not lost. */
  readonly reload = async (): Promise<void> => {
    const signal = this.stopped.signal;
    const fetch = this.page.begin();
    const wanted = this.wanted;
    try {
      const [dag, tasks, runs] = await Promise.all([
        this.server.dag(this.dagId, signal), this.server.tasks(this.dagId, signal),
        this.server.runs(this.dagId, this.limit, signal),
      ]);
      const all = await this.withRunOf(wanted, runs.items, signal);
      const since = this.page.answered(fetch);
      if (!since) return;
      this.lacking = wanted === null || all.some((run) => run.dag_run_id === wanted) ? null : wanted;
      this.dag = dag;
      this.tasks = tasks.items;
      this.totalRuns = runs.total;
      this.runs = all;
      this.problem = null;
      for (const change of since) change();
      for (const run of this.runs) this.fetchTasks(run.dag_run_id);
    } catch (problem) {
      if (!this.page.failed(fetch) || signal.aborted) return;
      this.problem = problem;
      if (problem instanceof ApiError && problem.status === 404) this.hangUp();
    }
    this.changed();
  };

  /** Changes what is shown, and what a fetch on its way will bring. */
  private take(change: () => void): void {
    this.page.tell(change);
    change();
    this.changed();
  }

  /** Nothing will ever come of a DAG that is not there; a stream that is tried again and again says otherwise. */
  private hangUp(): void {
    this.stream?.close();
    this.stream = null;
    setStreamState(this, null);
  }

  /** After a problem: all of it again, the stream too where it was given up. */
  readonly again = (): void => {
    if (this.stream) void this.reload();
    else this.listen();
  };

  private async withRunOf(wanted: string | null, runs: DagRun[], signal: AbortSignal): Promise<DagRun[]> {
    if (!wanted || runs.some((run) => run.dag_run_id === wanted)) return runs;
    try {
      return [...runs, await this.server.run(this.dagId, wanted, signal)];
    } catch (problem) {
      if (problem instanceof ApiError && problem.status === 404) return runs;
      throw problem;
    }
  }

  private onDag(event: DagEvent): void {
    // An event without a DAG says: any may have changed.
    if (!event.dag_id) void this.reload();
    if (event.dag_id !== this.dagId) return;
    this.take(() => { if (this.dag) this.dag = { ...this.dag, ...event }; });
    // A new version of the file may have other tasks; a mere pause has not.
    if (Object.keys(event).some((key) => key !== "dag_id" && key !== "is_paused")) void this.reload();
  }

  private onRun(event: RunEvent): void {
    if (event.dag_id === this.dagId) this.take(() => this.putRun(event));
  }

  private putRun(event: RunEvent): void {
    if (!this.runs) return;
    const known = this.runs.some((run) => run.dag_run_id === event.dag_run_id);
    this.runs = withRun(this.runs, event, this.limit, this.wanted);
    if (known || !this.runs.some((run) => run.dag_run_id === event.dag_run_id)) return;
    this.totalRuns += 1;
    if (this.lacking === event.dag_run_id) this.lacking = null;
    this.fetchTasks(event.dag_run_id);
  }

  private onTasks(event: TaskEvent): void {
    if (event.dag_id !== this.dagId) return;
    this.tasksOf.get(event.dag_run_id)?.tell(event.items);
    const shown = this.byRun.get(event.dag_run_id);
    if (!shown) return;
    const instances = withChanges(shown.instances, event.items);
    this.byRun.set(event.dag_run_id, { instances, total: Math.max(shown.total, instances.size) });
    this.changed();
  }

  private fetchTasks(runId: string): void {
    if (this.queue.includes(runId)) return;
    this.queue.push(runId);
    void this.work();
  }

  private async work(): Promise<void> {
    if (this.busy >= FETCHES_AT_ONCE) return;
    this.busy += 1;
    try {
      for (let runId = this.queue.shift(); runId !== undefined; runId = this.queue.shift()) await this.fetchOne(runId);
    } finally {
      this.busy -= 1;
    }
  }

  private async fetchOne(runId: string): Promise<void> {
    const signal = this.stopped.signal;
    const news = this.tasksOf.get(runId) ?? new Meanwhile<TaskInstanceChange[]>();
    this.tasksOf.set(runId, news);
    const fetch = news.begin();
    try {
      const items = [];
      let total = 0;
      do {
        const page = await this.server.taskInstances(this.dagId, runId, PAGE, items.length, signal);
        items.push(...page.items);
        total = page.total;
        if (!page.items.length) break;
      } while (items.length < Math.min(total, MOST_INSTANCES));
      const since = news.answered(fetch);
      if (!since) return;
      const instances = since.reduce<Instances>(withChanges, toInstances(items));
      this.byRun.set(runId, { instances, total: Math.max(total, instances.size) });
    } catch (problem) {
      // A run deleted meanwhile is no problem of this page.
      if (!news.failed(fetch) || signal.aborted || (problem instanceof ApiError && problem.status === 404)) return;
      this.problem = problem;
    }
    this.changed();
  }

  /** Shows at once what the server has just confirmed. */
  setPaused(paused: boolean): void {
    this.take(() => { if (this.dag) this.dag = { ...this.dag, is_paused: paused }; });
  }

  /** Shows at once a run that was just started here. */
  started(run: DagRun): void {
    this.onRun(run);
  }
}
