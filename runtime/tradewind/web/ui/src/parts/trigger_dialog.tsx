import { Suspense } from "react";
import { fetched } from "./missing";
import type { TriggerProps } from "./trigger_form";

export const loadTriggerForm = async () => (await import("./trigger_form")).TriggerForm;
const TriggerForm = fetched(loadTriggerForm);

/** The dialog that starts a run; its code comes when it is first opened. */
export function TriggerDialog(props: TriggerProps) {
  return <Suspense fallback={null}><TriggerForm {...props} /></Suspense>;
}
