/** Connections, variables and pools: lists with add, change and delete, for those who may. */
import { useCallback, useEffect, useState } from "react";
import { api } from "../api/client";
import { SHAPES, shown, type Kind, type Row, type Shape } from "../logic/named";
import { NamedForm } from "../parts/named_form";
import { Empty, Loading, Problem, sentence } from "../parts/problem";
import { Tabs } from "../parts/tabs";
import { useTitle } from "../parts/title";
import { go } from "../router";
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

function Entries({ shape }: { shape: Shape }) {
  const [rows, setRows] = useState<Row[] | null>(null);
  const [total, setTotal] = useState(0);
  const [problem, setProblem] = useState<unknown>(null);
  const [open, setOpen] = useState<{ before: Row | null } | null>(null);

  const load = useCallback((signal?: AbortSignal): void => {
    api.named(shape.kind, signal).then((page) => {
      setRows(page.items);
      setTotal(page.total);
      setProblem(null);
    }, (cause: unknown) => { if (!signal?.aborted) setProblem(cause); });
  }, [shape.kind]);
  useEffect(() => {
    const stop = new AbortController();
    load(stop.signal);
    return () => stop.abort();
  }, [load]);

  const change = (row: Row): void => {
    api.namedEntry(shape.kind, String(row[shape.key])).then(
      (before) => setOpen({ before }), (cause: unknown) => tell("problem", sentence("It cannot be opened", cause)));
  };
  const remove = (row: Row): void => {
    const name = String(row[shape.key]);
    if (!window.confirm(`Delete the ${shape.one} ${name}? Tasks that use it will fail or wait.`)) return;
    api.removeNamed(shape.kind, name).then(() => {
      tell("done", `The ${shape.one} ${name} was deleted.`);
      load();
    }, (cause: unknown) => tell("problem", sentence(`The ${shape.one} was not deleted`, cause)));
  };

  if (problem !== null) return <Problem what={`No ${shape.kind} to show`} cause={problem} retry={() => load()} />;
  if (rows === null) return <Loading what={shape.kind} />;
  return (
    <>
      <div className="page-head">
        <p className="faint">{shape.about}</p>
        <span className="spacer" />
        <button type="button" className="primary" onClick={() => setOpen({ before: null })}>Add</button>
      </div>
      {rows.length === 0
        ? <Empty title={`No ${shape.kind} yet`}><p>Add one here, or with <code>tradewind {shape.kind}</code>.</p></Empty>
        : <Table shape={shape} rows={rows} change={change} remove={remove} />}
      {total > rows.length && <p className="faint">The first {rows.length} of {total}; the command line has all.</p>}
      {open && <NamedForm shape={shape} before={open.before} close={() => setOpen(null)}
        saved={() => { setOpen(null); load(); }} />}
    </>
  );
}

interface TableProps {
  shape: Shape;
  rows: Row[];
  change: (row: Row) => void;
  remove: (row: Row) => void;
}

function Table({ shape, rows, change, remove }: TableProps) {
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
                      <button type="button" className="as-link" onClick={() => change(row)}>{name}</button>
                    </th>
                  : <td key={column}>{shown(shape, row, column)}</td>)}
                <td className="narrow nowrap">
                  {name !== DEFAULT_POOL && (
                    <button type="button" className="small" aria-label={`Delete ${name}`} onClick={() => remove(row)}>Delete</button>
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
