/** One value of a form that is made of a JSON schema. */
import { useId } from "react";
import type { Field, Value } from "../logic/form";

interface Props {
  of: Field;
  value: Value;
  change: (value: Value) => void;
}

export function FormField({ of, value, change }: Props) {
  const id = useId();
  const list = of.kind === "text" && of.options.length > 0 ? id : undefined;
  if (of.kind === "choices") {
    const chosen = value as string[];
    return (
      <fieldset className="field choices">
        <legend>{of.label}</legend>
        {of.help && <small>{of.help}</small>}
        {of.options.map((option) => (
          <label key={option}>
            <input type="checkbox" checked={chosen.includes(option)} onChange={(event) =>
              change(event.target.checked ? [...chosen, option] : chosen.filter((other) => other !== option))} /> {option}
          </label>
        ))}
      </fieldset>
    );
  }
  if (of.kind === "flag") {
    return (
      <div className="field">
        <label className="check">
          <input type="checkbox" checked={value === true} onChange={(event) => change(event.target.checked)} /> {of.label}
        </label>
        {of.help && <small>{of.help}</small>}
      </div>
    );
  }
  return (
    <label className="field">
      <span>{of.label}</span>
      {of.kind === "choice" && (
        <select value={String(value)} onChange={(event) => change(event.target.value)}>
          {value === "" && <option value="">Choose…</option>}
          {of.options.map((option) => <option key={option} value={option}>{of.shown[option] ?? option}</option>)}
        </select>
      )}
      {of.kind === "number" && <input type="number" step="any" value={String(value)} onChange={(event) => change(event.target.value)} />}
      {of.kind === "date" && <input type="date" value={String(value)} onChange={(event) => change(event.target.value)} />}
      {of.kind === "text" && <input type="text" list={list} value={String(value)} onChange={(event) => change(event.target.value)} />}
      {of.kind === "lines" && <textarea rows={4} value={String(value)} onChange={(event) => change(event.target.value)} />}
      {of.kind === "json" && <textarea rows={3} spellCheck={false} value={String(value)} onChange={(event) => change(event.target.value)} />}
      {list && <datalist id={list}>{of.options.map((option) => <option key={option} value={option} />)}</datalist>}
      {of.help && <small>{of.help}</small>}
    </label>
  );
}
