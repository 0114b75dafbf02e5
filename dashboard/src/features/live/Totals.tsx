import { fetchSummary } from '../../api/http';
import { dataOf, type Loadable } from '../../api/loadable';
import type { Summary } from '../../api/types';
import { usePolled } from '../../api/usePolled';
import { formatAgo, formatCompact, formatCount } from '../../ui/format';
import { WarnIcon } from '../../ui/icons';

const REFRESH_MS = 5_000;

const FIGURES: readonly { field: keyof Summary; label: string; alarming: boolean }[] = [
  { field: 'open_anomalies', label: 'Open anomalies', alarming: true },
  { field: 'records', label: 'Records stored', alarming: false },
  { field: 'errors', label: 'Errors', alarming: false },
  { field: 'dead_lettered', label: 'Dead letters', alarming: true },
  { field: 'services', label: 'Services', alarming: false },
];

export function Totals({ now }: { now: number }) {
  const { state, retry } = usePolled('summary', fetchSummary, REFRESH_MS);
  return <TotalsView state={state} now={now} onRetry={retry} />;
}

interface ViewProps {
  state: Loadable<Summary>;
  now: number;
  onRetry: () => void;
}

export function TotalsView({ state, now, onRetry }: ViewProps) {
  const summary = dataOf(state);
  return (
    <section className="panel totals" aria-label="Totals" data-phase={state.phase}>
      <dl>
        {FIGURES.map(({ field, label, alarming }) => (
          <div key={field} data-alarming={alarming && (summary?.[field] ?? 0) > 0}>
            <dt>{label}</dt>
            <dd title={summary ? formatCount(summary[field]) : undefined}>
              {summary ? formatCompact(summary[field]) : '–'}
            </dd>
          </div>
        ))}
      </dl>
      {state.phase === 'loading' && (
        <span className="visually-hidden" role="status">
          Loading totals
        </span>
      )}
      {(state.phase === 'error' || state.phase === 'stale') && (
        <p className="totals-problem" role="status">
          <WarnIcon />
          <span>
            {state.phase === 'stale' && `Totals as of ${formatAgo(state.at, now)}. `}
            {state.message}
          </span>
          <button type="button" className="link" onClick={onRetry}>
            Try again
          </button>
        </p>
      )}
    </section>
  );
}
