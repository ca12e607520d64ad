/** Makes or changes a connection, a variable or a pool. */
import { useEffect, useId, useRef, useState, type FormEvent } from "react";
import { api } from "../api/client";
import { bodyOf, startOf, type Field, type Row, type Shape } from "../logic/named";
import { tell } from "../state/notices";
import { CloseIcon } from "./icons";
import { Problem } from "./problem";

interface Props {
  shape: Shape;
  before: Row | null;
  close: () => void;
  saved: () => void;
}

type Typed = Record<string, string | boolean>;

export function NamedForm({ shape, before, close, saved }: Props) {
  const box = useRef<HTMLDialogElement>(null);
  const [typed, setTyped] = useState<Typed>(() =>
    Object.fromEntries(shape.fields.map((field) => [field.name, startOf(field, before)])));
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<unknown>(null);
  useEffect(() => box.current?.showModal(), []);

  const submit = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    if (busy) return;
    setBusy(true);
    setProblem(null);
    try {
      const name = String(before ? before[shape.key] : typed[shape.key]);
      const body = bodyOf(shape, typed, before);
      if (before) await api.changeNamed(shape.kind, name, body);
      else await api.makeNamed(shape.kind, body);
      tell("done", `The ${shape.one} ${name} was ${before ? "changed" : "made"}.`);
      saved();
    } catch (cause) {
      setProblem(cause);
      setBusy(false);
    }
  };

  const title = before ? `Change ${String(before[shape.key])}` : `New ${shape.one}`;
  return (
    <dialog ref={box} className="dialog" aria-labelledby="named-title" onClose={close}>
      <form method="dialog" onSubmit={(event) => void submit(event)}>
        <div className="dialog-head">
          <h2 id="named-title">{title}</h2>
          <button type="button" className="quiet icon-only" aria-label="Close" onClick={close}><CloseIcon /></button>
        </div>
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
    </dialog>
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
