/** A part of the pages whose code did not come: the server is away, or it is a newer one that has other files. */
import { lazy, useEffect, type ComponentType } from "react";
import { api } from "../api/client";

export class PartMissing extends Error {
  constructor(cause: unknown) {
    super("The code of this page did not come", { cause });
    this.name = "PartMissing";
  }
}

/** A component whose code is fetched when it is first shown. */
export function fetched<P extends object>(load: () => Promise<ComponentType<P>>) {
  return lazy(async () => {
    try {
      return { default: await load() };
    } catch (cause) {
      throw new PartMissing(cause);
    }
  });
}

const AGAIN_MS = 2_000;

/** Asks for the server until it is there, and then loads the page anew. */
export function Missing() {
  useEffect(() => {
    const stop = new AbortController();
    const ask = (): void => {
      api.health(stop.signal).then(() => window.location.reload(), () => undefined);
    };
    const timer = setInterval(ask, AGAIN_MS);
    return () => {
      clearInterval(timer);
      stop.abort();
    };
  }, []);
  return (
    <div className="problem" role="alert">
      <strong>The server can’t be reached</strong>
      <p>This page has not been fetched yet. It comes by itself as soon as Tradewind answers.</p>
    </div>
  );
}
