/** The lines of a log as they come in: bounded, in chunks that are drawn once. */
import type { LogRecord } from "../api/types";

export interface LogLine extends LogRecord {
  number: number;
}

export interface LogChunk {
  first: number;
  lines: LogLine[];
}

export const CHUNK_LINES = 200;
export const MOST_CHUNKS = 100;

// eslint-disable-next-line no-control-regex
const ESCAPES = /\u001b\[[0-9;?]*[ -/]*[@-~]|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)/g;

/** Text without terminal colours and other escape sequences. */
export const plain = (text: string): string => (text.includes("\u001b") ? text.replace(ESCAPES, "") : text);

export class LogLines {
  /** Replaced, never changed, so that a drawn chunk can be compared by identity. */
  chunks: readonly LogChunk[] = [];
  total = 0;

  /** How many of the earliest lines are no longer kept. */
  get dropped(): number {
    return (this.chunks[0]?.first ?? 1) - 1;
  }

  add(records: readonly LogRecord[]): void {
    const chunks = [...this.chunks];
    let last = chunks.pop();
    let lines = last ? [...last.lines] : [];
    for (const record of records) {
      if (lines.length === CHUNK_LINES) {
        chunks.push({ first: lines[0]?.number ?? 1, lines });
        lines = [];
      }
      this.total += 1;
      lines.push({ ...record, message: plain(record.message), number: this.total });
    }
    if (lines.length) last = { first: lines[0]?.number ?? 1, lines };
    if (last) chunks.push(last);
    this.chunks = chunks.slice(-MOST_CHUNKS);
  }

  /** Forgets all after the line with this number. */
  cutAfter(number: number): void {
    this.total = Math.min(this.total, number);
    this.chunks = this.chunks
      .map((chunk) => ({ first: chunk.first, lines: chunk.lines.filter((line) => line.number <= number) }))
      .filter((chunk) => chunk.lines.length > 0);
  }
}
