/** Connections, variables and pools as tables and forms: which fields they have, and what a form sends. Pure. */

export type Kind = "connections" | "variables" | "pools";
export type Row = Record<string, string | number | boolean | null>;
type FieldType = "text" | "long" | "password" | "number" | "flag";

export interface Field {
  name: string;
  label: string;
  type: FieldType;
  help?: string;
  required?: boolean;
  /** What is usual; anything else may be typed too. */
  usual?: readonly string[];
}

export interface Shape {
  kind: Kind;
  title: string;
  one: string;
  /** The field that names an entry; it cannot be changed. */
  key: string;
  columns: readonly (readonly [string, string])[];
  fields: readonly Field[];
  about: string;
}

const DESCRIPTION: Field = { name: "description", label: "Description", type: "text" };

export const SHAPES: Record<Kind, Shape> = {
  connections: {
    kind: "connections", title: "Connections", one: "connection", key: "connection_id",
    about: "Addresses and credentials of other systems. Passwords go in and are never shown again.",
    columns: [["connection_id", "Id"], ["conn_type", "Type"], ["host", "Host"], ["port", "Port"], ["login", "Login"],
      ["description", "Description"]],
    fields: [
      { name: "connection_id", label: "Id", type: "text", required: true },
      { name: "conn_type", label: "Type", type: "text", required: true, help: "Pick one, or type another.",
        usual: ["aws", "azure", "docker", "fs", "ftp", "google_cloud_platform", "http", "kubernetes", "mongo", "mssql",
          "mysql", "oracle", "postgres", "redis", "sftp", "slack", "smtp", "snowflake", "spark", "sqlite", "ssh"] },
      { name: "host", label: "Host", type: "text" },
      { name: "port", label: "Port", type: "number" },
      { name: "login", label: "Login", type: "text" },
      { name: "password", label: "Password", type: "password" },
      { name: "schema", label: "Schema", type: "text", help: "The database's name; http or https for HTTP." },
      { name: "extra", label: "Extra (JSON)", type: "long" },
      DESCRIPTION,
    ],
  },
  variables: {
    kind: "variables", title: "Variables", one: "variable", key: "key",
    about: "Texts that DAGs share.",
    columns: [["key", "Key"], ["value", "Value"], ["description", "Description"]],
    fields: [
      { name: "key", label: "Key", type: "text", required: true },
      { name: "value", label: "Value", type: "long" },
      DESCRIPTION,
    ],
  },
  pools: {
    kind: "pools", title: "Pools", one: "pool", key: "name",
    about: "How many tasks of a kind run at once. A change counts at once.",
    columns: [["name", "Name"], ["slots", "Slots"], ["running_slots", "Running"], ["queued_slots", "Queued"],
      ["scheduled_slots", "Scheduled"], ["deferred_slots", "Deferred"], ["open_slots", "Open"],
      ["description", "Description"]],
    fields: [
      { name: "name", label: "Name", type: "text", required: true },
      { name: "slots", label: "Slots", type: "number", required: true, help: "-1: no limit." },
      { name: "include_deferred", label: "Deferred tasks count too", type: "flag" },
      DESCRIPTION,
    ],
  },
};

const SECRET = /password|passwd|passphrase|secret|token|api_?key|authorization|private_key|service_account/i;

/** What a table shows in a cell: values of variables with a secret's name stay hidden. */
export function shown(shape: Shape, row: Row, column: string): string {
  const value = row[column];
  if (value === null || value === undefined) return "";
  if (shape.kind === "variables" && column === "value" && SECRET.test(String(row["key"]))) return "***";
  const text = String(value);
  return text.length > 120 ? `${text.slice(0, 120)}…` : text;
}

/** What the form's texts are as a body. Of an entry that is there, only what was changed. */
export function bodyOf(shape: Shape, typed: Record<string, string | boolean>, before: Row | null): Row {
  const body: Row = {};
  for (const field of shape.fields) {
    const text = typed[field.name];
    if (before && (field.name === shape.key || text === startOf(field, before))) continue;
    if (field.type === "flag") body[field.name] = text === true;
    else if (field.type === "number") body[field.name] = text === "" ? null : Number(text);
    else if (text !== "" || before || field.name === "value") body[field.name] = text === "" && field.name !== "value" ? null : String(text);
  }
  for (const [name, value] of Object.entries(body)) if (value === null && !before) delete body[name];
  return body;
}

/** What a field of the form holds at first. */
export function startOf(field: Field, before: Row | null): string | boolean {
  const value = before?.[field.name];
  if (field.type === "flag") return value === true;
  return value === null || value === undefined ? "" : String(value);
}
