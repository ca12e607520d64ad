/** The configuration of a run as people type it. */
import { fieldsOf, nameOf, type Field, type Schema } from "./form";

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

/** A field for each param of a DAG. Its value is what the param's schema, or else its default, is. */
export function paramFields(params: Record<string, unknown> | null | undefined): Field[] {
  const entries = Object.entries(params ?? {}).filter(([, param]) => schemaOf(param)["const"] === undefined);
  const properties: Record<string, Schema & { title?: unknown }> = Object.fromEntries(entries.map(([name, param]) => {
    const { properties: _, ...schema } = schemaOf(param);
    const value = valueOf(param);
    const typed = schema["type"] || schema["anyOf"] || schema["enum"] ? {} : { type: typeOf(value), nullable: value === null };
    const described = isObject(param) && typeof param["description"] === "string" && !schema["description_md"] ? { description: param["description"] } : {};
    return [name, { title: name, ...schema, ...typed, ...described, default: value }];
  }));
  const required = entries.filter(([, param]) => isObject(param) && "schema" in param && !("value" in param)).map(([name]) => name);
  return fieldsOf({ properties, required }).map((field) => ({
    ...field, label: String(properties[nameOf(field)]?.title ?? ""), mayBeEmpty: field.mayBeEmpty && !field.required,
  }));
}

const isObject = (given: unknown): given is Record<string, unknown> =>
  typeof given === "object" && given !== null && !Array.isArray(given);

const schemaOf = (param: unknown): Record<string, unknown> =>
  isObject(param) && isObject(param["schema"]) ? param["schema"] : {};

function typeOf(value: unknown): string | undefined {
  return { string: "string", number: "number", boolean: "boolean" }[typeof value as string];
}

/** A param is described by an object with its value, or is the value itself. */
function valueOf(param: unknown): unknown {
  if (typeof param !== "object" || param === null || Array.isArray(param)) return param;
  const described = param as Record<string, unknown>;
  return "__class" in described || "schema" in described ? (described["value"] ?? null) : param;
}
