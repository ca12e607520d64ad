/** Starts a run by hand: with a configuration, and with 'unpause and run?' where the DAG is paused. */
import { useEffect, useRef, useState, type FormEvent } from "react";
import { api, isPausedAnswer, type TriggerRequest } from "../api/client";
import type { DagRun } from "../api/types";
import { defaultConf, parseConf } from "../logic/conf";
import { tell } from "../state/notices";
import { zoneName } from "../state/zone";
import { CloseIcon, PlayIcon } from "./icons";
import { Problem } from "./problem";

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
  const [when, setWhen] = useState("");
  const [runId, setRunId] = useState("");
  const [partition, setPartition] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<unknown>(null);
  const touched = useRef(false);

  useEffect(() => box.current?.showModal(), []);
  useEffect(() => {
    const stop = new AbortController();
    api.dag(dagId, stop.signal).then((dag) => {
      if (!touched.current) setConf(defaultConf(dag.params));
    }, () => undefined); // Without the defaults the box starts empty, which is right too.
    return () => stop.abort();
  }, [dagId]);

  const parsed = parseConf(conf);
  const submit = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    if ("error" in parsed || busy) return;
    setBusy(true);
    setProblem(null);
    const request: TriggerRequest = { conf: parsed.conf, unpause: isPaused, runId: runId.trim(), partitionKey: partition.trim() };
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
        <label className="field">
          <span>Configuration (JSON)</span>
          <textarea rows={7} spellCheck={false} autoFocus value={conf} aria-invalid={"error" in parsed}
            aria-describedby="conf-help"
            onChange={(event) => { touched.current = true; setConf(event.target.value); }} />
          <small id="conf-help" className={"error" in parsed ? "bad" : ""} role={"error" in parsed ? "alert" : undefined}>
            {"error" in parsed ? parsed.error : "Tasks read it as dag_run.conf; it also sets params of the same name."}
          </small>
        </label>
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
          <button type="submit" className="primary" disabled={"error" in parsed || busy}>
            <PlayIcon />{isPaused ? "Unpause and run" : "Trigger"}
          </button>
        </div>
      </form>
    </dialog>
  );
}
