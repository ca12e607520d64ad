import { headline } from "../logic/traceback";
import { importErrors } from "../state/import_errors";
import { useShared } from "../state/shared";
import { Copy } from "./copy";
import { WarnIcon } from "./icons";
import { Time } from "./time";

/** The files that could not be read, closed until one is looked at. */
export function ImportErrors() {
  const errors = useShared(importErrors);
  if (!errors.length) return null;
  return (
    <section className="import-errors" role="alert" aria-label="Import errors">
      <details>
        <summary>
          <WarnIcon />
          <strong>{errors.length === 1 ? "1 DAG file can’t be imported" : `${errors.length} DAG files can’t be imported`}</strong>
          <span>Correct the file and save it: it is read again at once.</span>
        </summary>
        {errors.map((error) => (
          <article key={error.import_error_id}>
            <h3>
              <code>{error.filename}</code>
              <span className="faint"><Time at={error.timestamp} precise /> <Copy what="error" text={() => error.stack_trace} /></span>
            </h3>
            {headline(error.stack_trace) && <p className="bad">{headline(error.stack_trace)}</p>}
            <pre tabIndex={0} aria-label={`Error in ${error.filename}`}>{error.stack_trace}</pre>
          </article>
        ))}
      </details>
    </section>
  );
}
