/** The parts of the page for what goes on beside the runs. */

export const BROWSE_TABS = [
  ["deadlines", "Deadlines"], ["assets", "Assets"], ["watchers", "Watchers"], ["loop", "Event loop"],
] as const;
export type BrowseTab = (typeof BROWSE_TABS)[number][0];

export const isBrowseTab = (text: string): text is BrowseTab => BROWSE_TABS.some(([tab]) => tab === text);
