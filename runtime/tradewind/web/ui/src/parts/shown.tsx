/** What was fetched, and above it what went wrong since: a page that somebody reads is not taken away by a failed refresh. */
import type { ReactNode } from "react";
import { ApiError } from "../api/client";
import type { Found } from "../state/fetched";
import { Loading, Problem } from "./problem";

interface Props<T> {
  of: Found<T>;
  /** What is being loaded, in words. */
  what: string;
  /** What to say where it could not be fetched. */
  failed: string;
  children: (value: T) => ReactNode;
}

export function Shown<T>({ of, what, failed, children }: Props<T>) {
  const { value, problem, again } = of;
  return (
    <>
      {problem !== null && <Problem what={failed} cause={problem} retry={again} />}
      {value !== null ? children(value) : problem === null && <Loading what={what} />}
    </>
  );
}

/** For small parts of a page that show nothing where there is nothing: says only that it could not be found out. */
export function Failed({ of, what }: { of: Found<unknown>; what: string }) {
  const { problem, again } = of;
  const expected = problem instanceof ApiError && (problem.status === 403 || problem.status === 404);
  return problem === null || expected ? null : <Problem what={what} cause={problem} retry={again} />;
}
