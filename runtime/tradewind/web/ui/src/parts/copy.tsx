/** A small button that puts a text on the clipboard and says so for a moment. */
import { useEffect, useState } from "react";
import { ApiError } from "../api/client";
import { tell } from "../state/notices";
import { CopyIcon, DoneIcon } from "./icons";
import { sentence } from "./problem";

const SAID_MS = 1_500;

interface Props {
  /** What is copied, in words: "run id". */
  what: string;
  text: () => string | Promise<string>;
  /** A word beside the picture. */
  label?: string;
}

export function Copy({ what, text, label }: Props) {
  const [done, setDone] = useState(false);
  useEffect(() => {
    if (!done) return undefined;
    const timer = setTimeout(() => setDone(false), SAID_MS);
    return () => clearTimeout(timer);
  }, [done]);
  const copy = async (): Promise<void> => {
    try {
      await write(await text());
      setDone(true);
    } catch (cause) {
      const failed = `The ${what} could not be copied`;
      tell("problem", cause instanceof ApiError ? sentence(failed, cause) : `${failed}: this browser does not allow it here.`);
    }
  };
  return (
    <button type="button" className={label ? "small" : "quiet icon-only copy"} title={done ? "Copied" : `Copy the ${what}`}
      aria-label={done ? `Copied the ${what}` : `Copy the ${what}`} onClick={() => void copy()}>
      {done ? <DoneIcon /> : <CopyIcon />}{label && (done ? "Copied" : label)}
    </button>
  );
}

/** Browsers have a clipboard only for pages of this machine or over HTTPS; the older way works everywhere. */
async function write(text: string): Promise<void> {
  if (window.isSecureContext) return navigator.clipboard.writeText(text);
  const box = document.createElement("textarea");
  box.value = text;
  box.style.position = "fixed";
  document.body.append(box);
  box.select();
  const copied = document.execCommand("copy");
  box.remove();
  if (!copied) throw new Error("not allowed");
}
