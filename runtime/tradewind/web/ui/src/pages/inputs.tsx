/** What tasks ask people: each question with a form made of its schema. */
import { useEffect, useRef, useState, type FormEvent } from "react";
import { api, type HumanInput, type Query } from "../api/client";
import { answerOf, fieldsOf, nameOf, type Values } from "../logic/form";
import { useLeft } from "../parts/dialog";
import { FormField } from "../parts/form_field";
import { Empty, Problem, sentence } from "../parts/problem";
import { Shown } from "../parts/shown";
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
  const where = { dag_id: query.get("dag_id"), dag_run_id: query.get("dag_run_id"), task_id: query.get("task_id") };
  return (
    <div className="page">
      <div className="page-head">
        <h1>Waiting for people</h1>
        {(where.dag_id ?? where.task_id) && <Link to="inputs">Show all</Link>}
      </div>
      <Questions key={JSON.stringify(where)} where={where} />
    </div>
  );
}

function Questions({ where }: { where: Query }) {
  const [answers, setAnswers] = useState(0);
  const [sweeps, setSweeps] = useState(0);
  const [begun, setBegun] = useState<ReadonlyMap<string, HumanInput>>(new Map());
  const answered = useRef(new Map<string, number>());
  const news = `${useNews(NEWS)} ${answers} ${sweeps}`;
  const found = useFetched("", async (signal) => ({ since: performance.now(), ...(await api.inputs(where, signal)) }), news);
  useEffect(() => {
    const timer = setInterval(() => setSweeps((before) => before + 1), SWEEP_MS);
    return () => clearInterval(timer);
  }, []);
  const begin = (one: HumanInput): void => setBegun((before) => new Map(before).set(keyOf(one), one));
  const drop = (one: HumanInput): void => setBegun((before) => new Map([...before].filter(([key]) => key !== keyOf(one))));
  const done = (one: HumanInput): void => {
    answered.current.set(keyOf(one), performance.now());
    drop(one);
    setAnswers((before) => before + 1);
  };
  return (
    <Shown of={found} what="the questions" failed="The questions can't be shown">
      {({ items, total, since }) => {
        // An answer that was on its way when the question was answered still has it.
        const asked = items.filter((one) => (answered.current.get(keyOf(one)) ?? -1) < since);
        const gone = [...begun].filter(([key]) => !asked.some((one) => keyOf(one) === key)).map(([, one]) => one);
        return (
          <>
            {asked.length + gone.length === 0 && <Empty title="Nobody is asked anything"><p>Tasks that ask with <code>ctx.ask</code> or <code>HITLOperator</code> show here.</p></Empty>}
            {[...asked, ...gone].map((one) => (
              <Question key={keyOf(one)} of={one} gone={gone.includes(one)} begin={() => begin(one)} drop={() => drop(one)} done={() => done(one)} />
            ))}
            {total > items.length && <p className="faint">{total - items.length} more are waiting.</p>}
          </>
        );
      }}
    </Shown>
  );
}

const keyOf = (one: HumanInput): string => [one.dag_id, one.dag_run_id, one.task_id, one.map_index, one.name].join("\n");

interface QuestionProps {
  of: HumanInput;
  /** It is asked no more, and something was filled in. */
  gone: boolean;
  begin: () => void;
  drop: () => void;
  done: () => void;
}

function Question({ of, gone, begin, drop, done }: QuestionProps) {
  const left = useLeft();
  const fields = fieldsOf(of.schema);
  const [values, setValues] = useState<Values>(() => Object.fromEntries(fields.map((field) => [nameOf(field), field.start])));
  const [problem, setProblem] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const submit = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    if (busy || gone) return;
    const said = answerOf(fields, values);
    if ("error" in said) return setProblem(new Error(said.error));
    setBusy(true);
    setProblem(null);
    try {
      await api.answerInput(of, said.answer);
      tell("done", `Answered: ${of.subject}`);
      done();
    } catch (cause) {
      if (left()) tell("problem", sentence(`The answer to “${of.subject}” was not taken`, cause));
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
            change={(value) => {
              setValues((old) => ({ ...old, [nameOf(field)]: value }));
              begin();
            }} />
        ))}
        {gone && !busy && (
          <div className="hint hint-warn" role="alert">
            <strong>This is asked no more.</strong> Somebody else has answered, or the task goes on without. What you wrote was not sent.{" "}
            <button type="button" onClick={drop}>Put it away</button>
          </div>
        )}
        {problem !== null && <Problem what="The answer was not taken" cause={problem} />}
        <button type="submit" className="primary" disabled={busy || gone}>Answer</button>
      </form>
    </section>
  );
}
