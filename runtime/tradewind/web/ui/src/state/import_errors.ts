/** DAG files that could not be imported. */
import { api } from "../api/client";
import type { ImportError } from "../api/types";
import { Shared } from "./shared";

export const importErrors = new Shared<ImportError[]>([]);

let begun = 0;
let taken = 0;

export async function reloadImportErrors(): Promise<void> {
  const mine = ++begun;
  try {
    const { items } = await api.importErrors();
    if (mine < taken) return; // A later answer has overtaken this one.
    taken = mine;
    importErrors.set(items);
  } catch {
    // The list of DAGs says that the server can't be reached; saying it twice helps nobody.
  }
}
