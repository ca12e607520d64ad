/** Everything the page of one DAG shows, kept up to date by the event stream. */
import { api, ApiError, type Api } from "../api/client";
import { follow } from "../api/stream";
import type { DagDetails, DagEvent, DagRun, RunEvent, Task, TaskEvent, TaskInstanceChange } from "../api/types";
import { toInstances, withChanges, withLateChanges, withLateRuns, withRun, type Instances } from "../logic/merge";
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

  private stream: { close: () => void } | null = null;
  private stopped = new AbortController();
  private readonly late = new Map<string, TaskInstanceChange[]>();
  private readonly queue: string[] = [];
  private busy = 0;
  private fetchNumber = 0;
  private lateRuns: RunEvent[] | null = null;

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
    this.stream = follow(this.server.eventStream(this.dagId), on, () => void this.reload(), setStreamState);
  }

  stop(): void {
    this.stopped.abort();
    this.stream?.close();
    setStreamState(null);
  }

  /** Shows `limit` runs and always the run `wanted`. */
  show(limit: number, wanted: string | null): void {
    const more = limit !== this.limit || (wanted !== null && !this.runs?.some((run) => run.dag_run_id === wanted));
    this.limit = limit;
    this.wanted = wanted;
    if (more && this.runs) void this.reload();
  }

  /** Fetches all that is shown; what changes meanwhile is not lost. */
  readonly reload = async (): Promise<void> => {
    const signal = this.stopped.signal;
    this.fetchNumber += 1;
    const mine = this.fetchNumber;
    this.lateRuns ??= [];
    try {
      const [dag, tasks, runs] = await Promise.all([
        this.server.dag(this.dagId, signal), this.server.tasks(this.dagId, signal),
        this.server.runs(this.dagId, this.limit, signal),
      ]);
      const all = await this.withWanted(runs.items, signal);
      if (mine !== this.fetchNumber) return;
      this.dag = dag;
      this.tasks = tasks.items;
      this.totalRuns = runs.total;
      this.runs = withLateRuns(all, this.lateRuns ?? [], Math.max(this.limit, all.length));
      this.lateRuns = null;
      this.problem = null;
      for (const run of this.runs) this.fetchTasks(run.dag_run_id);
    } catch (problem) {
      if (signal.aborted) return;
      this.problem = problem;
      if (problem instanceof ApiError && problem.status === 404) this.hangUp();
    }
    this.changed();
  };

  /** Nothing will ever come of a DAG that is not there; a stream that is tried again and again says otherwise. */
  private hangUp(): void {
    this.stream?.close();
    this.stream = null;
    setStreamState(null);
  }

  /** After a problem: all of it again, the stream too where it was given up. */
  readonly again = (): void => {
    if (this.stream) void this.reload();
    else this.listen();
  };

  private async withWanted(runs: DagRun[], signal: AbortSignal): Promise<DagRun[]> {
    if (!this.wanted || runs.some((run) => run.dag_run_id === this.wanted)) return runs;
    try {
      return [...runs, await this.server.run(this.dagId, this.wanted, signal)];
    } catch (problem) {
      if (problem instanceof ApiError && problem.status === 404) return runs;
      throw problem;
    }
  }

  private onDag(event: DagEvent): void {
    // An event without a DAG says: any may have changed.
    if (!event.dag_id) void this.reload();
    if (event.dag_id !== this.dagId || !this.dag) return;
    this.dag = { ...this.dag, ...event };
    this.changed();
    // A new version of the file may have other tasks; a mere pause has not.
    if (Object.keys(event).some((key) => key !== "dag_id" && key !== "is_paused")) void this.reload();
  }

  private onRun(event: RunEvent): void {
    if (event.dag_id !== this.dagId) return;
    this.lateRuns?.push(event);
    if (!this.runs) return;
    const known = this.runs.some((run) => run.dag_run_id === event.dag_run_id);
    this.runs = withRun(this.runs, event, Math.max(this.limit, known ? this.runs.length : 0));
    if (!known) {
      this.totalRuns += 1;
      if (this.runs.some((run) => run.dag_run_id === event.dag_run_id)) this.fetchTasks(event.dag_run_id);
    }
    this.changed();
  }

  private onTasks(event: TaskEvent): void {
    if (event.dag_id !== this.dagId) return;
    this.late.get(event.dag_run_id)?.push(...event.items);
    const shown = this.byRun.get(event.dag_run_id);
    if (!shown) return;
    const instances = withChanges(shown.instances, event.items);
    this.byRun.set(event.dag_run_id, { instances, total: Math.max(shown.total, instances.size) });
    this.changed();
  }

  private fetchTasks(runId: string): void {
    if (this.queue.includes(runId)) return;
    this.queue.push(runId);
    this.late.set(runId, []);
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
    try {
      const items = [];
      let total = 0;
      do {
        const page = await this.server.taskInstances(this.dagId, runId, PAGE, items.length, signal);
        items.push(...page.items);
        total = page.total;
        if (!page.items.length) break;
      } while (items.length < Math.min(total, MOST_INSTANCES));
      this.byRun.set(runId, { instances: withLateChanges(toInstances(items), this.late.get(runId) ?? []), total });
    } catch (problem) {
      if (signal.aborted) return;
      // A run deleted meanwhile is no problem of this page.
      if (!(problem instanceof ApiError && problem.status === 404)) this.problem = problem;
    } finally {
      this.late.delete(runId);
    }
    this.changed();
  }

  /** Shows at once what the server has just confirmed. */
  setPaused(paused: boolean): void {
    if (this.dag) this.dag = { ...this.dag, is_paused: paused };
    this.changed();
  }
}
