/** What a part of a page fetches for itself, and fetches again when there is news. */
import { useEffect, useRef, useState } from "react";
import { api } from "../api/client";
import { follow } from "../api/stream";
import { Paced, type Fetched } from "../logic/paced";
import { setStreamState } from "./live";

export type Found<T> = Fetched<T> & { again: () => void };

const NOTHING = { value: null, problem: null };

/** What `fetch` brings for `key`; again whenever `news` is another value. What was fetched stays while that fails. */
export function useFetched<T>(key: string, fetch: (signal: AbortSignal) => Promise<T>, news: unknown = 0): Found<T> {
  const [found, setFound] = useState<Fetched<T> & { key: string }>({ key, ...NOTHING });
  const paced = useRef<Paced<T> | null>(null);
  const latest = useRef(fetch);
  latest.current = fetch;
  useEffect(() => {
    const mine = new Paced((signal: AbortSignal) => latest.current(signal), (one: Fetched<T>) => setFound({ key, ...one }));
    paced.current = mine;
    mine.ask();
    return () => {
      paced.current = null;
      mine.stop();
    };
  }, [key]);
  const seen = useRef(news);
  useEffect(() => {
    if (seen.current !== news) paced.current?.ask();
    seen.current = news;
  }, [news]);
  const { value, problem } = found.key === key ? found : NOTHING;
  return { value, problem, again: () => paced.current?.ask() };
}

/** A number that grows with each event of these kinds on the stream of all changes, and with each new connection. */
export function useNews(kinds: readonly string[]): number {
  const [count, setCount] = useState(0);
  useEffect(() => {
    const more = (): void => setCount((before) => before + 1);
    const part = {};
    const on = Object.fromEntries(kinds.map((kind) => [kind, more]));
    const stream = follow(api.eventStream(null), on, more, (state) => setStreamState(part, state));
    return () => {
      stream.close();
      setStreamState(part, null);
    };
  }, [kinds.join(" ")]);
  return count;
}
