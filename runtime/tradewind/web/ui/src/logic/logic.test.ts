import { describe, expect, it } from "vitest";
import type { DagRun, Task, TaskInstance } from "../api/types";
import { defaultConf, paramFields, parseConf } from "./conf";
import { answerOf } from "./form";
import { inOrder, layout } from "./layers";
import { CHUNK_LINES, LogLines, MOST_CHUNKS, plain } from "./log_lines";
import { toInstances, withChanges, withRun } from "./merge";
import { bodyOf, shown, SHAPES, startOf } from "./named";
import { counted, foremost, shortCount } from "./states";
import { byState, rowsOf, summaries } from "./summary";
import { clockTime, duration, elapsedMs, fullTime, minuteTime, relative, scheduleText, timesIn } from "./times";

const task = (task_id: string, ...downstream_task_ids: string[]): Task =>
  ({ task_id, downstream_task_ids, trigger_rule: "all_success" });

const instance = (task_id: string, state: TaskInstance["state"], more: Partial<TaskInstance> = {}): TaskInstance =>
  ({ task_id, map_index: -1, state, try_number: 1, start_date: null, end_date: null, ...more });

const run = (dag_run_id: string, logical_date: string, state: DagRun["state"] = "running"): DagRun => ({
  dag_id: "d", dag_run_id, state, run_type: "manual", logical_date, execution_date: logical_date, start_date: null,
  end_date: null, data_interval_start: null, data_interval_end: null, conf: null, external_trigger: true,
});

describe("layers", () => {
  it("puts each task after all that it needs", () => {
    expect(inOrder([task("c"), task("a", "b", "c"), task("b", "c")])).toEqual(["a", "b", "c"]);
  });
  it("bends a long edge around the layers between", () => {
    const plan = layout([task("a", "b", "c"), task("b", "c"), task("c")]);
    expect(plan.nodes.map((node) => node.layer)).toEqual([0, 1, 2]);
    expect(plan.rows).toBe(2);
    const edge = plan.edges.find(({ from, to }) => from === "a" && to === "c");
    expect(edge?.via.map((stop) => stop.layer)).toEqual([1]);
    expect(edge?.via[0]?.row).not.toBe(plan.nodes[1]?.row);
  });
  it("sorts a column by its neighbours, so that edges don't cross", () => {
    const plan = layout([task("a", "y"), task("b", "x"), task("x"), task("y")]);
    const row = (id: string): number => plan.nodes.find((node) => node.id === id)?.row ?? -1;
    expect(row("a") < row("b")).toBe(row("y") < row("x"));
  });
  it("draws nothing for a DAG without tasks and leaves out edges to unknown ones", () => {
    expect(layout([])).toEqual({ nodes: [], edges: [], layers: 0, rows: 0 });
    expect(layout([task("a", "gone")]).edges).toEqual([]);
  });
});

describe("states", () => {
  it("lets the weightiest state speak for many", () => {
    expect(foremost(["success", "running", "failed"])).toBe("failed");
    expect(foremost(["success", null])).toBe("none");
    expect(foremost([])).toBeNull();
  });
  it("says large numbers in three signs", () => {
    expect([2, 999, 1_000, 99_999, 100_000].map(shortCount)).toEqual(["2", "999", "1k", "99k", "…"]);
  });
  it("shows mapped instances that failed before the others", () => {
    const all = (["success", "failed", null, "failed"] as const).map((state, map_index) => instance("m", state, { map_index }));
    expect(byState(all).map(([state, some]) => [state, some.map((each) => each.map_index)]))
      .toEqual([["failed", [1, 3]], ["none", [2]], ["success", [0]]]);
  });
  it("counts", () => expect(counted(["success", null, "success"])).toEqual([["none", 1], ["success", 2]]));
});

describe("news", () => {
  const before = toInstances([instance("a", "running"), instance("m", null, { try_number: 0 })]);
  it("changes what it names and nothing else", () => {
    const after = withChanges(before, [instance("a", "success")]);
    expect([...after.values()].map((each) => each.state)).toEqual(["success", null]);
    expect([...before.values()][0]?.state).toBe("running");
    expect(withChanges(before, [])).toBe(before);
  });
  it("replaces the unmapped stand-in when a task is expanded", () => {
    const after = withChanges(before, [0, 1].map((map_index) => instance("m", "scheduled", { map_index })));
    expect(summaries(after).get("m")).toEqual({ state: "scheduled", count: 2 });
  });
  it("puts a new run in its place and keeps to the limit", () => {
    const runs = [run("new", "2026-01-03T00:00:00Z"), run("old", "2026-01-01T00:00:00Z")];
    const ids = (list: DagRun[]): string[] => list.map((each) => each.dag_run_id);
    expect(ids(withRun(runs, run("mid", "2026-01-02T00:00:00Z"), 9))).toEqual(["new", "mid", "old"]);
    expect(ids(withRun(runs, run("mid", "2026-01-02T00:00:00Z"), 2))).toEqual(["new", "mid"]);
    expect(ids(withRun(runs, run("mid", "2026-01-02T00:00:00Z"), 2, "old"))).toEqual(["new", "mid", "old"]);
    expect(withRun(runs, { dag_id: "d", dag_run_id: "old", state: "failed" }, 2)[1]).toEqual({ ...runs[1], state: "failed" });
  });
  it("keeps rows for tasks that only old runs had", () => {
    expect(rowsOf([task("a", "b"), task("b")], [toInstances([instance("gone", "removed"), instance("a", null)])]))
      .toEqual(["a", "b", "gone"]);
  });
});

describe("times", () => {
  const at = "2026-07-01T22:30:05.120Z";
  it("always names the zone", () => {
    expect(fullTime(at, "UTC")).toBe("2026-07-01 22:30:05 UTC");
    expect(minuteTime(at, "UTC")).toBe("2026-07-01 22:30 UTC");
    expect(fullTime(at, "Europe/Berlin")).toMatch(/^2026-07-02 00:30:05 \S+/);
    expect(clockTime(at, "UTC")).toBe("22:30:05.120");
    expect(fullTime(null, "UTC")).toBe("");
    expect(fullTime("nonsense", "UTC")).toBe("");
  });
  it("says how long", () => {
    expect(timesIn("until 2026-11-21T23:17:51.626422+00:00 at the latest", "UTC")).toBe("until 2026-11-21 23:17:51 UTC at the latest");
    expect([0, 4, 120, 4_200, 42_000, 185_000, 7_800_000, 273_600_000].map(duration))
      .toEqual(["< 0.01 s", "< 0.01 s", "0.12 s", "4.2 s", "42 s", "3 min 5 s", "2 h 10 min", "3 d 4 h"]);
    expect(elapsedMs(at, null, Date.parse(at) + 5)).toBe(5);
    expect(elapsedMs(null, null, 0)).toBeNull();
  });
  it("says how far", () => {
    const now = Date.parse(at);
    expect(relative(new Date(now + 300_000).toISOString(), now)).toBe("in 5 min");
    expect(relative(new Date(now - 12_000).toISOString(), now)).toBe("12 s ago");
    expect(relative(at, now)).toBe("just now");
  });
  it("says when a DAG runs", () => {
    expect(scheduleText({ __type: "CronExpression", value: "@daily" }, null)).toBe("@daily");
    expect(scheduleText({ __type: "TimeDelta", days: 0, seconds: 300, microseconds: 0 }, null)).toBe("Every 5 min");
    expect(scheduleText(null, "Never, external triggers only")).toBe("On demand");
  });
});

describe("configuration of a run", () => {
  it("takes objects only, and nothing as an empty one", () => {
    expect(parseConf(" ")).toEqual({ conf: {} });
    expect(parseConf('{"a": 1}')).toEqual({ conf: { a: 1 } });
    expect(parseConf("[1]")).toHaveProperty("error");
    expect(parseConf("{")).toHaveProperty("error");
  });
  it("begins with the defaults of the params", () => {
    expect(JSON.parse(defaultConf({ a: { __class: "Param", value: 3 }, b: "plain", c: { schema: {} } })))
      .toEqual({ a: 3, b: "plain", c: null });
    expect(defaultConf(null)).toBe("{}");
  });
  it("is a form of the params", () => {
    const fields = paramFields({
      plain_number: 3, text: { schema: {}, value: "a" }, flag: { schema: {}, value: false }, list: { schema: {}, value: [1] },
      who: { schema: { type: "string" } }, none: { schema: {}, value: null }, fixed: { schema: { const: 1 }, value: 1 },
      size: { schema: { type: "number", enum: [1, 2], values_display: { 1: "One" } }, value: 2, description: "How large" },
      more: { schema: { type: ["string", "null"], format: "multiline" }, value: "a\nb" },
      maybe: { schema: { type: "string", examples: ["x", "y"] }, value: "z" },
      inner: { schema: { type: "object", properties: { n: { type: "integer" } } }, value: { n: 1 } },
    });
    expect(fields.map((field) => `${field.label}: ${field.kind}`)).toEqual([
      "plain_number: number", "text: text", "flag: flag", "list: json", "who: text", "none: json", "size: choice", "more: lines",
      "maybe: text", "inner: json",
    ]);
    expect(fields[6]).toMatchObject({ help: "How large", shown: { 1: "One" }, start: "2" });
    expect(fields[8]?.options).toEqual(["x", "y"]);
    expect(answerOf(fields, { who: "me", size: "1", more: "" })).toEqual({
      answer: { plain_number: 3, text: "a", flag: false, list: [1], who: "me", size: 1, more: null, maybe: "z", inner: { n: 1 } },
    });
    expect(answerOf(fields, { who: "" })).toEqual({ error: "who: a value is needed." });
    expect(answerOf(paramFields({ n: { schema: { type: "integer" } } }), {})).toEqual({ error: "n: a value is needed." });
  });
});

describe("log lines", () => {
  const record = (message: string) => ({ ts: null, level: null, logger: null, stream: null, message });
  it("numbers lines and leaves full chunks alone", () => {
    const lines = new LogLines();
    lines.add(Array.from({ length: CHUNK_LINES + 1 }, (_, index) => record(String(index))));
    const [full] = lines.chunks;
    lines.add([record("last")]);
    expect(lines.chunks[0]?.lines).toBe(full?.lines);
    expect(lines.chunks[1]?.lines.map((line) => line.number)).toEqual([CHUNK_LINES + 1, CHUNK_LINES + 2]);
  });
  it("forgets the earliest when there are too many", () => {
    const lines = new LogLines();
    lines.add(Array.from({ length: CHUNK_LINES * (MOST_CHUNKS + 1) }, () => record("x")));
    expect(lines.dropped).toBe(CHUNK_LINES);
    expect(lines.total).toBe(CHUNK_LINES * (MOST_CHUNKS + 1));
  });
  it("goes back to where a broken stream goes on", () => {
    const lines = new LogLines();
    lines.add(["a", "b", "c"].map(record));
    lines.cutAfter(1);
    lines.add([record("b again")]);
    expect(lines.chunks.flatMap((chunk) => chunk.lines.map((line) => [line.number, line.message]))).toEqual([[1, "a"], [2, "b again"]]);
    lines.cutAfter(0);
    expect([lines.total, lines.chunks]).toEqual([0, []]);
  });
  it("shows no terminal colours", () => expect(plain("\u001b[1;31mred\u001b[0m")).toBe("red"));
});

describe("forms of connections, variables and pools", () => {
  const connections = SHAPES.connections;
  const before = { connection_id: "db", conn_type: "postgres", host: "h", port: 5432, login: null, schema: null, extra: null, description: "d" };
  const typed = (changes: Record<string, string | boolean>) => ({
    ...Object.fromEntries(connections.fields.map((field) => [field.name, startOf(field, before)])), ...changes,
  });

  it("sends only what was changed", () => {
    expect(bodyOf(connections, typed({}), before)).toEqual({});
    expect(bodyOf(connections, typed({ port: "", host: "other", password: "p" }), before))
      .toEqual({ port: null, host: "other", password: "p" });
    expect(bodyOf(connections, typed({ description: "" }), before)).toEqual({ description: null });
  });

  it("leaves out what a new entry does not have", () => {
    const fresh = Object.fromEntries(connections.fields.map((field) => [field.name, ""]));
    expect(bodyOf(connections, { ...fresh, connection_id: "x", conn_type: "http", port: "80" }, null))
      .toEqual({ connection_id: "x", conn_type: "http", port: 80 });
    expect(bodyOf(SHAPES.variables, { key: "k", value: "", description: "" }, null)).toEqual({ key: "k", value: "" });
  });

  it("hides values of variables that have a secret's name", () => {
    expect(shown(SHAPES.variables, { key: "api_token", value: "v" }, "value")).toBe("***");
    expect(shown(SHAPES.variables, { key: "team", value: "v" }, "value")).toBe("v");
  });
});
