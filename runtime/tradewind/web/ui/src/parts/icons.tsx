/** The few pictures of the pages, drawn in the text's colour. They say nothing that text does not say too. */
import type { ReactNode } from "react";

function Icon({ children, size = 16 }: { children: ReactNode; size?: number }) {
  return (
    <svg className="icon" width={size} height={size} viewBox="0 0 16 16" fill="none" stroke="currentColor"
      strokeWidth="1.6" strokeLinecap="round" strokeLinejoin="round" aria-hidden="true" focusable="false">
      {children}
    </svg>
  );
}

export const PlayIcon = () => <Icon><path d="M4.5 3.2v9.6L12.5 8z" fill="currentColor" stroke="none" /></Icon>;
export const SearchIcon = () => <Icon><circle cx="7" cy="7" r="4.2" /><path d="m10.4 10.4 3.1 3.1" /></Icon>;
export const CloseIcon = () => <Icon><path d="m4 4 8 8M12 4l-8 8" /></Icon>;
export const WarnIcon = () => <Icon><path d="M8 2.2 14.6 13.6H1.4zM8 6.6v3.2M8 11.7v.1" /></Icon>;
export const ClockIcon = () => <Icon><circle cx="8" cy="8" r="5.8" /><path d="M8 4.8V8l2.2 1.6" /></Icon>;
export const DownloadIcon = () => <Icon><path d="M8 2.5v7.2M4.9 7 8 10.1 11.1 7M3 13.2h10" /></Icon>;
export const CopyIcon = () => <Icon><rect x="5.6" y="5.6" width="7.6" height="7.9" rx="1.4" /><path d="M10.4 3.6V3a1.2 1.2 0 0 0-1.2-1.2H4A1.4 1.4 0 0 0 2.6 3.2v6A1.2 1.2 0 0 0 3.8 10.4" /></Icon>;
export const DoneIcon = () => <Icon><path d="m3.2 8.6 3.2 3.2 6.4-7" /></Icon>;
export const PersonIcon = () => <Icon><circle cx="8" cy="5.4" r="2.7" /><path d="M2.8 13.6c.8-2.7 2.8-3.9 5.2-3.9s4.4 1.2 5.2 3.9" /></Icon>;

export const Mark = ({ size = 26 }: { size?: number }) => (
  <svg className="mark" width={size} height={size} viewBox="0 0 32 32" aria-hidden="true" focusable="false">
    <rect width="32" height="32" rx="8" className="mark-ground" />
    <g fill="none" stroke="#fff" strokeWidth="2.6" strokeLinecap="round">
      <path d="M6 12.5h12.2a3.2 3.2 0 1 0-3-4.3" />
      <path d="M6 17.5h17.2a3.4 3.4 0 1 1-3.2 4.6" />
      <path d="M6 22.5h7.4a2.4 2.4 0 1 1-2.2 3.3" />
    </g>
  </svg>
);
