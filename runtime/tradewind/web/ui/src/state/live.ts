/** Whether the page in view hears of changes; null where it listens to none. */
import type { StreamState } from "../api/stream";
import { Shared } from "./shared";

export const streamState = new Shared<StreamState | null>(null);
const parts = new Map<object, StreamState>();
const WORST_FIRST = ["waiting", "connecting", "live"] as const;

/** What one part of the page hears; null where it listens no more. The page is as well as its worst part. */
export function setStreamState(part: object, state: StreamState | null): void {
  if (state === null) parts.delete(part);
  else parts.set(part, state);
  const all = [...parts.values()];
  streamState.set(WORST_FIRST.find((each) => all.includes(each)) ?? null);
}
