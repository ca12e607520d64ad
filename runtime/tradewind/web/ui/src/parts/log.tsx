/** The log of an attempt. While it is written, new lines come in at the foot and the view goes with them. */
import { memo, useLayoutEffect, useMemo, useRef, useState } from "react";
import { api, ApiError, type AttemptRef } from "../api/client";
import type { LogChunk, LogLine } from "../logic/log_lines";
import { clockTime } from "../logic/times";
import { AttemptLog } from "../state/attempt_log";
import { tell } from "../state/notices";
import { useObserved } from "../state/observed";
import { useZone } from "../state/zone";
import { Copy } from "./copy";
import { DownloadIcon } from "./icons";
import { Empty, Loading, Problem, sentence } from "./problem";

const NEAR_END_PX = 24;

interface Props {
  of: AttemptRef;
  /** Told when somebody begins and ends to read further up, where the view does not go with the new lines. */
  reads: (further: boolean) => void;
}

export function Log({ of, reads }: Props) {
  const { dagId, runId, taskId, mapIndex, tryNumber } = of;
  const log = useMemo(
    () => new AttemptLog({ dagId, runId, taskId, mapIndex, tryNumber }), [dagId, runId, taskId, mapIndex, tryNumber],
  );
  useObserved(log);
  const [following, setFollowing] = useState(true);
  const follow = (next: boolean): void => {
    setFollowing(next);
    reads(!next);
  };
  const [wrap, setWrap] = useState(true);
  return (
    <section className="log-card" aria-label="Log">
      <div className="log-head">
        <LogPhase log={log} />
        <span className="spacer" />
        <label className="check"><input type="checkbox" checked={following} onChange={(e) => follow(e.target.checked)} /> Follow</label>
        <label className="check"><input type="checkbox" checked={wrap} onChange={(e) => setWrap(e.target.checked)} /> Wrap lines</label>
        <Copy what="log" text={() => api.log(log.of)} label="Copy" />
        <button type="button" className="small" onClick={() => void download(log.of)}><DownloadIcon />Download</button>
      </div>
      <LogProblem log={log} />
      {log.lines.total > 0 && (
        <Lines chunks={log.lines.chunks} dropped={log.lines.dropped} wrap={wrap} following={following} follow={follow}
          label={`Log of ${taskId}, attempt ${tryNumber}`} />
      )}
      {log.lines.total === 0 && log.problem === null && log.phase === "opening" && <Loading what="the log" />}
      {log.lines.total === 0 && log.problem === null && log.phase !== "opening" && (
        <Empty title={log.phase === "ended" ? "This attempt wrote nothing" : "Nothing written yet"}>
          {log.phase === "ended" ? <p>What a task prints or logs stands here.</p> : <p>Lines show here as they are written.</p>}
        </Empty>
      )}
    </section>
  );
}

function LogPhase({ log }: { log: AttemptLog }) {
  const zone = useZone();
  const words = { opening: "Opening…", following: "Live", ended: "Complete", broken: "Interrupted" }[log.phase];
  return (
    <span className={`log-phase phase-${log.phase}`} role="status">
      <i aria-hidden="true" />{words} · {log.lines.total} {log.lines.total === 1 ? "line" : "lines"}
      <span className="faint"> · times in {zone}</span>
    </span>
  );
}

function LogProblem({ log }: { log: AttemptLog }) {
  if (log.problem === null) return null;
  if (log.problem instanceof ApiError && log.problem.status === 404) {
    return <Empty title="There is no log of this attempt"><p>{log.problem.detail || "It has not begun, or its log was deleted."}</p></Empty>;
  }
  return <Problem what="The log could not be read" cause={log.problem} />;
}

interface LinesProps {
  chunks: readonly LogChunk[];
  dropped: number;
  wrap: boolean;
  following: boolean;
  follow: (follow: boolean) => void;
  label: string;
}

function Lines({ chunks, dropped, wrap, following, follow, label }: LinesProps) {
  const box = useRef<HTMLDivElement>(null);
  const sheet = useRef<HTMLDivElement>(null);
  const lastTop = useRef(0);
  const held = useRef(false);
  // Lines out of view have a guessed height; the true one comes when they are drawn, which is after the view went there.
  useLayoutEffect(() => {
    const element = box.current;
    if (!element || !sheet.current || !following) return;
    held.current = true;
    const toEnd = (): void => {
      if (!held.current) return;
      element.scrollTop = element.scrollHeight;
      lastTop.current = element.scrollTop;
    };
    toEnd();
    const resized = new ResizeObserver(toEnd);
    resized.observe(sheet.current);
    return () => resized.disconnect();
  }, [chunks, following, wrap]);
  const onScroll = (): void => {
    const element = box.current;
    if (!element) return;
    const up = element.scrollTop < lastTop.current - 2;
    const atEnd = element.scrollHeight - element.scrollTop - element.clientHeight < NEAR_END_PX;
    lastTop.current = element.scrollTop;
    if (atEnd && !following) follow(true);
    else if (up && !atEnd && following) {
      held.current = false; // at once: heights may change before the new state is drawn
      follow(false);
    }
  };
  return (
    <div ref={box} className={`log${wrap ? " wrap" : ""}`} role="log" aria-live="off" aria-label={label} tabIndex={0} onScroll={onScroll}
      onKeyDown={(event) => { if (event.key === "End") follow(true); }}>
      <div ref={sheet}>
        {dropped > 0 && <p className="log-dropped">The first {dropped} lines are not shown here. Download the log to read them.</p>}
        {chunks.map((chunk) => <Chunk key={chunk.first} lines={chunk.lines} />)}
      </div>
    </div>
  );
}

const Chunk = memo(function Chunk({ lines }: { lines: LogLine[] }) {
  const zone = useZone();
  return (
    <div className="chunk">
      {lines.map((line) => {
        const level = line.level?.toLowerCase() ?? "";
        return (
          <div key={line.number} className={`line lv-${level} from-${line.stream ?? "log"}`} title={line.logger ?? undefined}>
            <span className="ln">{line.number}</span>
            {line.ts && <time dateTime={line.ts}>{clockTime(line.ts, zone)}</time>}
            <span className="lv">{line.stream && line.stream !== "log" ? line.stream : level.toUpperCase()}</span>
            <span className="msg">{line.message}</span>
          </div>
        );
      })}
    </div>
  );
});

/** Saves the whole log as a text file. */
async function download(of: AttemptRef): Promise<void> {
  try {
    const address = URL.createObjectURL(new Blob([await api.log(of)], { type: "text/plain" }));
    const link = document.createElement("a");
    link.href = address;
    link.download = `${of.dagId}-${of.taskId}-${of.runId}-${of.tryNumber}.log`.replace(/[^\w.+-]/g, "_");
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
  } catch (problem) {
    tell("problem", sentence("The log could not be downloaded", problem));
  }
}
