/** Times as text. Nothing here shows a time without naming its zone. */
import type { ScheduleInterval } from "../api/types";

const formats = new Map<string, Intl.DateTimeFormat>();

function formatFor(zone: string): Intl.DateTimeFormat {
  let format = formats.get(zone);
  if (!format) {
    format = new Intl.DateTimeFormat("en-GB", {
      timeZone: zone, hourCycle: "h23", timeZoneName: "short", year: "numeric", month: "2-digit", day: "2-digit",
      hour: "2-digit", minute: "2-digit", second: "2-digit",
    });
    formats.set(zone, format);
  }
  return format;
}

function partsOf(at: Date, zone: string): Record<string, string> {
  return Object.fromEntries(formatFor(zone).formatToParts(at).map((part) => [part.type, part.value]));
}

function parsed(iso: string | null | undefined): Date | null {
  const at = iso ? new Date(iso) : null;
  return at && !Number.isNaN(at.getTime()) ? at : null;
}

/** `2026-11-21 09:30:05 UTC`; '' for no time. */
export function fullTime(iso: string | null | undefined, zone: string): string {
  const at = parsed(iso);
  if (!at) return "";
  const p = partsOf(at, zone);
  return `${p["year"]}-${p["month"]}-${p["day"]} ${p["hour"]}:${p["minute"]}:${p["second"]} ${p["timeZoneName"]}`;
}

/** `2026-11-21 09:30 UTC`: for lists, where seconds are noise. */
export function minuteTime(iso: string | null | undefined, zone: string): string {
  return fullTime(iso, zone).replace(/:\d\d (?=\S+$)/, " ");
}

/** `09:30:05.120`, for log lines; their zone stands above them. */
export function clockTime(iso: string | null | undefined, zone: string): string {
  const at = parsed(iso);
  if (!at) return "";
  const p = partsOf(at, zone);
  return `${p["hour"]}:${p["minute"]}:${p["second"]}.${String(at.getUTCMilliseconds()).padStart(3, "0")}`;
}

/** A sentence of the server, its times as these pages write them. */
export function timesIn(text: string, zone: string): string {
  return text.replace(/\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)/g, (iso) => fullTime(iso, zone) || iso);
}

/** Milliseconds between two times; up to `now` where there is no end yet; null where there is no start. */
export function elapsedMs(start: string | null | undefined, end: string | null | undefined, now: number): number | null {
  const from = parsed(start);
  return from ? Math.max(0, (parsed(end)?.getTime() ?? now) - from.getTime()) : null;
}

/** `< 0.01 s`, `0.12 s`, `4.2 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`. */
export function duration(ms: number | null): string {
  if (ms === null) return "";
  if (ms < 10) return "< 0.01 s";
  const seconds = ms / 1000;
  if (seconds < 1) return `${seconds.toFixed(2)} s`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const s = Math.round(seconds);
  if (s < 60) return `${s} s`;
  if (s < 3600) return joined(Math.floor(s / 60), "min", s % 60, "s");
  if (s < 86_400) return joined(Math.floor(s / 3600), "h", Math.floor((s % 3600) / 60), "min");
  return joined(Math.floor(s / 86_400), "d", Math.floor((s % 86_400) / 3600), "h");
}

function joined(large: number, unit: string, small: number, smallUnit: string): string {
  return small ? `${large} ${unit} ${small} ${smallUnit}` : `${large} ${unit}`;
}

/** `in 5 min`, `12 s ago`, `just now`. */
export function relative(iso: string | null | undefined, now: number): string {
  const at = parsed(iso);
  if (!at) return "";
  const ms = at.getTime() - now;
  if (Math.abs(ms) < 2_000) return "just now";
  const text = coarse(Math.abs(ms));
  return ms > 0 ? `in ${text}` : `${text} ago`;
}

function coarse(ms: number): string {
  const steps: [number, string][] = [[86_400_000, "d"], [3_600_000, "h"], [60_000, "min"], [1_000, "s"]];
  const [unit, name] = steps.find(([size]) => ms >= size) ?? [1_000, "s"];
  return `${Math.round(ms / unit)} ${name}`;
}

/** A schedule as a person would write it. */
export function scheduleText(schedule: ScheduleInterval, description: string | null): string {
  if (!schedule) return description && description !== "Never, external triggers only" ? description : "On demand";
  if (schedule.__type === "CronExpression") return schedule.value;
  if (schedule.__type === "TimeDelta") {
    return `Every ${duration(schedule.days * 86_400_000 + schedule.seconds * 1000 + schedule.microseconds / 1000)}`;
  }
  return description ?? "Calendar rule";
}

/** The zone of this browser. */
export const localZone = (): string => Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
