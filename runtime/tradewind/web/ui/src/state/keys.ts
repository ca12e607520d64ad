import { useEffect, useRef } from "react";

/** Calls `act` when `key` is pressed alone, and not while something is being typed. */
export function useKey(key: string, act: () => void): void {
  const latest = useRef(act);
  latest.current = act;
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      const at = event.target as HTMLElement | null;
      if (event.key !== key || event.ctrlKey || event.metaKey || event.altKey) return;
      if (at?.closest("input, textarea, select, dialog, [contenteditable]")) return;
      event.preventDefault();
      latest.current();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, [key]);
}
