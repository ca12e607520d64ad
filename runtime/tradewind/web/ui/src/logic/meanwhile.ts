/** Fetches and news of the same thing pass each other on the way: here they are put in order. */

export interface Fetch<E> {
  readonly number: number;
  readonly news: E[];
}

/**
 * A fetch begins, news come in, its answer arrives: what came meanwhile may be older or newer than the answer, so it is
 * taken again on top of it. News come in the order in which things happened, so the last of them says how it is now.
 */
export class Meanwhile<E> {
  private begun = 0;
  private taken = 0;
  private readonly open = new Set<Fetch<E>>();

  begin(): Fetch<E> {
    this.begun += 1;
    const fetch = { number: this.begun, news: [] };
    this.open.add(fetch);
    return fetch;
  }

  tell(news: E): void {
    for (const fetch of this.open) fetch.news.push(news);
  }

  /** The news since the fetch began, to be taken on top of its answer; null where a later fetch has answered already. */
  answered(fetch: Fetch<E>): readonly E[] | null {
    this.open.delete(fetch);
    if (fetch.number < this.taken) return null;
    this.taken = fetch.number;
    return fetch.news;
  }

  /** Whether it matters that this fetch has failed: a later one, on its way or answered, makes up for it. */
  failed(fetch: Fetch<E>): boolean {
    this.open.delete(fetch);
    return fetch.number === this.begun;
  }
}
