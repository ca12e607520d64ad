import { describe, expect, it } from "vitest";
import { answerOf, fieldsOf, sectionsOf } from "./form";

const schema = {
  type: "object",
  required: ["chosen_options", "params_input", "ok"],
  $defs: { Level: { type: "string", enum: ["low", "high"] } },
  properties: {
    chosen_options: { type: "array", maxItems: 1, items: { type: "string", enum: ["Approve", "Reject"] }, default: ["Reject"] },
    many: { type: "array", items: { type: "string", enum: ["a", "b"] } },
    level: { $ref: "#/$defs/Level", default: "low" },
    ok: { type: "boolean" },
    params_input: {
      type: "object",
      required: ["n"],
      properties: {
        day: { anyOf: [{ type: "string", format: "date" }, { type: "null" }], default: null },
        until: { type: ["null", "string"], format: "date", default: "2026-01-01" },
        size: { type: ["number", "null"] },
        n: { type: "integer", title: "How many" }, note: { type: "string", default: "x" }, more: {},
      },
    },
  },
};

describe("a form made of a schema", () => {
  const fields = fieldsOf(schema);

  it("has a field for each value, those of inner objects too", () => {
    expect(fields.map((field) => [field.path.join("."), field.kind, field.start])).toEqual([
      ["chosen_options", "choice", "Reject"],
      ["many", "choices", []],
      ["level", "choice", "low"],
      ["ok", "flag", false],
      ["params_input.day", "date", ""],
      ["params_input.until", "date", "2026-01-01"],
      ["params_input.size", "number", ""],
      ["params_input.n", "number", ""],
      ["params_input.note", "text", "x"],
      ["params_input.more", "json", ""],
    ]);
    expect(fields[7]?.label).toBe("How many");
  });

  it("has its fields under their sections", () => {
    const some = fieldsOf({ properties: { a: { section: "Where" }, b: {}, c: { section: "How" }, d: { section: "Where", description_html: "<b>bold</b> words" } } });
    expect(sectionsOf(some).map(([name, part]) => [name, part.map((field) => field.label)])).toEqual([
      ["", ["b"]], ["Where", ["a", "d"]], ["How", ["c"]],
    ]);
    expect(some[3]?.help).toBe("bold words");
  });

  it("gives the answer that the schema wants", () => {
    expect(answerOf(fields, { many: ["b"], "params_input.n": "3", "params_input.more": "[1]" })).toEqual({
      answer: { chosen_options: ["Reject"], many: ["b"], level: "low", ok: false, params_input: { until: "2026-01-01", n: 3, note: "x", more: [1] } },
    });
  });

  it("says null where a field that may be null is emptied", () => {
    const [field] = fieldsOf({ properties: { until: { type: ["null", "string"], default: "soon" } } });
    expect(field && [answerOf([field], { until: "" }), answerOf([field], {})]).toEqual([
      { answer: { until: null } }, { answer: { until: "soon" } },
    ]);
    const [needed] = fieldsOf({ required: ["n"], properties: { n: { type: ["integer", "null"] } } });
    expect(needed && answerOf([needed], {})).toEqual({ answer: { n: null } });
  });

  it("names the field in which something is missing or wrong", () => {
    expect(answerOf(fields, {})).toEqual({ error: "How many: a value is needed." });
    expect(answerOf(fields, { "params_input.n": "3", "params_input.more": "{" })).toEqual({
      error: "more: write JSON; a text stands in quotes.",
    });
  });
});
