import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import {
  AnomalyStream,
  ASK_AGAIN_MS,
  BACKOFF_CAP_MS,
  CONNECT_MS,
  GOOD_AFTER_MS,
  WATCHDOG_MS,
  type Socket,
} from './anomalyStream';
import { anAnomaly } from './fixtures';
import type { Anomaly } from './types';

class FakeSocket implements Socket {
  onmessage: Socket['onmessage'] = null;
  onclose: Socket['onclose'] = null;
  sent: unknown[] = [];
  closed = false;

  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }

  close(): void {
    this.closed = true;
  }

  receive(frame: unknown): void {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }

  drop(code = 1006): void {
    this.onclose?.({ code });
  }
}

const FILTER = { services: [], kinds: [], min_severity: 'low', text: '' };
const subscribe = (since: string | null) => ({ type: 'subscribe', filter: FILTER, since });
const hello = (cursor = 'head') => ({ type: 'hello', cursor, server: 'gw', version: '1' });
const anomalyFrame = (cursor: string, change: Partial<Anomaly> = {}) => ({
  type: 'anomaly',
  cursor,
  anomaly: anAnomaly(change),
});

function setUp(random = 0) {
  const sockets: FakeSocket[] = [];
  const onAnomaly = vi.fn<(anomaly: Anomaly) => void>();
  const onGone = vi.fn();
  const stream = new AnomalyStream({
    open: () => {
      const socket = new FakeSocket();
      sockets.push(socket);
      return socket;
    },
    listener: { onAnomaly, onGone, onStatus: () => undefined },
    random: () => random,
  });
  const socket = (): FakeSocket => {
    const newest = sockets.at(-1);
    if (!newest) throw new Error('no socket was opened');
    return newest;
  };
  const goLive = (): void => {
    socket().receive(hello());
    socket().receive({ type: 'subscribed', cursor: 'head' });
  };
  return { stream, sockets, socket, goLive, onAnomaly, onGone };
}

/** No longer: an attempt that nobody answers fails by itself after a while. */
function untilRetry(stream: AnomalyStream): void {
  vi.advanceTimersByTime((stream.status.retryAt ?? Date.now()) - Date.now());
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe('subscribing', () => {
  test('waits for hello, then resumes behind the cursor it was given', () => {
    const { stream, socket } = setUp();
    stream.start('c7');
    expect(socket().sent).toEqual([]);
    socket().receive(hello());
    expect(socket().sent).toEqual([subscribe('c7')]);
  });

  test('without a cursor starts at the one of hello: nothing falls between the two frames', () => {
    const { stream, socket } = setUp();
    stream.start(null);
    socket().receive(hello('c3'));
    expect(socket().sent).toEqual([subscribe('c3')]);
  });

  test('is live only once the server confirmed', () => {
    const { stream, socket } = setUp();
    stream.start(null);
    socket().receive(hello());
    expect(stream.status.phase).toBe('connecting');
    socket().receive({ type: 'subscribed', cursor: 'head' });
    expect(stream.status.phase).toBe('live');
  });

  test('a server that never confirms counts as lost', () => {
    const { stream, socket } = setUp();
    stream.start(null);
    socket().receive(hello());
    vi.advanceTimersByTime(CONNECT_MS);
    expect(stream.status.phase).toBe('reconnecting');
    expect(socket().closed).toBe(true);
  });
});

describe('resuming', () => {
  test('comes back with the cursor of the last anomaly', () => {
    const { stream, sockets, socket, goLive, onAnomaly } = setUp();
    stream.start('c0');
    goLive();
    socket().receive(anomalyFrame('c1'));
    expect(onAnomaly).toHaveBeenCalledOnce();
    socket().drop();
    untilRetry(stream);
    expect(sockets).toHaveLength(2);
    socket().receive(hello('c9'));
    expect(socket().sent).toEqual([subscribe('c1')]);
  });

  test('an anomaly that cannot be read is counted, and does not hold the cursor back', () => {
    const { stream, socket, goLive } = setUp();
    stream.start('c0');
    goLive();
    socket().receive({ type: 'anomaly', cursor: 'c1', anomaly: { id: 'without a title' } });
    expect(stream.status.unreadable).toBe(1);
    expect(stream.cursor).toBe('c1');
  });

  test('frames of a later protocol are ignored', () => {
    const { stream, socket, goLive } = setUp();
    stream.start('c0');
    goLive();
    socket().receive({ type: 'barometer', pascal: 101_325 });
    expect(stream.status).toMatchObject({ phase: 'live', unreadable: 0 });
  });

  test('a socket that was given up cannot speak any more', () => {
    const { stream, sockets, socket, goLive, onAnomaly } = setUp();
    stream.start('c0');
    goLive();
    const first = sockets[0];
    vi.advanceTimersByTime(WATCHDOG_MS);
    first?.receive(anomalyFrame('c1'));
    expect(onAnomaly).not.toHaveBeenCalled();
    expect(socket().closed).toBe(true);
  });
});

describe('backoff', () => {
  test('grows with each failure up to the cap', () => {
    const { stream, sockets, socket } = setUp(1);
    stream.start(null);
    const waits: number[] = [];
    for (let round = 0; round < 8; round += 1) {
      socket().drop();
      waits.push((stream.status.retryAt ?? 0) - Date.now());
      untilRetry(stream);
    }
    expect(waits).toEqual([500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000]);
    expect(sockets).toHaveLength(9);
  });

  test('is spread over half of its length', () => {
    const early = setUp(0);
    early.stream.start(null);
    early.socket().drop();
    expect((early.stream.status.retryAt ?? 0) - Date.now()).toBe(250);
  });

  test('starts over after a connection that held', () => {
    const { stream, socket, goLive } = setUp(1);
    stream.start(null);
    socket().drop();
    vi.advanceTimersByTime(500);
    goLive();
    vi.advanceTimersByTime(GOOD_AFTER_MS);
    socket().drop();
    expect(stream.status.attempt).toBe(1);
  });

  test('does not start over for a server that accepts and hangs up', () => {
    const { stream, socket, goLive } = setUp(1);
    stream.start(null);
    for (let round = 0; round < 3; round += 1) {
      goLive();
      socket().drop();
      untilRetry(stream);
    }
    expect(stream.status.attempt).toBe(3);
  });

  test('a server that goes away is asked again soon', () => {
    const { stream, socket, goLive } = setUp(1);
    stream.start(null);
    goLive();
    vi.advanceTimersByTime(GOOD_AFTER_MS);
    socket().drop(1001);
    expect((stream.status.retryAt ?? 0) - Date.now()).toBe(500);
  });

  test('remembers since when the list is out of date through all attempts', () => {
    const { stream, socket, goLive } = setUp();
    stream.start(null);
    goLive();
    vi.advanceTimersByTime(GOOD_AFTER_MS);
    const lostAt = Date.now();
    for (let round = 0; round < 3; round += 1) {
      socket().drop();
      untilRetry(stream);
    }
    expect(stream.status.since).toBe(lostAt);
  });

  test('wakes up at once when the network is back', () => {
    const { stream, sockets, socket } = setUp();
    stream.start(null);
    socket().drop();
    stream.wake();
    expect(sockets).toHaveLength(2);
    vi.advanceTimersByTime(BACKOFF_CAP_MS / 2);
    expect(sockets).toHaveLength(2);
  });

  test('stop means stop', () => {
    const { stream, sockets, socket } = setUp();
    stream.start(null);
    socket().drop();
    stream.stop();
    vi.advanceTimersByTime(10 * BACKOFF_CAP_MS);
    expect(sockets).toHaveLength(1);
  });
});

describe('watchdog', () => {
  test('silence is a dead connection', () => {
    const { stream, goLive } = setUp();
    stream.start(null);
    goLive();
    vi.advanceTimersByTime(WATCHDOG_MS - 1);
    expect(stream.status.phase).toBe('live');
    vi.advanceTimersByTime(1);
    expect(stream.status.phase).toBe('reconnecting');
  });

  test('a ping is a sign of life, and is answered', () => {
    const { stream, socket, goLive } = setUp();
    stream.start(null);
    goLive();
    for (let ping = 0; ping < 5; ping += 1) {
      vi.advanceTimersByTime(15_000);
      socket().receive({ type: 'ping' });
    }
    expect(stream.status.phase).toBe('live');
    expect(socket().sent.at(-1)).toEqual({ type: 'pong' });
  });
});

test('a ping moves the cursor, so that a quiet stream resumes where it is', () => {
  const { stream, socket, goLive } = setUp();
  stream.start('c0');
  goLive();
  socket().receive({ type: 'ping', cursor: 'c9' });
  socket().drop();
  untilRetry(stream);
  goLive();
  expect(socket().sent.at(-1)).toMatchObject({ type: 'subscribe', since: 'c9' });
});

describe('lagged', () => {
  test('asks again for what it missed, and says how much that was', () => {
    const { stream, socket, goLive } = setUp();
    stream.start('c0');
    goLive();
    vi.advanceTimersByTime(ASK_AGAIN_MS);
    socket().receive({ type: 'lagged', missed: 12, cursor: 'c5' });
    expect(stream.status.missed).toBe(12);
    expect(socket().sent.at(-1)).toEqual(subscribe('c5'));
    stream.forgetMissed();
    expect(stream.status.missed).toBe(0);
  });

  test('what arrives meanwhile does not move the cursor past what is missing', () => {
    const { stream, socket, goLive, onAnomaly } = setUp();
    stream.start('c0');
    goLive();
    vi.advanceTimersByTime(ASK_AGAIN_MS);
    socket().receive({ type: 'lagged', missed: 2, cursor: 'c5' });
    socket().receive(anomalyFrame('c8'));
    socket().receive({ type: 'lagged', missed: 1, cursor: 'c9' });
    expect(onAnomaly).toHaveBeenCalledOnce();
    expect(stream.cursor).toBe('c5');
    socket().receive({ type: 'subscribed', cursor: 'c5' });
    socket().receive(anomalyFrame('c6'));
    expect(stream.cursor).toBe('c6');
  });

  test('a client that lags and lags does not ask more than once a second', () => {
    const { stream, socket, goLive } = setUp();
    stream.start('c0');
    goLive();
    for (let round = 0; round < 10; round += 1) {
      socket().receive({ type: 'lagged', missed: 1, cursor: 'c5' });
    }
    expect(socket().sent).toHaveLength(1);
    vi.advanceTimersByTime(ASK_AGAIN_MS);
    expect(socket().sent).toEqual([subscribe('c0'), subscribe('c5')]);
  });
});

describe('gone', () => {
  test('wants a new listing and goes on behind it', () => {
    const { stream, socket, goLive, onGone } = setUp();
    stream.start('old');
    goLive();
    socket().receive({ type: 'gone', missed: 12 });
    expect(onGone).toHaveBeenCalledOnce();
    expect(stream.status).toMatchObject({ missed: 12, missedUnknown: false });
    stream.resumeFrom('listed');
    expect(stream.cursor).toBe('listed');
  });

  test('a place that the stream reached since wins over the one of the listing', () => {
    const { stream, socket, goLive } = setUp();
    stream.start('old');
    goLive();
    socket().receive({ type: 'gone', missed: null });
    socket().receive(anomalyFrame('c4'));
    stream.resumeFrom('listed');
    expect(stream.cursor).toBe('c4');
    expect(stream.status.missedUnknown).toBe(true);
  });

  test('a refused subscription forgets the cursor and lists anew', () => {
    const { stream, socket, onGone } = setUp();
    stream.start('nonsense');
    socket().receive(hello('c2'));
    socket().receive({ type: 'error', code: 'bad_cursor', message: 'not a cursor' });
    socket().drop(1008);
    expect(onGone).toHaveBeenCalledOnce();
    expect(stream.status.problem).toBe('not a cursor');
    untilRetry(stream);
    socket().receive(hello('c2'));
    expect(socket().sent).toEqual([subscribe('c2')]);
  });
});
