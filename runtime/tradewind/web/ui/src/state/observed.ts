/** A small base for what a page shows: listeners hear of changes at most once a frame. */
import { useEffect, useSyncExternalStore } from "react";

export abstract class Observed {
  private readonly listeners = new Set<() => void>();
  private frame = 0;
  private version = 0;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  readonly snapshot = (): number => this.version;

  protected changed(): void {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.version += 1;
      this.listeners.forEach((listener) => listener());
    });
  }

  /** Begins to watch the server; undone by `stop`. */
  abstract start(): void;
  abstract stop(): void;
}

/** Keeps `what` started while the component is there, and draws again when it changes. */
export function useObserved(what: Observed): void {
  useSyncExternalStore(what.subscribe, what.snapshot);
  useEffect(() => {
    what.start();
    return () => what.stop();
  }, [what]);
}
