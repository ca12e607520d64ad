/** DAG files that could not be imported. */
import { api } from "../api/client";
import type { ImportError } from "../api/types";
import { Shared } from "./shared";

export const importErrors = new Shared<ImportError[]>([]);

export async function reloadImportErrors(): Promise<void> {
  try {
    importErrors.set((await api.importErrors()).items);
  } catch {
    // The list of DAGs says that the server can't be reached; saying it twice helps nobody.
  }
}
