import { useMemo } from 'react';

import { fetchVolume } from '../../api/http';
import type { Loadable } from '../../api/loadable';
import type { Anomaly, Volume } from '../../api/types';
import { usePolled } from '../../api/usePolled';
import { Segmented, Select, type Choice } from '../../ui/controls';
import { formatAgo } from '../../ui/format';
import { FirstLogs } from '../../ui/FirstLogs';
import { Paper } from '../../ui/Motif';
import { Empty, ErrorNotice, Loading, StaleNotice } from '../../ui/notices';
import { Chart } from './Chart';
import { prepare, rangeOf, type Marker } from './series';
import './live.css';

export const RANGES: readonly Choice<number>[] = [
  { value: 15, label: '15 min' },
  { value: 60, label: '1 h' },
  { value: 360, label: '6 h' },
];

const REFRESH_MS = 2_000;
/** This long without a record is worth saying. */
const QUIET_MS = 60_000;

export interface LivePanelProps {
  minutes: number;
  onMinutes: (minutes: number) => void;
  service: string;
  onService: (service: string) => void;
  /** Those to mark, whatever their service. */
  anomalies: readonly Anomaly[];
  selected: string | null;
  onSelect: (id: string) => void;
  theme: string;
  compact: boolean;
  now: number;
}

export function LivePanel(props: LivePanelProps) {
  const { minutes, service } = props;
  const volume = usePolled(
    `${minutes} ${service}`,
    (signal) => fetchVolume(minutes, service, signal),
    REFRESH_MS,
  );
  const services = useServices(volume.state, props.anomalies, service);

  return (
    <section className="panel live" aria-labelledby="live-title">
      <header className="panel-head">
        <h2 id="live-title">Volume and errors</h2>
        <div className="panel-tools">
          <Select
            label="Service"
            choices={[
              { value: '', label: 'All services' },
              ...services.map((name) => ({ value: name, label: name })),
            ]}
            value={service}
            onChange={props.onService}
          />
          <Segmented
            legend="Time range"
            choices={RANGES}
            value={minutes}
            onChange={props.onMinutes}
          />
        </div>
      </header>
      <LiveBody {...props} {...volume} />
    </section>
  );
}

interface BodyProps extends LivePanelProps {
  state: Loadable<Volume>;
  clockOffset: number;
  retry: () => void;
}

/** One of the four states. */
export function LiveBody(props: BodyProps) {
  const { state, retry, now, service } = props;
  switch (state.phase) {
    case 'loading':
      return <Loading what="volume and errors" rows={4} />;
    case 'error':
      return <ErrorNotice title="No volume to show" message={state.message} onRetry={retry} />;
    case 'ready':
    case 'stale': {
      const isEmpty = state.data.points.length === 0;
      return (
        <>
          {state.phase === 'stale' && (
            <StaleNotice at={state.at} now={now} message={state.message} />
          )}
          {isEmpty && service === '' && (
            <Empty title="The paper is blank">
              <Paper blank />
              <p>No record in this time range. The trace begins with the first log line.</p>
              <FirstLogs />
            </Empty>
          )}
          {isEmpty && service !== '' && (
            <Empty title={`Nothing from ${service}`}>
              <p>This service wrote no record in this time range.</p>
            </Empty>
          )}
          {!isEmpty && <LiveChart {...props} volume={state.data} at={state.at} />}
        </>
      );
    }
  }
}

interface LiveChartProps extends BodyProps {
  volume: Volume;
  /** When the volume was fetched. */
  at: number;
}

function LiveChart(props: LiveChartProps) {
  const { volume, at, clockOffset, minutes, service, anomalies, now } = props;
  const range = useMemo(() => rangeOf(minutes, at + clockOffset), [minutes, at, clockOffset]);
  const prepared = useMemo(() => prepare(volume, range), [volume, range]);
  const markers = useMemo(() => markersOf(anomalies, service), [anomalies, service]);

  const newest = Date.parse(volume.points.at(-1)?.t ?? '') + volume.bucket_seconds * 1_000;
  const isQuiet = now + clockOffset - newest > QUIET_MS;

  return (
    <>
      <Chart
        prepared={prepared}
        range={range}
        markers={markers}
        selected={props.selected}
        onSelect={props.onSelect}
        theme={props.theme}
        compact={props.compact}
      />
      <p className="chart-caption">
        {isQuiet ? (
          <strong>
            No record since {formatAgo(newest, now + clockOffset)}: quiet services, or logs that do
            not arrive.
          </strong>
        ) : (
          'Dashed: still filling. Hatched: no record arrived. Bands: anomalies.'
        )}
      </p>
    </>
  );
}

const markersOf = (anomalies: readonly Anomaly[], service: string): Marker[] =>
  anomalies
    .filter((one) => service === '' || one.service === service || one.services.includes(service))
    .map((one) => ({
      id: one.id,
      title: one.title,
      severity: one.severity,
      from: Date.parse(one.window_start) / 1_000,
      to: Date.parse(one.window_end) / 1_000,
    }));

/** What the server knows, and what the anomalies and the filter name besides. */
function useServices(
  state: Loadable<Volume>,
  anomalies: readonly Anomaly[],
  chosen: string,
): string[] {
  const known = state.phase === 'ready' || state.phase === 'stale' ? state.data.services : null;
  return useMemo(() => {
    const names = new Set([...(known ?? []), ...anomalies.map((one) => one.service)]);
    if (chosen !== '') names.add(chosen);
    return [...names].toSorted();
  }, [known, anomalies, chosen]);
}
