import { dismiss, notices } from "../state/notices";
import { useShared } from "../state/shared";
import { CloseIcon } from "./icons";

/** Short messages in the corner, read out by screen readers. */
export function Notices() {
  const all = useShared(notices);
  return (
    <div className="notices" aria-live="polite">
      {all.map((notice) => (
        <div key={notice.id} className={`notice notice-${notice.kind}`} role={notice.kind === "problem" ? "alert" : "status"}>
          <span>{notice.text}</span>
          <button type="button" className="quiet icon-only" aria-label="Dismiss message" onClick={() => dismiss(notice.id)}>
            <CloseIcon />
          </button>
        </div>
      ))}
    </div>
  );
}
