/** A form made of the JSON schema of an answer: its fields, and the answer that they say. */

export type Schema = Record<string, unknown>;
export type Kind = "flag" | "choice" | "choices" | "number" | "text" | "lines" | "date" | "json";

export interface Field {
  /** Where its value is in the answer. */
  path: string[];
  label: string;
  help: string;
  /** The heading that it stands under with others; '' for none. */
  section: string;
  kind: Kind;
  /** What can be chosen; of a text: what is proposed. */
  options: string[];
  /** How options are shown, where it is not as they are. */
  shown: Record<string, string>;
  /** Its options are numbers. */
  numeric: boolean;
  /** The value is a list with one item. */
  listed: boolean;
  required: boolean;
  /** An empty text is a value. */
  mayBeEmpty: boolean;
  /** null is a value: what an empty field says. */
  nullable: boolean;
  start: Value;
}

export type Value = string | boolean | string[];
export type Values = Record<string, Value>;

export const nameOf = (field: Field): string => field.path.join(".");

/** The fields of an object's schema; those of objects inside it are beside its own. */
export function fieldsOf(schema: Schema, root: Schema = schema, path: string[] = []): Field[] {
  const wanted = Array.isArray(schema["required"]) ? (schema["required"] as string[]) : [];
  return Object.entries((schema["properties"] ?? {}) as Record<string, Schema>).flatMap(([name, given]) => {
    const inner = resolved(given, root);
    if (inner["type"] === "object" && inner["properties"]) return fieldsOf(inner, root, [...path, name]);
    return [field(inner, [...path, name], wanted.includes(name))];
  });
}

function resolved(schema: Schema, root: Schema): Schema {
  const place = typeof schema["$ref"] === "string" ? schema["$ref"].split("/").pop() ?? "" : "";
  const known = (root["$defs"] ?? {}) as Record<string, Schema>;
  if (place) return { ...known[place], ...schema };
  const types = Array.isArray(schema["type"]) ? (schema["type"] as unknown[]).filter((type) => type !== "null") : [];
  if (types.length === 1) return { ...schema, type: types[0], nullable: (schema["type"] as unknown[]).length > 1 };
  const [some, ...more] = ((schema["anyOf"] ?? []) as Schema[]).filter((one) => one["type"] !== "null");
  return some && more.length === 0 ? { ...resolved(some, root), ...schema, anyOf: undefined, nullable: true } : schema;
}

function field(schema: Schema, path: string[], required: boolean): Field {
  const items = (schema["items"] ?? {}) as Schema;
  const isList = schema["type"] === "array";
  const listed = isList && Array.isArray(items["enum"]) && schema["maxItems"] === 1;
  const options = optionsOf(isList && items["enum"] ? items : schema);
  const kind = kindOf(schema, options, isList, listed);
  const start = schema["default"];
  return {
    path, kind, listed, required,
    numeric: options.length > 0 && options.every((option) => typeof option === "number"),
    mayBeEmpty: (kind === "text" || kind === "lines") && !schema["format"] && !schema["nullable"],
    nullable: schema["nullable"] === true,
    label: String(schema["title"] ?? path[path.length - 1]).replaceAll("_", " "),
    help: helpOf(schema),
    section: typeof schema["section"] === "string" ? schema["section"] : "",
    options: options.map(String),
    shown: Object.fromEntries(Object.entries(schema["values_display"] ?? {}).map(([value, text]) => [value, String(text)])),
    start: startOf(kind, listed && Array.isArray(start) ? start[0] : start),
  };
}

/** What the author says of it, as text: `description_md` as it is written; `description_html` without its tags. */
function helpOf(schema: Schema): string {
  const given = schema["description_md"] ?? schema["description"];
  if (given !== undefined && given !== null) return String(given);
  return String(schema["description_html"] ?? "").replace(/<[^>]*>/g, " ").replace(/\s+/g, " ").trim();
}

/** The fields by their sections, each where its first field stands; those without a section come first. */
export function sectionsOf(fields: Field[]): [string, Field[]][] {
  const names = [...new Set(fields.map((field) => field.section))].sort((a, b) => Number(a !== "") - Number(b !== ""));
  return names.map((name) => [name, fields.filter((field) => field.section === name)]);
}

/** What may be said, or, for texts and lists of them, what is proposed. */
function optionsOf(schema: Schema): unknown[] {
  const given = schema["enum"] ?? (schema["type"] === "string" || schema["type"] === "array" ? schema["examples"] : null);
  return Array.isArray(given) ? given : [];
}

const SIMPLE = new Set(["string", "number"]);

function kindOf(schema: Schema, options: unknown[], isList: boolean, listed: boolean): Kind {
  const simple = options.length > 0 && options.every((option) => typeof option === "string");
  if (simple && isList) return listed ? "choice" : "choices";
  if (schema["enum"] && options.length > 0 && options.every((option) => SIMPLE.has(typeof option))) return "choice";
  if (schema["type"] === "boolean") return "flag";
  if (schema["type"] === "integer" || schema["type"] === "number") return "number";
  if (schema["type"] !== "string") return "json";
  if (schema["format"] === "date") return "date";
  return schema["format"] === "multiline" ? "lines" : "text";
}

function startOf(kind: Kind, given: unknown): Field["start"] {
  if (kind === "flag") return given === true;
  if (kind === "choices") return Array.isArray(given) ? given.map(String) : [];
  if (given === undefined || given === null) return "";
  return kind === "json" ? JSON.stringify(given) : String(given);
}

/** The answer; fields left empty that need no value are left out. The error names the field. */
export function answerOf(fields: Field[], values: Values): { answer: Schema } | { error: string } {
  const answer: Schema = {};
  for (const field of fields) {
    const value = values[nameOf(field)] ?? field.start;
    if (value === "" && !(field.required && field.mayBeEmpty)) {
      if (field.nullable && (field.required || field.start !== "")) {
        put(answer, field.path, null);
        continue;
      }
      if (field.required) return { error: `${field.label}: a value is needed.` };
      if (!field.mayBeEmpty) continue;
    }
    let said: unknown = value;
    if (field.kind === "number" || (field.kind === "choice" && field.numeric)) said = Number(value);
    if (field.kind === "json") {
      try {
        said = JSON.parse(String(value));
      } catch {
        return { error: `${field.label}: write JSON; a text stands in quotes.` };
      }
    }
    put(answer, field.path, field.listed ? [said] : said);
  }
  return { answer };
}

function put(into: Schema, path: string[], value: unknown): void {
  const [first = "", ...rest] = path;
  if (rest.length === 0) into[first] = value;
  else put((into[first] ??= {}) as Schema, rest, value);
}
