/** Connections, variables and pools: lists with add, change and delete, for those who may. */
import { useState } from "react";
import { api } from "../api/client";
import { SHAPES, shown, type Kind, type Row, type Shape } from "../logic/named";
import { NamedForm } from "../parts/named_form";
import { Empty, sentence } from "../parts/problem";
import { Shown } from "../parts/shown";
import { Tabs } from "../parts/tabs";
import { useTitle } from "../parts/title";
import { go } from "../router";
import { useFetched } from "../state/fetched";
import { tell } from "../state/notices";

const TABS = [["connections", "Connections"], ["variables", "Variables"], ["pools", "Pools"]] as const;

/** Of the tasks that name no pool; it stays. */
const DEFAULT_POOL = "default_pool";

export function AdminPage({ kind }: { kind: Kind }) {
  useTitle(SHAPES[kind].title);
  return (
    <div className="page">
      <div className="page-head"><h1>Admin</h1></div>
      <Tabs label="What to look at" tabs={TABS} chosen={kind} choose={(tab) => go(`admin/${tab}`)}>
        <Entries key={kind} shape={SHAPES[kind]} />
      </Tabs>
    </div>
  );
}

/** What is open: the form of the entry with this name, or of a new one. */
type Open = { name: string | null };

function Entries({ shape }: { shape: Shape }) {
  const [changes, setChanges] = useState(0);
  const [open, setOpen] = useState<Open | null>(null);
  const [going, setGoing] = useState<readonly string[]>([]);
  const found = useFetched(shape.kind, (signal) => api.named(shape.kind, signal), changes);
  const changed = (): void => setChanges((before) => before + 1);

  const remove = async (name: string): Promise<void> => {
    if (!window.confirm(`Delete the ${shape.one} ${name}? Tasks that use it will fail or wait.`)) return;
    setGoing((names) => [...names, name]);
    try {
      await api.removeNamed(shape.kind, name);
      tell("done", `The ${shape.one} ${name} was deleted.`);
      changed();
    } catch (cause) {
      tell("problem", sentence(`The ${shape.one} ${name} was not deleted`, cause));
      setGoing((names) => names.filter((other) => other !== name));
    }
  };

  return (
    <>
      <Shown of={found} what={shape.kind} failed={`No ${shape.kind} to show`}>
        {({ items, total }) => (
          <>
            <div className="page-head">
              <p className="faint">{shape.about}</p>
              <span className="spacer" />
              <button type="button" className="primary" onClick={() => setOpen({ name: null })}>Add</button>
            </div>
            {items.length === 0
              ? <Empty title={`No ${shape.kind} yet`}><p>Add one here, or with <code>tradewind {shape.kind}</code>.</p></Empty>
              : <Table shape={shape} rows={items} going={going} change={(name) => setOpen({ name })} remove={(name) => void remove(name)} />}
            {total > items.length && <p className="faint">The first {items.length} of {total}; the command line has all.</p>}
          </>
        )}
      </Shown>
      {open && (
        <NamedForm shape={shape} name={open.name} close={() => setOpen(null)}
          stored={(name) => { setGoing((names) => names.filter((other) => other !== name)); changed(); }} />
      )}
    </>
  );
}

interface TableProps {
  shape: Shape;
  rows: Row[];
  /** Names of those that were deleted here, and are in the list until it comes anew. */
  going: readonly string[];
  change: (name: string) => void;
  remove: (name: string) => void;
}

function Table({ shape, rows, going, change, remove }: TableProps) {
  return (
    <div className="card table-card">
      <table aria-label={shape.title}>
        <thead>
          <tr>
            {shape.columns.map(([name, label]) => <th key={name} scope="col">{label}</th>)}
            <th scope="col" className="narrow"><span className="hidden">What to do</span></th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => {
            const name = String(row[shape.key]);
            return (
              <tr key={name}>
                {shape.columns.map(([column], at) => at === 0
                  ? <th key={column} scope="row">
                      <button type="button" className="as-link" onClick={() => change(name)}>{name}</button>
                    </th>
                  : <td key={column}>{shown(shape, row, column)}</td>)}
                <td className="narrow nowrap">
                  {name !== DEFAULT_POOL && (
                    <button type="button" className="small" aria-label={`Delete ${name}`} disabled={going.includes(name)} onClick={() => remove(name)}>Delete</button>
                  )}
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
