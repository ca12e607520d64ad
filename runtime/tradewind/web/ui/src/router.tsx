/** Which page an address means. Addresses live under the page's <base href>. */
import { useMemo, useSyncExternalStore, type AnchorHTMLAttributes, type MouseEvent } from "react";

export interface Place {
  /** Path parts under the base, decoded: `dags/my_dag` is ["dags", "my_dag"]. */
  parts: string[];
  query: URLSearchParams;
}

const basePath = (): string => new URL(document.baseURI).pathname;
const listeners = new Set<() => void>();
const tell = (): void => listeners.forEach((listener) => listener());

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  window.addEventListener("popstate", listener);
  return () => {
    listeners.delete(listener);
    window.removeEventListener("popstate", listener);
  };
}

const current = (): string => window.location.pathname + window.location.search;

/** The place that `address` (path and query) stands for, under `base`. */
export function placeOf(address: string, base: string): Place {
  const [path = "", search = ""] = address.split("?", 2);
  const inner = path.startsWith(base) ? path.slice(base.length) : path.replace(/^\//, "");
  const parts = inner.split("/").filter(Boolean).map(decoded);
  return { parts, query: new URLSearchParams(search) };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export function usePlace(): Place {
  const address = useSyncExternalStore(subscribe, current);
  return useMemo(() => placeOf(address, basePath()), [address]);
}

/** Goes to `to`, an address under the base without a leading slash. */
export function go(to: string, how: "push" | "replace" = "push"): void {
  const address = basePath() + to;
  if (address === current()) return;
  if (how === "push") window.history.pushState(null, "", address);
  else window.history.replaceState(null, "", address);
  tell();
}

/** Where we are now, in the form that `go` takes. */
export const here = (): string => current().slice(basePath().length);

type Values = Record<string, string | number | null | undefined>;

/** An address from path parts and query values; empty values are left out. */
export function to(parts: string[], query: Values = {}): string {
  const wanted = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const search = new URLSearchParams(wanted.map(([key, value]) => [key, String(value)])).toString();
  return parts.map(encodeURIComponent).join("/") + (search ? `?${search}` : "");
}

/** A link inside the pages: follows without loading, and is a real link for every other use. */
export function Link({ to: target, ...rest }: { to: string } & AnchorHTMLAttributes<HTMLAnchorElement>) {
  const follow = (event: MouseEvent<HTMLAnchorElement>): void => {
    rest.onClick?.(event);
    const plainClick = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
    if (event.defaultPrevented || !plainClick) return;
    event.preventDefault();
    go(target);
  };
  return <a {...rest} href={basePath() + target} onClick={follow} />;
}
