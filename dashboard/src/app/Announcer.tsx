import type { FeedSnapshot } from '../api/anomalyFeed';
import { plural } from '../ui/format';

/** Tells a screen reader what the eye sees appear. */
export function Announcer({ arrived }: { arrived: FeedSnapshot['arrived'] }) {
  const [first, ...more] = arrived.anomalies;
  return (
    <div className="visually-hidden" aria-live="polite" data-batch={arrived.batch}>
      {first &&
        `New anomaly, ${first.severity}: ${first.title}.` +
          (more.length > 0 ? ` And ${plural(more.length, 'more', 'more')}.` : '')}
    </div>
  );
}
