import { lazy, Suspense } from "react";
import type { TriggerProps } from "./trigger_form";

const TriggerForm = lazy(async () => ({ default: (await import("./trigger_form")).TriggerForm }));

/** The dialog that starts a run; its code comes when it is first opened. */
export function TriggerDialog(props: TriggerProps) {
  return <Suspense fallback={null}><TriggerForm {...props} /></Suspense>;
}
