import { useEffect, useRef, useState } from 'react';

import type { Answer } from './http';
import { failed, loaded, LOADING, type Loadable } from './loadable';

export interface Polled<T> {
  state: Loadable<T>;
  /** The server's clock less ours, in milliseconds. */
  clockOffset: number;
  retry: () => void;
}

/**
 * Fetches now and then every `interval` milliseconds, one request at a time, and not at all while
 * the tab is hidden. A new `key` starts over from `loading`.
 */
export function usePolled<T>(
  key: string,
  fetcher: (signal: AbortSignal) => Promise<Answer<T>>,
  interval: number,
): Polled<T> {
  const [shown, setShown] = useState<{ key: string; state: Loadable<T>; clockOffset: number }>({
    key,
    state: LOADING,
    clockOffset: 0,
  });
  const [round, setRound] = useState(0);
  const latestFetcher = useRef(fetcher);
  useEffect(() => {
    latestFetcher.current = fetcher;
  });

  useEffect(() => {
    const abort = new AbortController();
    let timer: number | undefined;
    let fetching = false;

    const poll = async (): Promise<void> => {
      window.clearTimeout(timer);
      if (fetching || document.hidden) return;
      fetching = true;
      try {
        const { body, clockOffset } = await latestFetcher.current(abort.signal);
        if (abort.signal.aborted) return;
        setShown({ key, state: loaded(body, Date.now()), clockOffset });
      } catch (error) {
        if (abort.signal.aborted) return;
        const message = error instanceof Error ? error.message : String(error);
        setShown((before) => ({
          key,
          state: failed(before.key === key ? before.state : LOADING, message),
          clockOffset: before.clockOffset,
        }));
      } finally {
        fetching = false;
      }
      timer = window.setTimeout(() => void poll(), interval);
    };
    const onVisible = (): void => {
      if (!document.hidden) void poll();
    };

    void poll();
    document.addEventListener('visibilitychange', onVisible);
    return () => {
      abort.abort();
      window.clearTimeout(timer);
      document.removeEventListener('visibilitychange', onVisible);
    };
  }, [key, interval, round]);

  return {
    state: shown.key === key ? shown.state : LOADING,
    clockOffset: shown.clockOffset,
    retry: () => {
      setRound((before) => before + 1);
    },
  };
}
