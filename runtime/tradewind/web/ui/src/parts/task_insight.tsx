/** What is behind a task instance: why it waits, what it has published, what it keeps. Nothing where there is nothing. */
import { looks, type InstanceRef } from "../api/looks";
import type { TaskInstance } from "../api/types";
import { isFinal } from "../logic/states";
import { timesIn } from "../logic/times";
import { useFetched } from "../state/fetched";
import { useZone } from "../state/zone";
import { Failed } from "./shown";
import { Distance, Time } from "./time";
import { Values } from "./values";

interface Props {
  of: InstanceRef;
  instance: TaskInstance;
  /** Another value whenever something about the run has changed. */
  news: unknown;
  /** The same for what its tasks publish. */
  told: number;
}

export function TaskInsight({ of, instance, news, told }: Props) {
  const key = [of.dagId, of.runId, of.taskId, of.mapIndex].join("\n");
  return (
    <>
      {waits(instance) && <WhyWaiting key={`why ${key}`} of={of} news={news} />}
      <Published key={`told ${key}`} of={of} news={`${told} ${instance.try_number}`} />
      <Kept key={`kept ${key}`} of={of} news={`${instance.state} ${instance.try_number}`} />
    </>
  );
}

/** Whether there is a reason to be told. */
export const waits = (instance: TaskInstance): boolean =>
  !isFinal(instance.state) && instance.state !== "running" && instance.state !== "restarting";

function WhyWaiting({ of, news }: { of: InstanceRef; news: unknown }) {
  const zone = useZone();
  const found = useFetched("", (signal) => looks.reasons(of, signal), news);
  const { value } = found;
  if (!value?.length) return <Failed of={found} what="Why it waits could not be fetched" />;
  return (
    <section className="hint hint-plain" aria-label="Why it waits">
      <strong>Why it waits</strong>
      <ul>{value.map((reason) => <li key={reason}>{timesIn(reason, zone)}</li>)}</ul>
    </section>
  );
}

function Published({ of, news }: { of: InstanceRef; news: unknown }) {
  const found = useFetched("", (signal) => looks.published(of, signal), news);
  const { value } = found;
  if (!value?.items.length) return <Failed of={found} what="What it has published could not be fetched" />;
  const lines = value.items.map((one) => ({ name: one.name, value: one.value, at: <Distance at={one.timestamp} /> }));
  return <Values label="Published" lines={lines} />;
}

function Kept({ of, news }: { of: InstanceRef; news: unknown }) {
  const found = useFetched("", (signal) => looks.keptByTask(of, signal), news);
  const { value } = found;
  if (!value?.items.length) return <Failed of={found} what="What it keeps could not be fetched" />;
  const lines = value.items.map((one) => ({
    name: one.key, value: one.value, at: <Distance at={one.updated_at} />,
    more: one.expires_at && <span className="faint"> until <Time at={one.expires_at} /></span>,
  }));
  return <Values label="Kept across tries" lines={lines} />;
}
