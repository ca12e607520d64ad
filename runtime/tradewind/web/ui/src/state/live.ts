/** Whether the page in view hears of changes; null where it listens to none. */
import type { StreamState } from "../api/stream";
import { Shared } from "./shared";

export const streamState = new Shared<StreamState | null>(null);
export const setStreamState = (state: StreamState | null): void => streamState.set(state);
