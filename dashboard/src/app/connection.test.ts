import { expect, test } from 'vitest';

import type { StreamStatus } from '../api/anomalyStream';
import { describe as describeConnection, describeMissed, STALE_AFTER_MS } from './connection';

const NOW = 1_795_000_000_000;

const status = (change: Partial<StreamStatus>): StreamStatus => ({
  phase: 'live',
  since: NOW,
  attempt: 0,
  retryAt: null,
  lastFrameAt: null,
  server: null,
  missed: 0,
  missedUnknown: false,
  unreadable: 0,
  problem: null,
  ...change,
});

test('live is live', () => {
  expect(describeConnection(status({}), NOW)).toMatchObject({ label: 'Live', staleSince: null });
});

test('a short break is a reconnection, a long one is stale since it began', () => {
  const lost = status({ phase: 'reconnecting', since: NOW, attempt: 2, retryAt: NOW + 3_500 });
  expect(describeConnection(lost, NOW)).toMatchObject({
    label: 'Reconnecting',
    detail: '2 attempts failed; next in 4 s.',
    staleSince: null,
  });
  const later = describeConnection(lost, NOW + STALE_AFTER_MS);
  expect(later.label).toMatch(/^Stale since \d\d:\d\d:\d\d$/);
  expect(later.staleSince).toBe(NOW);
});

test('says how much was missed, as far as it is known', () => {
  expect(describeMissed(status({}))).toBeNull();
  expect(describeMissed(status({ missed: 12 }))).toBe('Lagged: missed 12');
  expect(describeMissed(status({ missed: 12, missedUnknown: true }))).toContain('at least 12');
  expect(describeMissed(status({ missedUnknown: true }))).toBe('Lagged: missed some');
});
