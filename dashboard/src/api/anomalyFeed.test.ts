import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { anomaliesOf } from './anomalyBook';
import { AnomalyFeed, GATHER_MS } from './anomalyFeed';
import type { Socket } from './anomalyStream';
import type { DecodedPage } from './decode';
import { anAnomaly } from './fixtures';
import type { Answer } from './http';
import type { Anomaly } from './types';

const START = Date.parse('2026-11-21T07:00:00Z');

const page = (anomalies: Anomaly[], cursor = 'c0'): Answer<DecodedPage> => ({
  body: { anomalies, cursor, unreadable: 0 },
  clockOffset: 0,
});

async function setUp(list: () => Promise<Answer<DecodedPage>>) {
  const sockets: Socket[] = [];
  const sent: string[] = [];
  const feed = new AnomalyFeed({
    list,
    open: () => {
      const socket: Socket = {
        onmessage: null,
        onclose: null,
        send: (text) => void sent.push(text),
        close: () => undefined,
      };
      sockets.push(socket);
      return socket;
    },
    random: () => 0,
  });
  const stop = feed.start();
  await vi.advanceTimersByTimeAsync(0);
  const receive = (frame: unknown): void => {
    sockets.at(-1)?.onmessage?.({ data: JSON.stringify(frame) });
  };
  const goLive = (): void => {
    receive({ type: 'hello', cursor: 'head', server: 'gw', version: '1' });
    receive({ type: 'subscribed', cursor: 'head' });
  };
  const shown = (): string[] =>
    anomaliesOf(feed.snapshot().book).map((one) => `${one.id} v${one.version} ${one.state}`);
  return { feed, stop, receive, goLive, shown, sent, sockets };
}

const frame = (cursor: string, change: Partial<Anomaly>) => ({
  type: 'anomaly',
  cursor,
  anomaly: anAnomaly(change),
});

beforeEach(() => {
  vi.useFakeTimers({ now: START });
});
afterEach(() => {
  vi.useRealTimers();
});

test('lists first and streams from where the listing ends', async () => {
  const { goLive, shown, sent } = await setUp(() => Promise.resolve(page([anAnomaly()], 'c5')));
  goLive();
  expect(shown()).toEqual(['a v1 opened']);
  expect(sent[0]).toContain('"since":"c5"');
});

test('what comes twice is shown once, and an older version never replaces a newer one', async () => {
  const { goLive, receive, shown, feed } = await setUp(() => Promise.resolve(page([anAnomaly()])));
  goLive();
  receive(frame('c1', { id: 'b' }));
  receive(frame('c1', { id: 'b' }));
  receive(frame('c2', { id: 'a', version: 3, state: 'closed' }));
  receive(frame('c3', { id: 'a', version: 2, state: 'updated' }));
  await vi.advanceTimersByTimeAsync(GATHER_MS);
  expect(shown()).toEqual(['b v1 opened', 'a v3 closed']);
  expect(feed.snapshot().arrived).toMatchObject({ batch: 1, anomalies: [{ id: 'b' }] });
});

test('a burst of frames costs one announcement', async () => {
  const { goLive, receive, feed } = await setUp(() => Promise.resolve(page([])));
  goLive();
  for (let at = 0; at < 50; at += 1) receive(frame(`c${at}`, { id: `id-${at}` }));
  await vi.advanceTimersByTimeAsync(GATHER_MS);
  expect(feed.snapshot().arrived.batch).toBe(1);
  expect(feed.snapshot().arrived.anomalies).toHaveLength(50);
});

test('the lag is that of live anomalies, not of those it catches up with', async () => {
  const { goLive, receive, feed } = await setUp(() => Promise.resolve(page([])));
  goLive();
  receive(frame('c1', { id: 'old', published_at: new Date(START - 60_000).toISOString() }));
  expect(feed.snapshot().lag).toBeNull();
  await vi.advanceTimersByTimeAsync(5_000);
  receive(frame('c2', { id: 'live', published_at: new Date(Date.now() - 42).toISOString() }));
  await vi.advanceTimersByTimeAsync(GATHER_MS);
  expect(feed.snapshot().lag?.ms).toBe(42);
});

test('streams although the listing fails, and lists again by itself', async () => {
  const list = vi
    .fn<() => Promise<Answer<DecodedPage>>>()
    .mockRejectedValueOnce(new Error('The gateway cannot be reached.'))
    .mockResolvedValue(page([anAnomaly()]));
  const { goLive, receive, shown, feed } = await setUp(list);
  expect(feed.snapshot().listing).toEqual({
    phase: 'error',
    message: 'The gateway cannot be reached.',
  });
  goLive();
  receive(frame('c1', { id: 'b', published_at: '2026-11-21T07:00:09Z' }));
  await vi.advanceTimersByTimeAsync(5_000);
  expect(feed.snapshot().listing.phase).toBe('ready');
  expect(shown()).toEqual(['b v1 opened', 'a v1 opened']);
});

test('lists anew when its place in the stream is gone', async () => {
  const list = vi.fn(() => Promise.resolve(page([anAnomaly()], 'c9')));
  const { goLive, receive, sent, sockets } = await setUp(list);
  goLive();
  receive({ type: 'gone', missed: null });
  await vi.advanceTimersByTimeAsync(0);
  expect(list).toHaveBeenCalledTimes(2);
  sockets.at(-1)?.onclose?.({ code: 1006 });
  await vi.advanceTimersByTimeAsync(15_000);
  goLive();
  expect(sent.at(-1)).toContain('"since":"c9"');
});

test('starts again after it was stopped', async () => {
  const { feed, stop, goLive, receive, shown } = await setUp(() => Promise.resolve(page([])));
  goLive();
  receive(frame('c1', { id: 'b' }));
  stop();
  feed.start();
  await vi.advanceTimersByTimeAsync(0);
  goLive();
  receive(frame('c2', { id: 'c' }));
  await vi.advanceTimersByTimeAsync(GATHER_MS);
  expect(shown()).toEqual(['c v1 opened', 'b v1 opened']);
});
