import { Suspense } from "react";
import { Dialog } from "./dialog";
import { fetched } from "./missing";
import { Loading } from "./problem";
import type { TriggerProps } from "./trigger_form";

export const loadTriggerForm = async () => (await import("./trigger_form")).TriggerForm;
const TriggerForm = fetched(loadTriggerForm);

/** The dialog that starts a run; the code of its form comes when it is first opened. */
export function TriggerDialog(props: TriggerProps) {
  return (
    <Dialog title={`Trigger ${props.dagId}`} close={props.close}>
      <Suspense fallback={<Loading what="the form" />}><TriggerForm {...props} /></Suspense>
    </Dialog>
  );
}
