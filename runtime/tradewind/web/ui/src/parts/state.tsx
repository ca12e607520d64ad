import type { AnyState } from "../logic/states";
import { lookOf, shortCount, stateOf } from "../logic/states";

/** A state as a coloured word. */
export function StatePill({ state }: { state: AnyState | null }) {
  const look = lookOf(state);
  return <span className={`pill s-${stateOf(state)}`} title={look.meaning}><i aria-hidden="true" />{look.label}</span>;
}

/** A state as a small square with its sign; what it stands for is said by whoever contains it. */
export function Square({ state, count = 0 }: { state: AnyState | null; count?: number }) {
  const sign = count > 1 ? shortCount(count) : lookOf(state).sign;
  return <span className={`square s-${stateOf(state)}${sign.length > 2 ? " square-full" : ""}`} aria-hidden="true">{sign}</span>;
}
