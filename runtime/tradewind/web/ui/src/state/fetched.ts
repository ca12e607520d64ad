/** What a part of a page fetches for itself, and fetches again when there is news. */
import { useEffect, useRef, useState } from "react";
import { api } from "../api/client";
import { follow } from "../api/stream";
import { Paced, type Fetched } from "../logic/paced";
import { setStreamState } from "./live";

/** What `fetch` brings for `key`; again whenever `news` is another value. */
export function useFetched<T>(key: string, fetch: (signal: AbortSignal) => Promise<T>, news: unknown = 0): Fetched<T> & { again: () => void } {
  const [found, setFound] = useState<Fetched<T>>({ value: null, problem: null });
  const paced = useRef<Paced<T> | null>(null);
  const latest = useRef(fetch);
  latest.current = fetch;
  useEffect(() => {
    setFound({ value: null, problem: null });
    const mine = new Paced((signal: AbortSignal) => latest.current(signal), setFound);
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
  return { ...found, again: () => paced.current?.ask() };
}

/** A number that grows with each event of these kinds on the stream of all changes, and with each new connection. */
export function useNews(kinds: readonly string[]): number {
  const [count, setCount] = useState(0);
  useEffect(() => {
    const more = (): void => setCount((before) => before + 1);
    const stream = follow(api.eventStream(null), Object.fromEntries(kinds.map((kind) => [kind, more])), more, setStreamState);
    return () => {
      stream.close();
      setStreamState(null);
    };
  }, [kinds.join(" ")]);
  return count;
}
