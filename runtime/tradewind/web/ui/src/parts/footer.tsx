/** The line at the foot: is the system well, and which version is it. */
import { useEffect, useState } from "react";
import { api } from "../api/client";
import type { Health } from "../api/types";
import { relative } from "../logic/times";
import { useNow } from "../state/clock";
import { streamState } from "../state/live";
import { useShared } from "../state/shared";

const LOOK_MS = 30_000;

export function Footer() {
  const now = useNow(LOOK_MS);
  const stream = useShared(streamState);
  const [health, setHealth] = useState<Health | null | "unreachable">(null);
  const [version, setVersion] = useState("");
  useEffect(() => {
    const stop = new AbortController();
    api.health(stop.signal).then(setHealth, () => { if (!stop.signal.aborted) setHealth("unreachable"); });
    return () => stop.abort();
  }, [now, stream]);
  useEffect(() => {
    // A server that was away may come back as another version.
    const stop = new AbortController();
    if (stream !== "waiting") api.version(stop.signal).then((answer) => setVersion(answer.version), () => undefined);
    return () => stop.abort();
  }, [stream === "waiting"]);
  return (
    <footer className="foot">
      <span className="health" role="group" aria-label="Health">{signs(health, now)}</span>
      <span className="spacer" />
      <span>Tradewind {version}</span>
      <a href="api/v1/ui">REST API</a>
    </footer>
  );
}

function signs(health: Health | null | "unreachable", now: number) {
  if (health === null) return <Sign name="Health" status={null} />;
  if (health === "unreachable") return <Sign name="Server" status="can't be reached" />;
  const beat = health.scheduler.latest_scheduler_heartbeat;
  return (
    <>
      <Sign name="Scheduler" status={health.scheduler.status} more={beat ? `beat ${relative(beat, now)}` : ""} />
      <Sign name="Database" status={health.metadatabase.status} />
    </>
  );
}

function Sign({ name, status, more = "" }: { name: string; status: string | null; more?: string }) {
  const kind = status === null ? "unknown" : status === "healthy" ? "good" : "bad";
  return (
    <span className={`sign sign-${kind}`} title={more}>
      <i aria-hidden="true" />{name} {status ?? "…"}
    </span>
  );
}
