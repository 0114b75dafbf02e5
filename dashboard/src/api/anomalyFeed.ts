// Listing and stream together: what the views subscribe to.

import { EMPTY_BOOK, isNews, withListed, withStreamed, type AnomalyBook } from './anomalyBook';
import {
  AnomalyStream,
  openSocket,
  type Arrival,
  type Socket,
  type StreamStatus,
} from './anomalyStream';
import type { DecodedPage } from './decode';
import { fetchAnomalies, streamUrl, type Answer } from './http';
import { failed, loaded, LOADING, type Loadable } from './loadable';
import type { Anomaly } from './types';

/** How long arrivals are gathered before the views are told: a burst costs one render. */
export const GATHER_MS = 30;
const RELOAD_AFTER_FAILURE_MS = 5_000;

export interface Lag {
  ms: number;
  at: number;
}

export interface FeedSnapshot {
  /** Whether the listing came; the book is what counts. */
  listing: Loadable<true>;
  book: AnomalyBook;
  status: StreamStatus;
  /** Age of the last live anomaly when it arrived. */
  lag: Lag | null;
  /** New anomalies of the last batch, for the announcement. */
  arrived: { batch: number; anomalies: readonly Anomaly[] };
  unreadable: number;
}

export interface FeedOptions {
  list?: () => Promise<Answer<DecodedPage>>;
  open?: () => Socket;
  now?: () => number;
  random?: () => number;
}

export class AnomalyFeed {
  readonly #list: () => Promise<Answer<DecodedPage>>;
  readonly #stream: AnomalyStream;
  readonly #now: () => number;
  readonly #watchers = new Set<() => void>();

  #snapshot: FeedSnapshot;
  #gathered: Anomaly[] = [];
  #gatherTimer: ReturnType<typeof setTimeout> | undefined;
  #reloadTimer: ReturnType<typeof setTimeout> | undefined;
  #clockOffset = 0;
  #running = 0;

  constructor({
    list = () => fetchAnomalies(),
    open = () => openSocket(streamUrl()),
    now = Date.now,
    random = Math.random,
  }: FeedOptions = {}) {
    this.#list = list;
    this.#now = now;
    this.#stream = new AnomalyStream({
      open,
      now,
      random,
      listener: {
        onAnomaly: (anomaly, arrival) => {
          this.#arrive(anomaly, arrival);
        },
        onStatus: (status) => {
          this.#change({ status });
        },
        onGone: () => {
          this.reload();
        },
      },
    });
    this.#snapshot = {
      listing: LOADING,
      book: EMPTY_BOOK,
      status: this.#stream.status,
      lag: null,
      arrived: { batch: 0, anomalies: [] },
      unreadable: 0,
    };
  }

  readonly subscribe = (watcher: () => void): (() => void) => {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  };

  readonly snapshot = (): FeedSnapshot => this.#snapshot;

  /** Lists, then streams from where the listing ends. Returns what stops it. */
  start(): () => void {
    const run = ++this.#running;
    const isCurrent = (): boolean => run === this.#running;
    void this.#load(isCurrent).then((cursor) => {
      if (isCurrent()) this.#stream.start(cursor);
    });
    return () => {
      this.#running += 1;
      this.#stream.stop();
      clearTimeout(this.#gatherTimer);
      this.#gatherTimer = undefined;
      clearTimeout(this.#reloadTimer);
    };
  }

  readonly reload = (): void => {
    const run = this.#running;
    void this.#load(() => run === this.#running).then((cursor) => {
      if (cursor !== null) this.#stream.resumeFrom(cursor);
    });
  };

  readonly wake = (): void => {
    this.#stream.wake();
  };

  readonly forgetMissed = (): void => {
    this.#stream.forgetMissed();
  };

  async #load(isCurrent: () => boolean): Promise<string | null> {
    clearTimeout(this.#reloadTimer);
    try {
      const { body, clockOffset } = await this.#list();
      if (!isCurrent()) return null;
      this.#clockOffset = clockOffset;
      this.#change({
        listing: loaded(true, this.#now()),
        book: withListed(this.#snapshot.book, body.anomalies),
        unreadable: this.#snapshot.unreadable + body.unreadable,
      });
      return body.cursor === '' ? null : body.cursor;
    } catch (error) {
      if (!isCurrent()) return null;
      const message = error instanceof Error ? error.message : String(error);
      this.#change({ listing: failed(this.#snapshot.listing, message) });
      this.#reloadTimer = setTimeout(this.reload, RELOAD_AFTER_FAILURE_MS);
      return null;
    }
  }

  #arrive(anomaly: Anomaly, { receivedAt, subscribedAt }: Arrival): void {
    const published = Date.parse(anomaly.published_at) - this.#clockOffset;
    if (published >= subscribedAt && isNews(this.#snapshot.book, anomaly)) {
      this.#snapshot = {
        ...this.#snapshot,
        lag: { ms: Math.max(0, receivedAt - published), at: receivedAt },
      };
    }
    this.#gathered.push(anomaly);
    this.#gatherTimer ??= setTimeout(() => {
      this.#gatherTimer = undefined;
      this.#enter();
    }, GATHER_MS);
  }

  #enter(): void {
    const before = this.#snapshot.book;
    const book = withStreamed(before, this.#gathered);
    const fresh = book.order.filter((id) => !before.byId.has(id));
    this.#gathered = [];
    const anomalies = fresh.flatMap((id) => book.byId.get(id) ?? []);
    const { arrived } = this.#snapshot;
    this.#change({
      book,
      arrived: anomalies.length > 0 ? { batch: arrived.batch + 1, anomalies } : arrived,
    });
  }

  #change(change: Partial<FeedSnapshot>): void {
    this.#snapshot = { ...this.#snapshot, ...change };
    for (const watcher of this.#watchers) watcher();
  }
}
