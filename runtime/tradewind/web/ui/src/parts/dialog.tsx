import { useEffect, useId, useRef, type ReactNode } from "react";
import { CloseIcon } from "./icons";

interface Props {
  title: string;
  close: () => void;
  children: ReactNode;
}

/** A dialog over the page. It opens at once, so that nothing else is begun while its content is on the way. */
export function Dialog({ title, close, children }: Props) {
  const box = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => box.current?.showModal(), []);
  return (
    <dialog ref={box} className="dialog" aria-labelledby={id} onClose={close}>
      <div className="dialog-head">
        <h2 id={id}>{title}</h2>
        <button type="button" className="quiet icon-only" aria-label="Close" onClick={close}><CloseIcon /></button>
      </div>
      {children}
    </dialog>
  );
}

/** Tells whether the component has been left: what was under way then must not move the page any more. */
export function useLeft(): () => boolean {
  const left = useRef(false);
  useEffect(() => {
    left.current = false;
    return () => { left.current = true; };
  }, []);
  return () => left.current;
}
