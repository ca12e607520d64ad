import { useState } from "react";
import { api } from "../api/client";
import { tell } from "../state/notices";
import { sentence } from "./problem";

interface Props {
  dagId: string;
  paused: boolean;
  changed: (paused: boolean) => void;
}

/** On: the DAG runs by its schedule. Off: it is paused. */
export function PauseSwitch({ dagId, paused, changed }: Props) {
  const [busy, setBusy] = useState(false);
  const flip = async (): Promise<void> => {
    setBusy(true);
    try {
      await api.setPaused(dagId, !paused);
      changed(!paused);
    } catch (problem) {
      tell("problem", sentence(`${dagId} could not be ${paused ? "unpaused" : "paused"}`, problem));
    } finally {
      setBusy(false);
    }
  };
  return (
    <button type="button" role="switch" className="switch" aria-checked={!paused} aria-label={`${dagId} active`}
      aria-busy={busy} title={paused ? "Paused: starts no runs. Press to unpause." : "Active. Press to pause."}
      onClick={() => { if (!busy) void flip(); }}>
      <i aria-hidden="true" />
    </button>
  );
}
