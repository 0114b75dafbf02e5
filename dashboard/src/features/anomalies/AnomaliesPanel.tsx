import { useMemo } from 'react';

import type { Loadable } from '../../api/loadable';
import { SEVERITIES, type Anomaly, type Severity } from '../../api/types';
import { Select } from '../../ui/controls';
import { formatCount, humanise, plural } from '../../ui/format';
import { SearchIcon } from '../../ui/icons';
import { Paper } from '../../ui/Motif';
import { Empty, ErrorNotice, Loading, StaleNotice } from '../../ui/notices';
import { AnomalyTable } from './AnomalyTable';
import { isEverything, kindsOf, matches, type ListFilter } from './filter';
import './anomalies.css';

export interface AnomaliesPanelProps {
  listing: Loadable<true>;
  anomalies: readonly Anomaly[];
  filter: ListFilter;
  onFilter: (change: Partial<ListFilter>) => void;
  onClearFilter: () => void;
  onRetry: () => void;
  selected: string | null;
  onSelect: (id: string) => void;
  /** Since when the stream is away; null while it is there. */
  staleSince: number | null;
  now: number;
}

export function AnomaliesPanel(props: AnomaliesPanelProps) {
  const { anomalies, filter, onFilter, selected, onSelect, now } = props;
  const shown = useMemo(() => anomalies.filter((one) => matches(filter, one)), [anomalies, filter]);
  const kinds = useMemo(() => kindsOf(anomalies), [anomalies]);
  const ongoing = shown.filter((one) => one.state !== 'closed').length;

  return (
    <section className="panel" aria-labelledby="anomalies-title">
      <header className="panel-head">
        <h2 id="anomalies-title">Anomalies</h2>
        {anomalies.length > 0 && (
          <p className="panel-count">
            {ongoing > 0 && <strong>{formatCount(ongoing)} ongoing · </strong>}
            {shown.length === anomalies.length
              ? formatCount(shown.length)
              : `${formatCount(shown.length)} of ${formatCount(anomalies.length)}`}{' '}
            listed
          </p>
        )}
        <div className="panel-tools" role="search" aria-label="Filter anomalies">
          <label className="search">
            <SearchIcon />
            <span className="visually-hidden">Text in title, service or sample lines</span>
            <input
              type="search"
              placeholder="Find in titles and lines"
              value={filter.text}
              onChange={(event) => {
                onFilter({ text: event.target.value });
              }}
            />
          </label>
          <Select
            label="Kind"
            value={filter.kind}
            choices={[
              { value: '', label: 'All kinds' },
              ...withChosen(kinds, filter.kind).map((kind) => ({
                value: kind,
                label: humanise(kind),
              })),
            ]}
            onChange={(kind) => {
              onFilter({ kind });
            }}
          />
          <Select
            label="Severity"
            value={filter.minSeverity}
            choices={SEVERITIES.map((level) => ({
              value: level,
              label: level === 'low' ? 'Any severity' : SEVERITY_LABELS[level],
            }))}
            onChange={(level) => {
              onFilter({ minSeverity: SEVERITIES.find((one) => one === level) ?? 'low' });
            }}
          />
        </div>
      </header>
      <AnomaliesBody
        {...props}
        shown={shown}
        table={<AnomalyTable anomalies={shown} selected={selected} onSelect={onSelect} now={now} />}
      />
    </section>
  );
}

const SEVERITY_LABELS: Readonly<Record<Severity, string>> = {
  low: 'Low and above',
  medium: 'Medium and above',
  high: 'High and above',
  critical: 'Critical only',
};

const withChosen = (known: readonly string[], chosen: string): string[] =>
  chosen === '' || known.includes(chosen) ? [...known] : [...known, chosen];

type BodyProps = AnomaliesPanelProps & {
  shown: readonly Anomaly[];
  table: React.ReactNode;
};

/** One of the four states; what came over the stream is shown even when the listing failed. */
export function AnomaliesBody(props: BodyProps) {
  const { listing, anomalies, shown, filter, staleSince, now } = props;
  if (listing.phase === 'loading' && anomalies.length === 0) {
    return <Loading what="anomalies" rows={5} />;
  }
  return (
    <>
      {listing.phase === 'error' && (
        <ErrorNotice
          title={anomalies.length > 0 ? 'Earlier anomalies are missing' : 'No anomalies to show'}
          message={listing.message}
          onRetry={props.onRetry}
        />
      )}
      {listing.phase === 'stale' && (
        <StaleNotice at={listing.at} now={now} message={listing.message} />
      )}
      {listing.phase !== 'stale' && staleSince !== null && anomalies.length > 0 && (
        <StaleNotice
          at={staleSince}
          now={now}
          message="New anomalies appear once the stream is back."
        />
      )}
      {shown.length > 0 && props.table}
      {listing.phase !== 'error' && anomalies.length === 0 && (
        <Empty title="Calm so far">
          <Paper />
          <p>
            No anomaly yet. The detectors need a short while of normal logs before they can tell
            what is not; <code>barograph demo</code> sends both.
          </p>
        </Empty>
      )}
      {anomalies.length > 0 && shown.length === 0 && (
        <Empty title="Nothing matches">
          <p>
            {plural(anomalies.length, 'anomaly is', 'anomalies are')} hidden
            {filter.service !== '' && ` (service: ${filter.service})`}.
          </p>
          {!isEverything(filter) && (
            <button type="button" className="button" onClick={props.onClearFilter}>
              Clear filters
            </button>
          )}
        </Empty>
      )}
    </>
  );
}
