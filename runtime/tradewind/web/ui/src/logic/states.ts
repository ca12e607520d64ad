/** How states look and in which order they matter. Colour never speaks alone: each state has a sign too. */
import type { RunState, TaskState } from "../api/types";

export type AnyState = TaskState | RunState;

interface Look {
  label: string;
  sign: string;
  meaning: string;
}

const LOOKS: Record<TaskState, Look> = {
  none: { label: "No status", sign: "", meaning: "Waits for the tasks before it." },
  scheduled: { label: "Scheduled", sign: "·", meaning: "May start as soon as a slot is free." },
  queued: { label: "Queued", sign: "…", meaning: "Handed to an executor, not yet begun." },
  running: { label: "Running", sign: "▸", meaning: "Its attempt is working now." },
  success: { label: "Success", sign: "", meaning: "Done." },
  failed: { label: "Failed", sign: "✕", meaning: "Its last attempt failed and no retry is left." },
  skipped: { label: "Skipped", sign: "–", meaning: "A branch or a condition left it out." },
  upstream_failed: { label: "Upstream failed", sign: "↑", meaning: "A task that it needs has failed." },
  up_for_retry: { label: "Up for retry", sign: "↻", meaning: "Failed; will be tried again." },
  up_for_reschedule: { label: "Up for reschedule", sign: "○", meaning: "A sensor that looks again later." },
  deferred: { label: "Deferred", sign: "‖", meaning: "Waits for an outside event, without a slot." },
  restarting: { label: "Restarting", sign: "»", meaning: "Was cleared while it ran; begins again." },
  removed: { label: "Removed", sign: "∅", meaning: "Is no longer part of the DAG." },
  shutdown: { label: "Shutdown", sign: "■", meaning: "Was asked from outside to stop." },
};

/** What the eye should catch first comes first. */
const WEIGHT: TaskState[] = [
  "failed", "upstream_failed", "running", "restarting", "up_for_retry", "deferred", "up_for_reschedule", "queued",
  "scheduled", "shutdown", "none", "success", "skipped", "removed",
];

const FINAL = new Set<string>(["success", "failed", "skipped", "upstream_failed", "removed"]);

export const stateOf = (state: AnyState | null | undefined): TaskState => state ?? "none";
export const lookOf = (state: AnyState | null | undefined): Look => LOOKS[stateOf(state)] ?? LOOKS.none;
export const isFinal = (state: AnyState | null | undefined): boolean => FINAL.has(stateOf(state));

/** How many, in the room of three signs. */
export const shortCount = (count: number): string =>
  count < 1_000 ? String(count) : count < 100_000 ? `${Math.floor(count / 1_000)}k` : "…";

/** One state for many mapped instances: the one that matters most. */
export function foremost(states: Iterable<TaskState | null>): TaskState | null {
  let best = WEIGHT.length;
  for (const state of states) {
    const place = WEIGHT.indexOf(stateOf(state));
    if (place >= 0 && place < best) best = place;
  }
  return WEIGHT[best] ?? null;
}

/** States with how often each occurs, weightiest first. */
export function counted(states: Iterable<TaskState | null>): [TaskState, number][] {
  const counts = new Map<TaskState, number>();
  for (const state of states) counts.set(stateOf(state), (counts.get(stateOf(state)) ?? 0) + 1);
  return [...counts].sort((a, b) => WEIGHT.indexOf(a[0]) - WEIGHT.indexOf(b[0]));
}
