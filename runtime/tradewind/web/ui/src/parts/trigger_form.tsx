/** Starts a run by hand: with the DAG's params as a form, or JSON, and with 'unpause and run?' where it is paused. */
import { useEffect, useRef, useState, type FormEvent } from "react";
import { api, isPausedAnswer, type TriggerRequest } from "../api/client";
import type { DagRun } from "../api/types";
import { defaultConf, paramFields, parseConf, type Conf } from "../logic/conf";
import { answerOf, nameOf, type Field, type Values } from "../logic/form";
import { tell } from "../state/notices";
import { zoneName } from "../state/zone";
import { FormField } from "./form_field";
import { CloseIcon, PlayIcon } from "./icons";
import { Loading, Problem } from "./problem";

export interface TriggerProps {
  dagId: string;
  paused: boolean;
  close: () => void;
  started: (run: DagRun, unpaused: boolean) => void;
}

export function TriggerForm({ dagId, paused, close, started }: TriggerProps) {
  const box = useRef<HTMLDialogElement>(null);
  const [isPaused, setIsPaused] = useState(paused);
  const [conf, setConf] = useState("{}");
  const [known, setKnown] = useState(false); // Until the params are, there is nothing to fill in that could be replaced.
  const [fields, setFields] = useState<Field[]>([]);
  const [values, setValues] = useState<Values>({});
  const [asJson, setAsJson] = useState(false);
  const [when, setWhen] = useState("");
  const [runId, setRunId] = useState("");
  const [partition, setPartition] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<unknown>(null);

  useEffect(() => box.current?.showModal(), []);
  useEffect(() => {
    const stop = new AbortController();
    api.dag(dagId, stop.signal).then((dag) => {
      setConf(defaultConf(dag.params));
      setFields(paramFields(dag.params));
      setKnown(true);
    }, () => setKnown(!stop.signal.aborted)); // Without the defaults the box starts empty, which is right too.
    return () => stop.abort();
  }, [dagId]);

  const inForm = fields.length > 0 && !asJson;
  useEffect(() => {
    if (inForm) box.current?.querySelector<HTMLElement>(".params :is(input, select, textarea)")?.focus();
  }, [inForm]);
  const parsed = parseConf(conf);
  const unready = !known || (!inForm && "error" in parsed);
  const submit = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    if (unready || busy) return;
    const said = inForm ? filledIn(fields, values) : parsed;
    if ("error" in said) return setProblem(new Error(said.error));
    setBusy(true);
    setProblem(null);
    const request: TriggerRequest = { conf: said.conf, unpause: isPaused, runId: runId.trim(), partitionKey: partition.trim() };
    if (when) request.logicalDate = new Date(when).toISOString();
    try {
      const run = await api.trigger(dagId, request);
      tell("done", `Run ${run.dag_run_id} of ${dagId} was triggered.`);
      started(run, isPaused);
    } catch (cause) {
      if (isPausedAnswer(cause)) setIsPaused(true);
      else setProblem(cause);
      setBusy(false);
    }
  };

  const toJson = (): void => {
    const said = filledIn(fields, values);
    if ("error" in said) return setProblem(new Error(said.error));
    setProblem(null);
    setConf(JSON.stringify(said.conf, null, 2));
    setAsJson(true);
  };

  return (
    <dialog ref={box} className="dialog" aria-labelledby="trigger-title" onClose={close}>
      <form method="dialog" onSubmit={(event) => void submit(event)}>
        <div className="dialog-head">
          <h2 id="trigger-title">Trigger {dagId}</h2>
          <button type="button" className="quiet icon-only" aria-label="Close" onClick={close}><CloseIcon /></button>
        </div>
        {isPaused && (
          <div className="hint hint-warn" role="status">
            <strong>This DAG is paused. Unpause and run?</strong>
            <p>A paused DAG starts no runs. Unpausing it also lets its schedule start runs again.</p>
          </div>
        )}
        {inForm && (
          <div className="params" role="group" aria-label="Params">
            {fields.map((field) => (
              <FormField key={nameOf(field)} of={field} value={values[nameOf(field)] ?? field.start}
                change={(value) => setValues({ ...values, [nameOf(field)]: value })} />
            ))}
          </div>
        )}
        {!known && <Loading what="the params" />}
        {known && !inForm && <ConfBox conf={conf} error={"error" in parsed ? parsed.error : null} change={setConf} />}
        {inForm && <button type="button" className="as-link" onClick={toJson}>Write it as JSON</button>}
        <details className="more">
          <summary>More options</summary>
          <label className="field">
            <span>Logical date ({zoneName("local")})</span>
            <input type="datetime-local" step="1" value={when} onChange={(event) => setWhen(event.target.value)} />
            <small>Left empty, it is now.</small>
          </label>
          <label className="field">
            <span>Run id</span>
            <input type="text" value={runId} spellCheck={false} onChange={(event) => setRunId(event.target.value)} />
            <small>Left empty, one is made from the date.</small>
          </label>
          <label className="field">
            <span>Partition key</span>
            <input type="text" value={partition} spellCheck={false} onChange={(event) => setPartition(event.target.value)} />
            <small>Which part of the data the run is about; tasks read it as partition_key.</small>
          </label>
        </details>
        {problem !== null && <Problem what="The run was not triggered" cause={problem} />}
        <div className="dialog-foot">
          <button type="button" onClick={close}>Cancel</button>
          <button type="submit" className="primary" disabled={unready || busy}>
            <PlayIcon />{isPaused ? "Unpause and run" : "Trigger"}
          </button>
        </div>
      </form>
    </dialog>
  );
}

function filledIn(fields: Field[], values: Values): { conf: Conf } | { error: string } {
  const said = answerOf(fields, values);
  return "error" in said ? said : { conf: said.answer };
}

interface ConfProps {
  conf: string;
  error: string | null;
  change: (conf: string) => void;
}

function ConfBox({ conf, error, change }: ConfProps) {
  return (
    <label className="field">
      <span>Configuration (JSON)</span>
      <textarea rows={7} spellCheck={false} autoFocus value={conf} aria-invalid={error !== null} aria-describedby="conf-help"
        onChange={(event) => change(event.target.value)} />
      <small id="conf-help" className={error !== null ? "bad" : ""} role={error !== null ? "alert" : undefined}>
        {error ?? "Tasks read it as dag_run.conf; it also sets params of the same name."}
      </small>
    </label>
  );
}
