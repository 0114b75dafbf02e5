import { useEffect, useState, useSyncExternalStore } from 'react';

import { AnomalyFeed, type FeedSnapshot } from './anomalyFeed';

/** One feed for the life of the page. */
export function useAnomalyFeed(): { snapshot: FeedSnapshot; feed: AnomalyFeed } {
  const [feed] = useState(() => new AnomalyFeed());

  useEffect(() => feed.start(), [feed]);

  useEffect(() => {
    const onVisible = (): void => {
      if (!document.hidden) feed.wake();
    };
    document.addEventListener('visibilitychange', onVisible);
    window.addEventListener('online', feed.wake);
    return () => {
      document.removeEventListener('visibilitychange', onVisible);
      window.removeEventListener('online', feed.wake);
    };
  }, [feed]);

  return { snapshot: useSyncExternalStore(feed.subscribe, feed.snapshot), feed };
}
