/** The frame around every page, and which page an address shows. To add a page, add a line to `pageFor`. */
import { Component, lazy, Suspense, useEffect, type ReactNode } from "react";
import { isBrowseTab, type BrowseTab } from "./logic/browse";
import { DagsPage } from "./pages/dags";
import { NotFoundPage } from "./pages/not_found";
import { Footer } from "./parts/footer";
import { Header } from "./parts/header";
import { Notices } from "./parts/notices";
import { Loading, Problem } from "./parts/problem";
import { SHAPES, type Kind } from "./logic/named";
import { usePlace, type Place } from "./router";

/** The larger pages come apart from the first, which is on the screen sooner without them. */
const loadDagPage = () => import("./pages/dag");
const DagPage = lazy(async () => ({ default: (await loadDagPage()).DagPage }));
const AdminPage = lazy(async () => ({ default: (await import("./pages/admin")).AdminPage }));
const BrowsePage = lazy(async () => ({ default: (await import("./pages/browse")).BrowsePage }));
const InputsPage = lazy(async () => ({ default: (await import("./pages/inputs")).InputsPage }));
const LoginPage = lazy(async () => ({ default: (await import("./pages/login")).LoginPage }));

function pageFor(place: Place): ReactNode {
  const [first, second] = place.parts;
  if (first === undefined || (first === "dags" && second === undefined)) return <DagsPage query={place.query} />;
  if (first === "dags" && second !== undefined) return <DagPage key={second} dagId={second} query={place.query} />;
  if (first === "admin" && isKind(second ?? "connections")) return <AdminPage kind={(second ?? "connections") as Kind} />;
  if (first === "browse" && isBrowseTab(second ?? "deadlines")) return <BrowsePage tab={(second ?? "deadlines") as BrowseTab} query={place.query} />;
  if (first === "inputs" && second === undefined) return <InputsPage query={place.query} />;
  return <NotFoundPage />;
}

const isKind = (text: string): boolean => text in SHAPES;

/** The page of a DAG is what most people open next. */
const FETCH_AHEAD_MS = 1_500;

export function App() {
  const place = usePlace();
  useEffect(() => {
    const timer = setTimeout(() => void loadDagPage().catch(() => undefined), FETCH_AHEAD_MS);
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
    return <Problem what="This page has broken" cause={this.state.broken} retry={() => window.location.reload()} />;
  }
}
