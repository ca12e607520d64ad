/** The bar at the top: the product, the stream's state, the time zone, who is signed in. */
import { Link, usePlace } from "../router";
import { streamState } from "../state/live";
import { session, signOut } from "../state/session";
import { useShared } from "../state/shared";
import { tell } from "../state/notices";
import { chooseZone, useZoneChoice, zoneName, type ZoneChoice } from "../state/zone";
import { ClockIcon, Mark, PersonIcon } from "./icons";

export function Header() {
  return (
    <header className="top">
      <Link to="" className="brand"><Mark /><span>Tradewind</span></Link>
      <Navigation />
      <span className="spacer" />
      <LiveSign />
      <ZoneSelect />
      <Person />
    </header>
  );
}

/** Connections and variables are for those who run the system. */
const OPERATORS = ["Op", "Admin"];

function Navigation() {
  const me = useShared(session);
  return (
    <nav aria-label="Main">
      <Section to="dags">DAGs</Section>
      {me && <Section to="inputs">Inputs</Section>}
      {me && <Section to="browse">Browse</Section>}
      {me?.roles.some((role) => OPERATORS.includes(role)) && <Section to="admin">Admin</Section>}
    </nav>
  );
}

function Section({ to, children }: { to: string; children: string }) {
  const place = usePlace();
  const here = (place.parts[0] ?? "dags") === to;
  return <Link to={to} className="nav-link" aria-current={here ? (place.parts.length <= 1 ? "page" : "true") : undefined}>{children}</Link>;
}

const LIVE = {
  live: ["Live", "Changes show as they happen."],
  connecting: ["Connecting…", "Opening the stream of changes."],
  waiting: ["Reconnecting…", "The stream of changes is broken; what you see may be old. It is tried again by itself."],
} as const;

function LiveSign() {
  const state = useShared(streamState);
  if (!state) return null;
  const [label, meaning] = LIVE[state];
  return <span className={`live live-${state}`} role="status" title={meaning}><i aria-hidden="true" />{label}</span>;
}

function ZoneSelect() {
  const choice = useZoneChoice();
  const local = zoneName("local");
  return (
    <label className="zone" title="The zone that all times on these pages are shown in">
      <ClockIcon />
      <select aria-label="Time zone" value={choice} onChange={(event) => chooseZone(event.target.value as ZoneChoice)}>
        <option value="utc">UTC</option>
        <option value="local">{local === "UTC" ? "Local (UTC)" : `Local: ${local}`}</option>
      </select>
    </label>
  );
}

function Person() {
  const me = useShared(session);
  if (!me) return null;
  const leave = (): void => {
    signOut().catch((problem: unknown) => tell("problem", `Signing out failed. ${String(problem)}`));
  };
  return (
    <span className="person">
      <span className="person-name" title={me.roles.join(", ")}><PersonIcon />{me.username}</span>
      <button type="button" className="quiet" onClick={leave}>Sign out</button>
    </span>
  );
}
