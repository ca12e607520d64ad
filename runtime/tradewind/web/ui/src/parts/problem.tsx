/** What went wrong, why, and what to do; and the friendlier sibling for 'nothing here yet'. */
import type { ReactNode } from "react";
import { ApiError } from "../api/client";
import { Link } from "../router";

interface Advice {
  why: string;
  then: string;
}

function adviceFor(cause: unknown): Advice {
  if (!(cause instanceof ApiError)) {
    return { why: cause instanceof Error ? cause.message : String(cause), then: "Load the page again; if it stays, report it with this text." };
  }
  const why = cause.detail ? `${cause.title}. ${cause.detail}` : `${cause.title}.`;
  if (cause.status === 0) return { why: `${cause.title}.`, then: cause.detail };
  if (cause.status === 403) return { why, then: "Ask an administrator for the role that allows it." };
  if (cause.status === 404) return { why, then: "It may have been deleted or renamed." };
  if (cause.status >= 500) return { why, then: "Try again; if it stays, look into the server's log." };
  return { why, then: "" };
}

/** One sentence for a message in the corner. */
export function sentence(what: string, cause: unknown): string {
  const { why, then } = adviceFor(cause);
  return [`${what}.`, why, then].filter(Boolean).join(" ");
}

export function Problem({ what, cause, retry }: { what: string; cause: unknown; retry?: (() => void) | undefined }) {
  const { why, then } = adviceFor(cause);
  return (
    <div className="problem" role="alert">
      <strong>{what}</strong>
      <p>{why}</p>
      {then && <p>{then}</p>}
      {retry && <button type="button" onClick={retry}>Try again</button>}
      {cause instanceof ApiError && cause.status === 404 && <Link to="dags">All DAGs</Link>}
    </div>
  );
}

export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return <div className="empty"><strong>{title}</strong>{children}</div>;
}

export const Loading = ({ what }: { what: string }) => <div className="loading" role="status">Loading {what}…</div>;
