/** Server-sent events that come back by themselves, and rest while nobody looks at the page. */
import { api } from "./client";

export type StreamState = "connecting" | "live" | "waiting";

export interface StreamHandlers {
  /** One per event type, with the parsed JSON of its data and its id ('' where it has none). */
  on: Record<string, (data: never, id: string) => void>;
  /** After each (re)connection: what happened in between has to be fetched. */
  opened?: (first: boolean) => void;
  state?: (state: StreamState) => void;
  /** An event type after which the stream is over and stays closed. */
  lastEvent?: string;
}

const FIRST_RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 15_000;

/** A stream from where `url` says at each (re)connection. `close()` ends it for good. */
export class Stream {
  private source: EventSource | null = null;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private failures = 0;
  private opens = 0;
  private over = false;

  constructor(private readonly url: () => string, private readonly handlers: StreamHandlers) {
    document.addEventListener("visibilitychange", this.look);
    if (!document.hidden) this.connect();
  }

  close(): void {
    this.over = true;
    this.drop();
    document.removeEventListener("visibilitychange", this.look);
  }

  /** A browser has six connections a server: a hidden tab gives its own back. */
  private readonly look = (): void => {
    if (document.hidden) this.drop();
    else if (!this.source && !this.over) this.connect();
  };

  private drop(): void {
    clearTimeout(this.retry);
    this.source?.close();
    this.source = null;
  }

  private connect(): void {
    this.drop();
    this.handlers.state?.("connecting");
    const source = new EventSource(this.url());
    this.source = source;
    source.onopen = () => {
      this.failures = 0;
      this.opens += 1;
      this.handlers.state?.("live");
      this.handlers.opened?.(this.opens === 1);
    };
    source.onerror = () => this.failed();
    for (const [type, handle] of Object.entries(this.handlers.on)) {
      source.addEventListener(type, (event) => {
        const message = event as MessageEvent<string>;
        handle(JSON.parse(message.data || "{}") as never, message.lastEventId);
        if (type === this.handlers.lastEvent) this.close();
      });
    }
  }

  /** We reconnect ourselves: the browser gives up for good after any answer but 200. */
  private failed(): void {
    if (this.over) return;
    this.drop();
    this.failures += 1;
    this.handlers.state?.("waiting");
    // A refused stream can't say that nobody is signed in any more; this answer can, and leads to the sign-in page.
    if (this.failures > 1) api.me().catch(() => undefined);
    const pause = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** (this.failures - 1));
    this.retry = setTimeout(() => this.connect(), pause);
  }
}

const SLOW_OPEN_MS = 400;

/**
 * A stream of changes to what `fetchAll` fetches. Fetches each time the stream has opened, so nothing falls between
 * the two; and without it where it is slow to open, does not open, or the page is hidden.
 */
export function follow(
  url: string, on: StreamHandlers["on"], fetchAll: () => void, state: (state: StreamState) => void,
): { close: () => void } {
  let fetched = false;
  const fetchOnce = (): void => {
    if (!fetched) fetchAll();
    fetched = true;
  };
  const timer = setTimeout(fetchOnce, SLOW_OPEN_MS);
  if (document.hidden) fetchOnce();
  const stream = new Stream(() => url, {
    on,
    opened: () => {
      fetched = true;
      fetchAll();
    },
    state: (now) => {
      state(now);
      if (now === "waiting") fetchOnce();
    },
  });
  return {
    close: () => {
      clearTimeout(timer);
      stream.close();
    },
  };
}
