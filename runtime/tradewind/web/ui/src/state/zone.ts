/** The time zone that all times are shown in; remembered by this browser. */
import { localZone } from "../logic/times";
import { Shared, useShared } from "./shared";

const KEY = "tradewind.zone";
export type ZoneChoice = "utc" | "local";

function remembered(): ZoneChoice {
  try {
    return window.localStorage.getItem(KEY) === "local" ? "local" : "utc";
  } catch {
    return "utc";
  }
}

const choice = new Shared<ZoneChoice>(remembered());

export function chooseZone(next: ZoneChoice): void {
  choice.set(next);
  try {
    window.localStorage.setItem(KEY, next);
  } catch {
    // A browser that keeps nothing still shows the chosen zone until it is closed.
  }
}

export const useZoneChoice = (): ZoneChoice => useShared(choice);
export const zoneName = (of: ZoneChoice): string => (of === "utc" ? "UTC" : localZone());
export const useZone = (): string => zoneName(useZoneChoice());
