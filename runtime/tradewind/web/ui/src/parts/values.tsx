/** Names with values of any kind, as tasks publish and keep them. */
import type { ReactNode } from "react";

const LONGEST = 400;

/** A value in one line of JSON. */
export function asText(value: unknown): string {
  const text = JSON.stringify(value) ?? "null";
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
}

interface Line {
  name: string;
  value: unknown;
  /** When it was set. */
  at: ReactNode;
  more?: ReactNode;
}

export function Values({ label, lines }: { label: string; lines: readonly Line[] }) {
  return (
    <section className="values" aria-label={label}>
      <h3>{label}</h3>
      <div className="table-scroll">
        <table>
          <thead className="hidden"><tr><th scope="col">Name</th><th scope="col">Value</th><th scope="col">Set</th></tr></thead>
          <tbody>
            {lines.map((line) => (
              <tr key={line.name}>
                <th scope="row">{line.name}</th>
                <td><code>{asText(line.value)}</code>{line.more}</td>
                <td className="nowrap faint narrow">{line.at}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
