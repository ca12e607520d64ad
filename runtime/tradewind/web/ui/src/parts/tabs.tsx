import { useId, type KeyboardEvent, type ReactNode } from "react";

interface Props<T extends string> {
  label: string;
  tabs: readonly (readonly [T, string])[];
  chosen: T;
  choose: (tab: T) => void;
  children: ReactNode;
}

/** Tabs by the usual pattern: arrow keys move between them, the panel follows. */
export function Tabs<T extends string>({ label, tabs, chosen, choose, children }: Props<T>) {
  const id = useId();
  const onKey = (event: KeyboardEvent<HTMLDivElement>): void => {
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (!step) return;
    const at = tabs.findIndex(([tab]) => tab === chosen);
    const next = tabs[(at + step + tabs.length) % tabs.length];
    if (!next) return;
    event.preventDefault();
    choose(next[0]);
    document.getElementById(`${id}-${next[0]}`)?.focus();
  };
  return (
    <>
      <div className="tabs" role="tablist" aria-label={label} onKeyDown={onKey}>
        {tabs.map(([tab, text]) => (
          <button key={tab} id={`${id}-${tab}`} type="button" role="tab" aria-selected={tab === chosen}
            aria-controls={`${id}-panel`} tabIndex={tab === chosen ? 0 : -1} onClick={() => choose(tab)}>{text}</button>
        ))}
      </div>
      <div id={`${id}-panel`} role="tabpanel" aria-labelledby={`${id}-${chosen}`} className="tab-panel">{children}</div>
    </>
  );
}
