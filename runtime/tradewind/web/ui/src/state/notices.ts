/** Short messages about what has just been done. */
import { Shared } from "./shared";

export interface Notice {
  id: number;
  kind: "done" | "problem";
  text: string;
}

const SHOWN_MS = { done: 5_000, problem: 12_000 } as const;
export const notices = new Shared<Notice[]>([]);
let lastId = 0;

export function dismiss(id: number): void {
  notices.set(notices.get().filter((notice) => notice.id !== id));
}

export function tell(kind: Notice["kind"], text: string): void {
  lastId += 1;
  const id = lastId;
  notices.set([...notices.get().slice(-3), { id, kind, text }]);
  setTimeout(() => dismiss(id), SHOWN_MS[kind]);
}
