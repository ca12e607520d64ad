import { duration, elapsedMs, fullTime, minuteTime, relative } from "../logic/times";
import { useNow } from "../state/clock";
import { useZone } from "../state/zone";

/** A time in the chosen zone, its distance from now as a hint. */
export function Time({ at, precise = false }: { at: string | null | undefined; precise?: boolean }) {
  const zone = useZone();
  if (!at) return <span className="faint">–</span>;
  const text = precise ? fullTime(at, zone) : minuteTime(at, zone);
  return <time dateTime={at} title={`${relative(at, Date.now())} (${at})`}>{text}</time>;
}

/** `in 5 min`, counted on while it is looked at; the exact time as a hint. */
export function Distance({ at }: { at: string | null | undefined }) {
  const zone = useZone();
  const now = useNow(10_000);
  if (!at) return <span className="faint">–</span>;
  return <time dateTime={at} title={fullTime(at, zone)}>{relative(at, now)}</time>;
}

/** How long something took, or has taken so far. */
export function Elapsed({ start, end }: { start: string | null | undefined; end: string | null | undefined }) {
  return end || !start ? <span>{duration(elapsedMs(start, end, 0)) || "–"}</span> : <Counting start={start} />;
}

function Counting({ start }: { start: string }) {
  const now = useNow(1_000);
  return <span>{duration(elapsedMs(start, null, now))}</span>;
}
