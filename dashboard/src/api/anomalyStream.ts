// The client of `/ws/anomalies`: keeps a connection, and the place in the stream.
//
// Invariant: `#cursor` never passes an anomaly that was not handed to the listener, except where the
// server said that it is gone. What comes twice is the listener's to recognise, by id and version.

import { decodeFrame, type DecodedFrame } from './decode';
import type { Anomaly, ClientFrame } from './types';

export const SUBPROTOCOL = 'barograph.v1';
/** The server pings every 15 s; three missed pings are a dead connection. */
export const WATCHDOG_MS = 45_000;
/** From opening the socket to `subscribed`. */
export const CONNECT_MS = 10_000;
/** A connection that lived this long was a good one: the backoff starts over. */
export const GOOD_AFTER_MS = 5_000;
export const BACKOFF_BASE_MS = 500;
export const BACKOFF_CAP_MS = 15_000;
/** Between two requests for what a slow client missed. */
export const ASK_AGAIN_MS = 1_000;
const GOING_AWAY = 1001;

/** The part of `WebSocket` that the client uses. */
export interface Socket {
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: { code: number }) => void) | null;
  send: (text: string) => void;
  close: () => void;
}

export function openSocket(url: string): Socket {
  const socket = new WebSocket(url, SUBPROTOCOL);
  const opened: Socket = {
    onmessage: null,
    onclose: null,
    send: (text) => {
      socket.send(text);
    },
    close: () => {
      socket.close();
    },
  };
  socket.addEventListener('message', ({ data }: MessageEvent<unknown>) => {
    opened.onmessage?.({ data });
  });
  socket.addEventListener('close', ({ code }) => {
    opened.onclose?.({ code });
  });
  return opened;
}

export interface StreamStatus {
  phase: 'connecting' | 'live' | 'reconnecting';
  /** When the phase began. For `reconnecting`: when the connection was lost. */
  since: number;
  /** Failed attempts since the last good connection. */
  attempt: number;
  /** When the next attempt starts; null while one is under way. */
  retryAt: number | null;
  lastFrameAt: number | null;
  server: string | null;
  /** How many anomalies the server left out for us, as far as it could say. */
  missed: number;
  /** Some were left out, and the server could not say how many. */
  missedUnknown: boolean;
  /** Frames that could not be read. */
  unreadable: number;
  problem: string | null;
}

export interface Arrival {
  receivedAt: number;
  /** When the subscription was asked for: what was published before is catching up, not live. */
  subscribedAt: number;
}

export interface StreamListener {
  onAnomaly: (anomaly: Anomaly, arrival: Arrival) => void;
  onStatus: (status: StreamStatus) => void;
  /** The place in the stream is lost; only a new listing can tell what is there. */
  onGone: () => void;
}

export interface StreamOptions {
  open: () => Socket;
  listener: StreamListener;
  now?: () => number;
  random?: () => number;
}

type Timer = ReturnType<typeof setTimeout>;

export class AnomalyStream {
  readonly #open: () => Socket;
  readonly #listener: StreamListener;
  readonly #now: () => number;
  readonly #random: () => number;

  #socket: Socket | null = null;
  #cursor: string | null = null;
  /** Set from `lagged` until the server confirms that it resumes: the cursor must not move on. */
  #asking = false;
  #askedAt = -Infinity;
  #subscribedAt = 0;
  #watchdog: Timer | undefined;
  #retry: Timer | undefined;
  #askTimer: Timer | undefined;
  #status: StreamStatus;

  constructor({ open, listener, now = Date.now, random = Math.random }: StreamOptions) {
    this.#open = open;
    this.#listener = listener;
    this.#now = now;
    this.#random = random;
    this.#status = {
      phase: 'connecting',
      since: now(),
      attempt: 0,
      retryAt: null,
      lastFrameAt: null,
      server: null,
      missed: 0,
      missedUnknown: false,
      unreadable: 0,
      problem: null,
    };
  }

  get cursor(): string | null {
    return this.#cursor;
  }

  get status(): StreamStatus {
    return this.#status;
  }

  /** Connects; resumes behind `cursor` when there is one. */
  start(cursor: string | null): void {
    this.#cursor = cursor;
    this.#connect();
  }

  stop(): void {
    this.#hangUp();
    clearTimeout(this.#retry);
  }

  /** Takes the cursor of a listing, unless the stream has one of its own. */
  resumeFrom(cursor: string): void {
    this.#cursor ??= cursor;
  }

  /** For when something suggests that the world changed: the tab is back, the network is. */
  wake(): void {
    const { phase, lastFrameAt, retryAt } = this.#status;
    if (retryAt !== null) this.#connect();
    else if (phase === 'live' && this.#now() - (lastFrameAt ?? 0) > WATCHDOG_MS) this.#lost(null);
  }

  forgetMissed(): void {
    this.#update({ missed: 0, missedUnknown: false });
  }

  #connect(): void {
    clearTimeout(this.#retry);
    this.#hangUp();
    this.#update({ retryAt: null });
    this.#watch(CONNECT_MS);
    let socket: Socket;
    try {
      socket = this.#open();
    } catch {
      this.#lost(null);
      return;
    }
    this.#socket = socket;
    socket.onmessage = ({ data }) => {
      this.#receive(decodeFrame(data));
    };
    socket.onclose = ({ code }) => {
      this.#lost(code);
    };
  }

  #receive(frame: DecodedFrame): void {
    if (this.#status.phase === 'live') this.#watch(WATCHDOG_MS);
    this.#update({ lastFrameAt: this.#now() });
    switch (frame.type) {
      case 'hello':
        this.#cursor ??= frame.cursor;
        this.#update({ server: `${frame.server} ${frame.version}`.trim() });
        this.#subscribe();
        break;
      case 'subscribed':
        this.#asking = false;
        this.#cursor ??= frame.cursor || null;
        if (this.#status.phase !== 'live') {
          this.#update({ phase: 'live', since: this.#now(), problem: null });
        }
        this.#watch(WATCHDOG_MS);
        break;
      case 'anomaly':
        this.#advance(frame.cursor);
        this.#listener.onAnomaly(
          // The frame's trace context is the later link of the same trace.
          { ...frame.anomaly, traceparent: frame.anomaly.traceparent ?? frame.traceparent },
          { receivedAt: this.#now(), subscribedAt: this.#subscribedAt },
        );
        break;
      case 'lagged':
        this.#update({ missed: this.#status.missed + frame.missed });
        // A second one before the answer to the first: what is missing begins at the first.
        if (!this.#asking) this.#cursor = frame.cursor;
        this.#asking = true;
        this.#askAgain();
        break;
      case 'gone':
        this.#cursor = null;
        this.#update({
          missed: this.#status.missed + (frame.missed ?? 0),
          missedUnknown: this.#status.missedUnknown || frame.missed === null,
        });
        this.#listener.onGone();
        break;
      case 'ping':
        this.#send({ type: 'pong' });
        // Covers what a filter left out, so that the cursor does not grow old in a quiet hour.
        if (frame.cursor != null && this.#status.phase === 'live') this.#advance(frame.cursor);
        break;
      case 'error':
        this.#update({ problem: frame.message });
        if (this.#status.phase !== 'live' && this.#cursor !== null) {
          // The subscription was refused; most likely the cursor means nothing to this server.
          this.#cursor = null;
          this.#listener.onGone();
        }
        break;
      case 'unreadable':
        this.#update({ unreadable: this.#status.unreadable + 1 });
        if (frame.cursor !== null) this.#advance(frame.cursor);
        break;
      case 'unknown':
        break;
    }
  }

  #advance(cursor: string): void {
    if (!this.#asking && cursor !== '') this.#cursor = cursor;
  }

  #askAgain(): void {
    clearTimeout(this.#askTimer);
    const wait = this.#askedAt + ASK_AGAIN_MS - this.#now();
    if (wait <= 0) this.#subscribe();
    else
      this.#askTimer = setTimeout(() => {
        this.#subscribe();
      }, wait);
  }

  #subscribe(): void {
    this.#askedAt = this.#now();
    this.#subscribedAt = this.#now();
    this.#send({
      type: 'subscribe',
      filter: { services: [], kinds: [], min_severity: 'low', text: '' },
      since: this.#cursor,
    });
  }

  #send(frame: ClientFrame): void {
    try {
      this.#socket?.send(JSON.stringify(frame));
    } catch {
      // The socket is closing; its close event follows.
    }
  }

  #lost(code: number | null): void {
    this.#hangUp();
    const { phase, since, attempt } = this.#status;
    const wasLive = phase === 'live';
    const failures = wasLive && this.#now() - since >= GOOD_AFTER_MS ? 0 : attempt;
    // A server that restarts is back soon; one that keeps going away is treated like any other.
    const soon = code === GOING_AWAY && wasLive && failures < 3;
    const delay = soon ? 100 + 400 * this.#random() : this.#backoff(failures);
    this.#update({
      phase: 'reconnecting',
      since: phase === 'reconnecting' ? since : wasLive ? this.#now() : since,
      attempt: failures + 1,
      retryAt: this.#now() + delay,
    });
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => {
      this.#connect();
    }, delay);
  }

  /** Half of it fixed, half of it chance, so that a thousand tabs do not come back at once. */
  #backoff(failures: number): number {
    const full = Math.min(BACKOFF_CAP_MS, BACKOFF_BASE_MS * 2 ** failures);
    return full / 2 + (full / 2) * this.#random();
  }

  #watch(budget: number): void {
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => {
      this.#lost(null);
    }, budget);
  }

  #hangUp(): void {
    clearTimeout(this.#watchdog);
    clearTimeout(this.#askTimer);
    this.#asking = false;
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onmessage = null;
    socket.onclose = null;
    socket.close();
  }

  #update(change: Partial<StreamStatus>): void {
    this.#status = { ...this.#status, ...change };
    this.#listener.onStatus(this.#status);
  }
}
