/**
 * Every call that the pages make. Addresses are relative, so they follow the page's <base href>
 * and the pages work under any path.
 */
import type {
  Dag, DagDetails, DagRun, Health, ImportError, Me, Page, Task, TaskInstance, Version,
} from "./types";
import type { Kind, Row } from "../logic/named";

export const API = "api/v1/";

/** An answer that is not what was asked for. `status` is 0 where the server could not be reached at all. */
export class ApiError extends Error {
  constructor(readonly status: number, readonly title: string, readonly detail: string) {
    super(detail ? `${title}: ${detail}` : title);
    this.name = "ApiError";
  }
}

let onSignedOut: () => void = () => undefined;

/** Says what happens when the server no longer knows this session (any answer 401). */
export function whenSignedOut(then: () => void): void {
  onSignedOut = then;
}

/** Grows whenever somebody signs in or out: an answer to who was here before says nothing of who is here now. */
let sessions = 0;

export type Query = Record<string, string | number | boolean | null | undefined>;

/** The relative address of an API resource; empty query values are left out. */
export function address(path: string, query: Query = {}): string {
  const wanted = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const text = new URLSearchParams(wanted.map(([key, value]) => [key, String(value)])).toString();
  return path + (text ? `?${text}` : "");
}

interface Call {
  method?: "GET" | "POST" | "PATCH" | "DELETE";
  body?: unknown;
  accept?: string;
  signal?: AbortSignal | undefined;
}

async function send(path: string, call: Call): Promise<Response> {
  const headers: Record<string, string> = { Accept: call.accept ?? "application/json" };
  if (call.body !== undefined) headers["Content-Type"] = "application/json";
  const init: RequestInit = { method: call.method ?? "GET", headers, credentials: "same-origin", cache: "no-store" };
  if (call.body !== undefined) init.body = JSON.stringify(call.body);
  if (call.signal) init.signal = call.signal;
  const session = sessions;
  let answer: Response;
  try {
    answer = await fetch(path, init);
  } catch (cause) {
    if (call.signal?.aborted) throw cause;
    throw new ApiError(0, "The server can't be reached", "Check that Tradewind is running and that you are online.");
  }
  if (answer.ok) return answer;
  const problem = await problemOf(answer);
  if (answer.status === 401 && !path.startsWith("auth/login") && session === sessions) onSignedOut();
  throw problem;
}

async function problemOf(answer: Response): Promise<ApiError> {
  const fallback = answer.statusText || `The server answered ${answer.status}`;
  try {
    const body = (await answer.json()) as { title?: unknown; detail?: unknown };
    const text = (value: unknown): string => (typeof value === "string" ? value : value ? JSON.stringify(value) : "");
    return new ApiError(answer.status, text(body.title) || fallback, text(body.detail));
  } catch {
    return new ApiError(answer.status, fallback, "");
  }
}

/** The parsed answer. Raises ApiError. */
export async function json<T>(path: string, call: Call = {}): Promise<T> {
  return (await (await send(path, call)).json()) as T;
}

const dagPath = (dagId: string): string => `${API}dags/${encodeURIComponent(dagId)}`;
export const runPath = (dagId: string, runId: string): string => `${dagPath(dagId)}/dagRuns/${encodeURIComponent(runId)}`;

const namedPath = (kind: Kind, name: string): string => `${API}${kind}/${encodeURIComponent(name)}`;

/** Which attempt of which task instance a log belongs to. */
export interface AttemptRef {
  dagId: string;
  runId: string;
  taskId: string;
  mapIndex: number;
  tryNumber: number;
}

function logPath(of: AttemptRef): string {
  return `${runPath(of.dagId, of.runId)}/taskInstances/${encodeURIComponent(of.taskId)}/logs/${of.tryNumber}`;
}

export interface DagFilter {
  limit: number;
  offset: number;
  pattern: string;
  paused: boolean | null;
}

export interface TriggerRequest {
  conf: Record<string, unknown>;
  logicalDate?: string;
  runId?: string;
  partitionKey?: string;
  unpause?: boolean;
}

/** True for the answer that says: this DAG is paused, a run of it would not start. */
export function isPausedAnswer(problem: unknown): boolean {
  return problem instanceof ApiError && problem.status === 409 && problem.title === "DAG is paused";
}

/** A question of a task, with the JSON schema of its answer. */
export interface HumanInput {
  dag_id: string;
  dag_run_id: string;
  task_id: string;
  map_index: number;
  name: string;
  subject: string;
  body: string | null;
  to: string | null;
  respondents: string[];
  schema: Record<string, unknown>;
  deadline: string | null;
}

export const api = {
  async login(username: string, password: string): Promise<void> {
    await send("auth/login", { method: "POST", body: { username, password } });
    sessions += 1;
  },
  async logout(): Promise<void> {
    await send("auth/logout", { method: "POST", body: {} });
    sessions += 1;
  },
  me: (signal?: AbortSignal) => json<Me>("auth/me", { signal }),
  health: (signal?: AbortSignal) => json<Health>(`${API}health`, { signal }),
  version: (signal?: AbortSignal) => json<Version>(`${API}version`, { signal }),

  async dags(filter: DagFilter, signal?: AbortSignal): Promise<Page<Dag>> {
    const path = address(`${API}dags`, {
      limit: filter.limit, offset: filter.offset, order_by: "dag_id", only_active: true,
      dag_id_pattern: filter.pattern, paused: filter.paused,
    });
    const body = await json<{ dags: Dag[]; total_entries: number }>(path, { signal });
    return { items: body.dags, total: body.total_entries };
  },
  dag: (dagId: string, signal?: AbortSignal) => json<DagDetails>(`${dagPath(dagId)}/details`, { signal }),
  setPaused: (dagId: string, paused: boolean) =>
    json<Dag>(dagPath(dagId), { method: "PATCH", body: { is_paused: paused } }),
  async tasks(dagId: string, signal?: AbortSignal): Promise<Page<Task>> {
    const body = await json<{ tasks: Task[]; total_entries: number }>(`${dagPath(dagId)}/tasks`, { signal });
    return { items: body.tasks, total: body.total_entries };
  },

  async runs(dagId: string, limit: number, signal?: AbortSignal): Promise<Page<DagRun>> {
    const path = address(`${dagPath(dagId)}/dagRuns`, { limit, offset: 0, order_by: "-execution_date" });
    const body = await json<{ dag_runs: DagRun[]; total_entries: number }>(path, { signal });
    return { items: body.dag_runs, total: body.total_entries };
  },
  async inputs(where: Query, signal?: AbortSignal): Promise<Page<HumanInput>> {
    const body = await json<{ human_inputs: HumanInput[]; total_entries: number }>(address(`${API}humanInputs`, where), { signal });
    return { items: body.human_inputs, total: body.total_entries };
  },
  async answerInput(of: HumanInput, value: unknown): Promise<void> {
    const task = `${runPath(of.dag_id, of.dag_run_id)}/taskInstances/${encodeURIComponent(of.task_id)}`;
    await send(`${task}/humanInputs/${encodeURIComponent(of.name)}`, { method: "PATCH", body: { value, map_index: of.map_index } });
  },
  run: (dagId: string, runId: string, signal?: AbortSignal) => json<DagRun>(runPath(dagId, runId), { signal }),
  trigger(dagId: string, request: TriggerRequest): Promise<DagRun> {
    const body: Record<string, unknown> = { conf: request.conf };
    if (request.logicalDate) body["logical_date"] = request.logicalDate;
    if (request.runId) body["dag_run_id"] = request.runId;
    if (request.partitionKey) body["partition_key"] = request.partitionKey;
    if (request.unpause) body["unpause"] = true;
    return json<DagRun>(`${dagPath(dagId)}/dagRuns`, { method: "POST", body });
  },
  async taskInstances(
    dagId: string, runId: string, limit: number, offset: number, signal?: AbortSignal,
  ): Promise<Page<TaskInstance>> {
    const path = address(`${runPath(dagId, runId)}/taskInstances`, { limit, offset });
    const body = await json<{ task_instances: TaskInstance[]; total_entries: number }>(path, { signal });
    return { items: body.task_instances, total: body.total_entries };
  },

  /** The whole log of an attempt as text. */
  async log(of: AttemptRef, signal?: AbortSignal): Promise<string> {
    const path = address(logPath(of), { map_index: of.mapIndex, full_content: true });
    return (await send(path, { accept: "text/plain", signal })).text();
  },
  /** Where the log of an attempt is streamed from, record by record; after the record with the id `token`, if given. */
  logStream: (of: AttemptRef, token: string) => address(`${logPath(of)}/stream`, { map_index: of.mapIndex, token }),
  /** Where changes are streamed from; of one DAG, or of all. */
  eventStream: (dagId: string | null) => address(`${API}events`, { dag_id: dagId }),

  async named(kind: Kind, signal?: AbortSignal): Promise<Page<Row>> {
    const body = await json<Record<string, unknown>>(address(API + kind, { limit: 1000 }), { signal });
    return { items: body[kind] as Row[], total: body["total_entries"] as number };
  },
  namedEntry: (kind: Kind, name: string, signal?: AbortSignal) => json<Row>(namedPath(kind, name), { signal }),
  makeNamed: (kind: Kind, body: Row) => json<Row>(API + kind, { method: "POST", body }),
  changeNamed: (kind: Kind, name: string, body: Row) => json<Row>(namedPath(kind, name), { method: "PATCH", body }),
  async removeNamed(kind: Kind, name: string): Promise<void> {
    await send(namedPath(kind, name), { method: "DELETE" });
  },

  async importErrors(signal?: AbortSignal): Promise<Page<ImportError>> {
    const path = address(`${API}importErrors`, { limit: 100 });
    const body = await json<{ import_errors: ImportError[]; total_entries: number }>(path, { signal });
    return { items: body.import_errors, total: body.total_entries };
  },
};

export type Api = typeof api;
