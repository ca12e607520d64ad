/** What goes on beside the runs: missed deadlines, assets, their watchers, the event loop. Each follows the changes. */
import type { ReactNode } from "react";
import { BROWSE_TABS, type BrowseTab } from "../logic/browse";
import { Assets } from "../parts/assets";
import { Loop } from "../parts/loop";
import { Misses } from "../parts/misses";
import { Tabs } from "../parts/tabs";
import { useTitle } from "../parts/title";
import { Watchers } from "../parts/watchers";
import { go } from "../router";

export function BrowsePage({ tab, query }: { tab: BrowseTab; query: URLSearchParams }) {
  useTitle(BROWSE_TABS.find(([each]) => each === tab)?.[1] ?? "Browse");
  return (
    <div className="page">
      <div className="page-head"><h1>Browse</h1></div>
      <Tabs label="What to look at" tabs={BROWSE_TABS} chosen={tab} choose={(next) => go(`browse/${next}`)}>
        {shownIn(tab, query)}
      </Tabs>
    </div>
  );
}

function shownIn(tab: BrowseTab, query: URLSearchParams): ReactNode {
  if (tab === "deadlines") return <Misses />;
  if (tab === "assets") return <Assets chosen={query.get("asset")} />;
  if (tab === "watchers") return <Watchers />;
  return <Loop />;
}
