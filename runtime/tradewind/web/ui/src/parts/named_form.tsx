/** Makes or changes a connection, a variable or a pool. */
import { useEffect, useId, useState, type FormEvent } from "react";
import { api } from "../api/client";
import { bodyOf, startOf, type Field, type Row, type Shape } from "../logic/named";
import { tell } from "../state/notices";
import { Dialog, useLeft } from "./dialog";
import { Loading, Problem, sentence } from "./problem";

interface Props {
  shape: Shape;
  /** Which entry is changed; null for a new one. */
  name: string | null;
  close: () => void;
  /** Something was stored, whether or not anybody still looks at the dialog. */
  stored: (name: string) => void;
}

type Typed = Record<string, string | boolean>;

/** The dialog opens at once; what there is to change comes into it. */
export function NamedForm({ shape, name, close, stored }: Props) {
  const [before, setBefore] = useState<Row | null>(null);
  const [problem, setProblem] = useState<unknown>(null);
  useEffect(() => {
    if (name === null) return undefined;
    const stop = new AbortController();
    api.namedEntry(shape.kind, name, stop.signal).then(setBefore, (cause: unknown) => { if (!stop.signal.aborted) setProblem(cause); });
    return () => stop.abort();
  }, [shape.kind, name]);
  return (
    <Dialog title={name === null ? `New ${shape.one}` : `Change ${name}`} close={close}>
      {problem !== null && <Problem what="It cannot be opened" cause={problem} />}
      {problem === null && name !== null && before === null && <Loading what={name} />}
      {(name === null || before !== null) && <Fields shape={shape} before={before} close={close} stored={stored} />}
    </Dialog>
  );
}

interface FieldsProps {
  shape: Shape;
  before: Row | null;
  close: () => void;
  stored: (name: string) => void;
}

function Fields({ shape, before, close, stored }: FieldsProps) {
  const left = useLeft();
  const [typed, setTyped] = useState<Typed>(() =>
    Object.fromEntries(shape.fields.map((field) => [field.name, startOf(field, before)])));
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<unknown>(null);

  const submit = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    if (busy) return;
    setBusy(true);
    setProblem(null);
    const name = String(before ? before[shape.key] : typed[shape.key]);
    try {
      const body = bodyOf(shape, typed, before);
      if (before) await api.changeNamed(shape.kind, name, body);
      else await api.makeNamed(shape.kind, body);
      tell("done", `The ${shape.one} ${name} was ${before ? "changed" : "made"}.`);
      stored(name);
      if (!left()) close();
    } catch (cause) {
      if (left()) return tell("problem", sentence(`The ${shape.one} ${name} was not stored`, cause));
      setProblem(cause);
      setBusy(false);
    }
  };

  return (
    <form method="dialog" onSubmit={(event) => void submit(event)}>
      {shape.fields.map((field) => (
        <Input key={field.name} field={field} fixed={before !== null && field.name === shape.key}
          value={typed[field.name] ?? ""} kept={before !== null && field.type === "password"}
          change={(value) => setTyped((old) => ({ ...old, [field.name]: value }))} />
      ))}
      {problem !== null && <Problem what="Nothing was stored" cause={problem} />}
      <div className="dialog-foot">
        <button type="button" onClick={close}>Cancel</button>
        <button type="submit" className="primary" disabled={busy}>Save</button>
      </div>
    </form>
  );
}

interface InputProps {
  field: Field;
  value: string | boolean;
  fixed: boolean;
  /** There is a value that is not shown; left empty, it stays. */
  kept: boolean;
  change: (value: string | boolean) => void;
}

function Input({ field, value, fixed, kept, change }: InputProps) {
  const id = useId();
  if (field.type === "flag") {
    return (
      <label className="check">
        <input type="checkbox" checked={value === true} onChange={(event) => change(event.target.checked)} />
        {field.label}
      </label>
    );
  }
  const text = String(value);
  const help = kept ? "Left empty, it stays as it is." : field.help;
  return (
    <label className="field">
      <span>{field.label}</span>
      {field.type === "long"
        ? <textarea rows={4} spellCheck={false} value={text} onChange={(event) => change(event.target.value)} />
        : <input type={field.type} value={text} required={field.required ?? false} disabled={fixed} spellCheck={false}
            list={field.usual ? `${id}-usual` : undefined}
            autoComplete={field.type === "password" ? "new-password" : "off"}
            onChange={(event) => change(event.target.value)} />}
      {field.usual && <datalist id={`${id}-usual`}>{field.usual.map((one) => <option key={one} value={one} />)}</datalist>}
      {help && <small>{help}</small>}
    </label>
  );
}
