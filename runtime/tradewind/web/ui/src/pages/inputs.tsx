/** What tasks ask people: each question with a form made of its schema. */
import { useEffect, useState, type FormEvent } from "react";
import { api, type HumanInput } from "../api/client";
import { answerOf, fieldsOf, nameOf, type Values } from "../logic/form";
import { FormField } from "../parts/form_field";
import { Empty, Loading, Problem } from "../parts/problem";
import { Time } from "../parts/time";
import { useTitle } from "../parts/title";
import { Link, to } from "../router";
import { useFetched, useNews } from "../state/fetched";
import { tell } from "../state/notices";

/** A task that asks is deferred, one that was answered goes on: either changes its state. */
const NEWS = ["task"] as const;
/** A server that carries no tasks hears of no changes. */
const SWEEP_MS = 30_000;

export function InputsPage({ query }: { query: URLSearchParams }) {
  useTitle("Waiting for people");
  const [answers, setAnswers] = useState(0);
  const [sweeps, setSweeps] = useState(0);
  const dagId = query.get("dag_id"), runId = query.get("dag_run_id"), taskId = query.get("task_id");
  const where = { dag_id: dagId, dag_run_id: runId, task_id: taskId };
  const news = `${useNews(NEWS)} ${answers} ${sweeps}`;
  const { value, problem, again } = useFetched(JSON.stringify(where), (signal) => api.inputs(where, signal), news);
  const asked = value?.items;
  useEffect(() => {
    const timer = setInterval(() => setSweeps((before) => before + 1), SWEEP_MS);
    return () => clearInterval(timer);
  }, []);
  return (
    <div className="page">
      <div className="page-head">
        <h1>Waiting for people</h1>
        {(dagId ?? taskId) && <Link to="inputs">Show all</Link>}
      </div>
      {problem !== null && <Problem what="The questions can't be shown" cause={problem} retry={again} />}
      {problem === null && !asked && <Loading what="the questions" />}
      {asked?.length === 0 && <Empty title="Nobody is asked anything"><p>Tasks that ask with <code>ctx.ask</code> or <code>HITLOperator</code> show here.</p></Empty>}
      {asked?.map((one) => <Question key={keyOf(one)} of={one} answered={() => setAnswers(answers + 1)} />)}
      {value && value.total > value.items.length && <p className="faint">{value.total - value.items.length} more are waiting.</p>}
    </div>
  );
}

const keyOf = (one: HumanInput): string => [one.dag_id, one.dag_run_id, one.task_id, one.map_index, one.name].join("\n");

function Question({ of, answered }: { of: HumanInput; answered: () => void }) {
  const fields = fieldsOf(of.schema);
  const [values, setValues] = useState<Values>(() => Object.fromEntries(fields.map((field) => [nameOf(field), field.start])));
  const [problem, setProblem] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const submit = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    const said = answerOf(fields, values);
    if ("error" in said) return setProblem(new Error(said.error));
    setBusy(true);
    setProblem(null);
    try {
      await api.answerInput(of, said.answer);
      tell("done", `Answered: ${of.subject}`);
      answered();
    } catch (cause) {
      setProblem(cause);
    }
    setBusy(false);
  };
  const title = `${of.task_id}${of.map_index >= 0 ? ` [${of.map_index}]` : ""}`;
  return (
    <section className="card panel" aria-label={of.subject}>
      <div className="panel-head">
        <h2>{of.subject}</h2>
        <span className="spacer" />
        <Link to={to(["dags", of.dag_id], { run: of.dag_run_id, task: of.task_id })}>{of.dag_id} · {title}</Link>
      </div>
      {of.to && <p className="faint">For {of.to}</p>}
      {of.respondents.length > 0 && <p className="faint">To be answered by {of.respondents.join(", ")}</p>}
      {of.deadline && <p className="faint">Until <Time at={of.deadline} precise /></p>}
      {of.body && <p className="answer-body">{of.body}</p>}
      <form className="answer" onSubmit={(event) => void submit(event)}>
        {fields.map((field) => (
          <FormField key={nameOf(field)} of={field} value={values[nameOf(field)] ?? field.start}
            change={(value) => setValues({ ...values, [nameOf(field)]: value })} />
        ))}
        {problem !== null && <Problem what="The answer was not taken" cause={problem} />}
        <button type="submit" className="primary" disabled={busy}>Answer</button>
      </form>
    </section>
  );
}
