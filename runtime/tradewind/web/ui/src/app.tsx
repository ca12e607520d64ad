/** The frame around every page, and which page an address shows. To add a page, add a line to `pageFor`. */
import { Component, Suspense, useEffect, type ReactNode } from "react";
import { isBrowseTab, type BrowseTab } from "./logic/browse";
import { DagsPage } from "./pages/dags";
import { NotFoundPage } from "./pages/not_found";
import { Footer } from "./parts/footer";
import { Header } from "./parts/header";
import { Notices } from "./parts/notices";
import { fetched, Missing, PartMissing } from "./parts/missing";
import { Loading, Problem } from "./parts/problem";
import { SHAPES, type Kind } from "./logic/named";
import { loadTriggerForm } from "./parts/trigger_dialog";
import { usePlace, type Place } from "./router";

/** The larger pages come apart from the first, which is on the screen sooner without them. */
const load = {
  dag: async () => (await import("./pages/dag")).DagPage,
  admin: async () => (await import("./pages/admin")).AdminPage,
  browse: async () => (await import("./pages/browse")).BrowsePage,
  inputs: async () => (await import("./pages/inputs")).InputsPage,
  login: async () => (await import("./pages/login")).LoginPage,
};
const DagPage = fetched(load.dag);
const AdminPage = fetched(load.admin);
const BrowsePage = fetched(load.browse);
const InputsPage = fetched(load.inputs);
const LoginPage = fetched(load.login);

function pageFor(place: Place): ReactNode {
  const [first, second] = place.parts;
  if (first === undefined || (first === "dags" && second === undefined)) return <DagsPage query={place.query} />;
  if (first === "dags" && second !== undefined && place.parts.length === 2) return <DagPage key={second} dagId={second} query={place.query} />;
  if (first === "admin" && isKind(second ?? "connections")) return <AdminPage kind={(second ?? "connections") as Kind} />;
  if (first === "browse" && isBrowseTab(second ?? "deadlines")) return <BrowsePage tab={(second ?? "deadlines") as BrowseTab} query={place.query} />;
  if (first === "inputs" && second === undefined) return <InputsPage query={place.query} />;
  return <NotFoundPage />;
}

const isKind = (text: string): boolean => text in SHAPES;

/** What people open next comes while they look at the first page; the page of a DAG is what most open. */
const NEXT = [load.dag, loadTriggerForm, load.inputs, load.browse, load.admin];
const FETCH_AHEAD_MS = 1_500;

async function fetchAhead(): Promise<void> {
  try {
    for (const part of NEXT) await part();
  } catch {
    // Whoever opens the page is told.
  }
}

export function App() {
  const place = usePlace();
  useEffect(() => {
    const timer = setTimeout(() => void fetchAhead(), FETCH_AHEAD_MS);
    return () => clearTimeout(timer);
  }, []);
  if (place.parts[0] === "login") {
    return <Guard><Suspense fallback={null}><LoginPage next={place.query.get("next") ?? ""} /></Suspense></Guard>;
  }
  return (
    <>
      <a className="skip-link" href="#content" onClick={jump}>Skip to content</a>
      <Header />
      <main id="content" tabIndex={-1}>
        <Guard key={place.parts.join("/")}><Suspense fallback={<Loading what="the page" />}>{pageFor(place)}</Suspense></Guard>
      </main>
      <Footer />
      <Notices />
    </>
  );
}

/** A plain `#content` would be looked for under <base href>. */
function jump(event: { preventDefault: () => void }): void {
  event.preventDefault();
  document.getElementById("content")?.focus();
}

/** Shows what broke in a page in place of a blank one. */
class Guard extends Component<{ children: ReactNode }, { broken: unknown }> {
  override state = { broken: null as unknown };

  static getDerivedStateFromError(broken: unknown): { broken: unknown } {
    return { broken };
  }

  override render(): ReactNode {
    if (this.state.broken === null) return this.props.children;
    if (this.state.broken instanceof PartMissing) return <Missing />;
    return <Problem what="This page has broken" cause={this.state.broken} retry={() => window.location.reload()} />;
  }
}
