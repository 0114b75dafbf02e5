// What the header says about the stream, from the facts of its client.

import type { StreamStatus } from '../api/anomalyStream';
import { formatClock, formatDuration, plural } from '../ui/format';

/** A short break is nothing to worry about; after this long the page says that it is stale. */
export const STALE_AFTER_MS = 10_000;

export interface Connection {
  tone: 'connecting' | 'live' | 'reconnecting' | 'stale';
  label: string;
  detail: string;
  /** Since when the list is out of date; null while it is not. */
  staleSince: number | null;
}

export function describe(status: StreamStatus, now: number): Connection {
  const { phase, since, lastFrameAt } = status;
  if (phase === 'live') {
    const heard =
      lastFrameAt === null ? '' : ` Last heard ${formatDuration(now - lastFrameAt)} ago.`;
    return {
      tone: 'live',
      label: 'Live',
      detail: `Connected since ${formatClock(since)}${status.server && ` to ${status.server}`}.${heard}`,
      staleSince: null,
    };
  }
  const detail = [nextAttempt(status, now), status.problem].filter(Boolean).join(' ');
  if (now - since >= STALE_AFTER_MS) {
    return { tone: 'stale', label: `Stale since ${formatClock(since)}`, detail, staleSince: since };
  }
  return phase === 'connecting'
    ? { tone: 'connecting', label: 'Connecting', detail, staleSince: null }
    : { tone: 'reconnecting', label: 'Reconnecting', detail, staleSince: null };
}

function nextAttempt({ retryAt, attempt }: StreamStatus, now: number): string {
  if (retryAt === null) return 'Trying to connect.';
  const wait = Math.max(0, Math.ceil((retryAt - now) / 1_000));
  return `${plural(attempt, 'attempt')} failed; next in ${wait} s.`;
}

export function describeMissed({ missed, missedUnknown }: StreamStatus): string | null {
  if (missed === 0 && !missedUnknown) return null;
  if (missed === 0) return 'Lagged: missed some';
  return `Lagged: missed ${missedUnknown ? 'at least ' : ''}${missed}`;
}
