/** Starts a run by hand: with the DAG's params as a form, or JSON, and with 'unpause and run?' where it is paused. */
import { useEffect, useRef, useState, type FormEvent, type ReactNode } from "react";
import { api, isPausedAnswer, type TriggerRequest } from "../api/client";
import type { DagRun } from "../api/types";
import { defaultConf, paramFields, parseConf, type Conf } from "../logic/conf";
import { answerOf, nameOf, sectionsOf, type Field, type Values } from "../logic/form";
import { tell } from "../state/notices";
import { zoneName } from "../state/zone";
import { useLeft } from "./dialog";
import { FormField } from "./form_field";
import { PlayIcon } from "./icons";
import { Loading, Problem, sentence } from "./problem";

export interface TriggerProps {
  dagId: string;
  paused: boolean;
  close: () => void;
  started: (run: DagRun, unpaused: boolean) => void;
}

export function TriggerForm({ dagId, paused, close, started }: TriggerProps) {
  const box = useRef<HTMLFormElement>(null);
  const left = useLeft();
  const [isPaused, setIsPaused] = useState(paused);
  const [conf, setConf] = useState("{}");
  const [known, setKnown] = useState(false); // Until the params are, there is nothing to fill in that could be replaced.
  const [fields, setFields] = useState<Field[]>([]);
  const [values, setValues] = useState<Values>({});
  const [asJson, setAsJson] = useState(false);
  const [more, setMore] = useState<More>({ when: "", runId: "", partition: "" });
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<unknown>(null);
  const [unfetched, setUnfetched] = useState<unknown>(null);

  useEffect(() => {
    const stop = new AbortController();
    api.dag(dagId, stop.signal).then((dag) => {
      setConf(defaultConf(dag.params));
      setFields(paramFields(dag.params));
      setIsPaused(dag.is_paused === true);
      setKnown(true);
    }, (cause: unknown) => {
      if (stop.signal.aborted) return;
      setUnfetched(cause); // Without the defaults the box starts empty, which is right too.
      setKnown(true);
    });
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
    const request: TriggerRequest = { conf: said.conf, unpause: isPaused, runId: more.runId.trim(), partitionKey: more.partition.trim() };
    try {
      if (more.when) request.logicalDate = new Date(more.when).toISOString();
      const run = await api.trigger(dagId, request);
      tell("done", `Run ${run.dag_run_id} of ${dagId} was triggered.`);
      if (!left()) started(run, isPaused);
    } catch (cause) {
      if (left()) return tell("problem", sentence(`${dagId} was not triggered`, cause));
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
    <form ref={box} method="dialog" onSubmit={(event) => void submit(event)}>
      {isPaused && (
        <div className="hint hint-warn" role="status">
          <strong>This DAG is paused. Unpause and run?</strong>
          <p>A paused DAG starts no runs. Unpausing it also lets its schedule start runs again.</p>
        </div>
      )}
      {inForm && (
        <div className="params" role="group" aria-label="Params">
          <Sections fields={fields} draw={(field) => (
            <FormField key={nameOf(field)} of={field} value={values[nameOf(field)] ?? field.start}
              change={(value) => setValues((old) => ({ ...old, [nameOf(field)]: value }))} />
          )} />
        </div>
      )}
      {!known && <Loading what="the params" />}
      {unfetched !== null && <Problem what="The params could not be fetched" cause={unfetched} />}
      {known && !inForm && <ConfBox conf={conf} error={"error" in parsed ? parsed.error : null} change={setConf} />}
      {inForm && <button type="button" className="as-link" onClick={toJson}>Write it as JSON</button>}
      {known && <MoreOptions of={more} change={(one) => setMore((old) => ({ ...old, ...one }))} />}
      {problem !== null && <Problem what="The run was not triggered" cause={problem} />}
      <div className="dialog-foot">
        <button type="button" onClick={close}>Cancel</button>
        <button type="submit" className="primary" disabled={unready || busy}>
          <PlayIcon />{isPaused ? "Unpause and run" : "Trigger"}
        </button>
      </div>
    </form>
  );
}

/** Those that name a section stand together under its heading, and can be folded away. */
function Sections({ fields, draw }: { fields: Field[]; draw: (field: Field) => ReactNode }) {
  return sectionsOf(fields).map(([name, some]) => name === "" ? some.map(draw) : (
    // A field that the browser finds wrong cannot be shown by it while it is folded away.
    <details key={name} className="params-section" open onInvalidCapture={(event) => { event.currentTarget.open = true; }}>
      <summary>{name}</summary>
      {some.map(draw)}
    </details>
  ));
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

interface More {
  when: string;
  runId: string;
  partition: string;
}

function MoreOptions({ of, change }: { of: More; change: (one: Partial<More>) => void }) {
  return (
    <details className="more">
      <summary>More options</summary>
      <label className="field">
        <span>Logical date ({zoneName("local")})</span>
        <input type="datetime-local" step="1" value={of.when} onChange={(event) => change({ when: event.target.value })} />
        <small>Left empty, it is now.</small>
      </label>
      <label className="field">
        <span>Run id</span>
        <input type="text" value={of.runId} spellCheck={false} onChange={(event) => change({ runId: event.target.value })} />
        <small>Left empty, one is made from the date.</small>
      </label>
      <label className="field">
        <span>Partition key</span>
        <input type="text" value={of.partition} spellCheck={false} onChange={(event) => change({ partition: event.target.value })} />
        <small>Which part of the data the run is about; tasks read it as partition_key.</small>
      </label>
    </details>
  );
}
