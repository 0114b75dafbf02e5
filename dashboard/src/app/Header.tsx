import type { FeedSnapshot } from '../api/anomalyFeed';
import { formatAgo, formatDuration, plural } from '../ui/format';
import { CloseIcon, MoonIcon, SunIcon } from '../ui/icons';
import { Mark } from '../ui/Motif';
import type { Theme } from '../ui/theme';
import { describeMissed, type Connection } from './connection';

interface Props {
  snapshot: FeedSnapshot;
  connection: Connection;
  onForgetMissed: () => void;
  theme: Theme;
  onToggleTheme: () => void;
  now: number;
}

export function Header({ snapshot, connection, onForgetMissed, theme, onToggleTheme, now }: Props) {
  const { status, lag } = snapshot;
  const missed = describeMissed(status);
  const unreadable = snapshot.unreadable + status.unreadable;
  const other = theme === 'dark' ? 'light' : 'dark';
  return (
    <header className="top">
      <h1>
        <Mark />
        Barograph
      </h1>
      <p className="tagline">sees the storm in your logs before your users do</p>
      <div className="top-status">
        {missed !== null && (
          <span className="chip" data-tone="warn" role="status">
            {missed}
            <button type="button" aria-label="Dismiss missed anomalies" onClick={onForgetMissed}>
              <CloseIcon />
            </button>
          </span>
        )}
        {unreadable > 0 && (
          <span className="chip" data-tone="warn">
            {plural(unreadable, 'unreadable message')}
          </span>
        )}
        <span
          className="lag"
          title={
            lag
              ? `Age of the last live anomaly when it arrived, ${formatAgo(lag.at, now)}`
              : 'Age of an anomaly when it arrives; known after the first'
          }
        >
          Lag <strong>{lag ? formatDuration(lag.ms) : '–'}</strong>
        </span>
        <span className="connection" data-tone={connection.tone} title={connection.detail}>
          <span className="connection-dot" aria-hidden="true" />
          <span role="status" aria-label="Connection">
            {connection.label}
          </span>
          {connection.tone !== 'live' && (
            <span className="connection-detail">{connection.detail}</span>
          )}
        </span>
        <button
          type="button"
          className="icon-button"
          aria-label={`Switch to the ${other} theme`}
          title={`Switch to the ${other} theme`}
          onClick={onToggleTheme}
        >
          {theme === 'dark' ? <SunIcon /> : <MoonIcon />}
        </button>
      </div>
    </header>
  );
}
