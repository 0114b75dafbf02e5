// What the page knows of anomalies: the newest version of each, in the order to show them.
//
// Invariants: an id appears once; its version never goes down; the book holds at most `CAPACITY`.
// The order is the server's: a listing comes newest first, the stream brings newer ones, and an
// update leaves its row where it is.

import type { Anomaly } from './types';

export const CAPACITY = 1_000;

export interface AnomalyBook {
  readonly order: readonly string[];
  readonly byId: ReadonlyMap<string, Anomaly>;
}

export const EMPTY_BOOK: AnomalyBook = { order: [], byId: new Map() };

export const anomaliesOf = (book: AnomalyBook): Anomaly[] =>
  book.order.flatMap((id) => book.byId.get(id) ?? []);

/** True when `anomaly` tells something that the book does not know yet. */
export function isNews(book: AnomalyBook, anomaly: Anomaly): boolean {
  const known = book.byId.get(anomaly.id);
  return known === undefined || known.version < anomaly.version;
}

/** Takes in what the stream brought, oldest first. */
export function withStreamed(book: AnomalyBook, arrived: readonly Anomaly[]): AnomalyBook {
  const byId = new Map(book.byId);
  const onTop: string[] = [];
  let changed = false;
  for (const anomaly of arrived) {
    const known = byId.get(anomaly.id);
    if (known && known.version >= anomaly.version) continue;
    if (!known) onTop.unshift(anomaly.id);
    byId.set(anomaly.id, anomaly);
    changed = true;
  }
  return changed ? bounded([...onTop, ...book.order], byId) : book;
}

/**
 * Takes in a listing. Its order counts. What the book knows beyond it either came over the stream
 * while the listing was on its way (published later: on top) or is older than the listing goes.
 */
export function withListed(book: AnomalyBook, listed: readonly Anomaly[]): AnomalyBook {
  const byId = new Map(book.byId);
  const order: string[] = [];
  const seen = new Set<string>();
  let newest = -Infinity;
  for (const anomaly of listed) {
    newest = Math.max(newest, Date.parse(anomaly.published_at));
    if (seen.has(anomaly.id)) continue;
    seen.add(anomaly.id);
    order.push(anomaly.id);
    if (isNews(book, anomaly)) byId.set(anomaly.id, anomaly);
  }
  const beyond = book.order.filter((id) => !seen.has(id));
  const isLater = (id: string): boolean => Date.parse(byId.get(id)?.published_at ?? '') > newest;
  const later = beyond.filter(isLater);
  const older = beyond.filter((id) => !isLater(id));
  return bounded([...later, ...order, ...older], byId);
}

function bounded(order: string[], byId: Map<string, Anomaly>): AnomalyBook {
  for (const id of order.slice(CAPACITY)) byId.delete(id);
  return { order: order.slice(0, CAPACITY), byId };
}
