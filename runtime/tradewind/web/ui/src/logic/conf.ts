/** The configuration of a run as people type it. */

export type Conf = Record<string, unknown>;

/** The object that `text` says in JSON, or what is wrong with it. Nothing typed means an empty one. */
export function parseConf(text: string): { conf: Conf } | { error: string } {
  if (!text.trim()) return { conf: {} };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (problem) {
    return { error: `This is not JSON: ${problem instanceof Error ? problem.message : String(problem)}` };
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return { error: 'Write a JSON object, such as {"name": "value"}.' };
  }
  return { conf: value as Conf };
}

/** What the box shows at first: the DAG's params with their defaults. */
export function defaultConf(params: Record<string, unknown> | null | undefined): string {
  const defaults = Object.entries(params ?? {}).map(([name, param]) => [name, valueOf(param)]);
  return JSON.stringify(Object.fromEntries(defaults), null, 2);
}

/** A param is described by an object with its value, or is the value itself. */
function valueOf(param: unknown): unknown {
  if (typeof param !== "object" || param === null || Array.isArray(param)) return param;
  const described = param as Record<string, unknown>;
  return "__class" in described || "schema" in described ? (described["value"] ?? null) : param;
}
