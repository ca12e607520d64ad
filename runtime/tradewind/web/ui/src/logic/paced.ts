/** Fetching at the pace of the eye, however fast there is news. */

/** One fetch a second is enough for the eye. */
const PACE_MS = 1_000;

export interface Fetched<T> {
  /** What was fetched last; it stays when a later fetch fails. */
  value: T | null;
  problem: unknown;
}

/** Fetches at once, and after news: one at a time, with a pause; what is on its way is not given up for newer news. */
export class Paced<T> {
  private readonly stopped = new AbortController();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private busy = false;
  private asked = false;
  private value: T | null = null;

  constructor(
    private readonly fetch: (signal: AbortSignal) => Promise<T>, private readonly told: (found: Fetched<T>) => void,
    private readonly pace = PACE_MS,
  ) {}

  ask(): void {
    if (this.busy || this.timer !== undefined) this.asked = true;
    else void this.run();
  }

  stop(): void {
    this.stopped.abort();
    clearTimeout(this.timer);
  }

  private async run(): Promise<void> {
    this.busy = true;
    this.asked = false;
    try {
      const value = await this.fetch(this.stopped.signal);
      this.value = value;
      if (!this.stopped.signal.aborted) this.told({ value, problem: null });
    } catch (problem) {
      if (!this.stopped.signal.aborted) this.told({ value: this.value, problem });
    }
    this.busy = false;
    if (this.stopped.signal.aborted) return;
    this.timer = setTimeout(() => {
      this.timer = undefined;
      if (this.asked) void this.run();
    }, this.pace);
  }
}
