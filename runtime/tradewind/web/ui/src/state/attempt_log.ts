/** The log of one attempt, as it is written. */
import { api, ApiError, type Api, type AttemptRef } from "../api/client";
import { Stream } from "../api/stream";
import type { LogRecord } from "../api/types";
import { LogLines } from "../logic/log_lines";
import { Observed } from "./observed";

/** More lines than this between two pictures are a flood. */
const FLOOD_LINES = 50;
const PIECES_MS = 250;

export class AttemptLog extends Observed {
  readonly lines = new LogLines();
  /** `following`: more may come. `ended`: it is complete. `broken`: the stream is down and will be tried again. */
  phase: "opening" | "following" | "ended" | "broken" = "opening";
  problem: unknown = null;

  private stream: Stream | null = null;
  private stopped = new AbortController();
  private waiting: LogRecord[] = [];
  private asText = false;
  private drawn = 0;
  /** The newest id that a record had, and how many lines there were with that record: a broken stream goes on there. */
  private mark = { id: "", lines: 0 };

  constructor(readonly of: AttemptRef, private readonly server: Api = api) {
    super();
  }

  start(): void {
    this.stopped = new AbortController();
    if (this.phase === "ended") return;
    this.stream = new Stream(() => this.server.logStream(this.of, this.mark.id), {
      on: {
        record: (record: LogRecord, id: string) => this.onRecord(record, id),
        end: () => this.enter("ended"),
      },
      lastEvent: "end",
      opened: () => this.onOpen(),
      state: (state) => { if (state === "waiting") this.onFailure(); },
    });
  }

  stop(): void {
    this.stopped.abort();
    this.stream?.close();
  }

  private enter(phase: AttemptLog["phase"]): void {
    this.take();
    this.phase = phase;
    this.changed();
  }

  /** What came after the mark comes again. */
  private onOpen(): void {
    this.take();
    this.lines.cutAfter(this.mark.lines);
    this.problem = null;
    this.enter("following");
  }

  private onRecord(record: LogRecord, id: string): void {
    this.waiting.push(record);
    if (id && id !== this.mark.id) this.mark = { id, lines: this.lines.total + this.waiting.length };
    if (this.waiting.length === 1) requestAnimationFrame((now) => this.draw(now));
  }

  /** A line is drawn with the next picture; a flood of them in larger pieces, since each piece costs a layout. */
  private draw(now: number): void {
    const pause = this.drawn + PIECES_MS - now;
    if (pause > 0 && this.waiting.length > FLOOD_LINES) {
      setTimeout(() => requestAnimationFrame((later) => this.draw(later)), pause);
      return;
    }
    this.drawn = now;
    this.take();
    this.changed();
  }

  private take(): void {
    if (!this.waiting.length) return;
    this.lines.add(this.waiting);
    this.waiting = [];
  }

  private onFailure(): void {
    this.enter("broken");
    // An event stream can't say why it was refused; the plain log can.
    if (!this.lines.total && !this.asText) void this.fetchText();
  }

  private async fetchText(): Promise<void> {
    this.asText = true;
    const signal = this.stopped.signal;
    try {
      const text = await this.server.log(this.of, signal);
      if (this.lines.total || this.phase !== "broken") return; // The stream is there again, and brings it all.
      const rows = text.replace(/\n$/, "").split("\n");
      this.lines.add(rows.map((message) => ({ ts: null, level: null, logger: null, stream: null, message })));
    } catch (problem) {
      if (signal.aborted || this.phase !== "broken") return;
      this.problem = problem;
      if (problem instanceof ApiError && problem.status !== 0 && problem.status < 500) this.stream?.close();
    }
    this.changed();
  }
}
