import { useEffect, useRef, type ReactNode } from 'react';

import type { Loadable } from '../../api/loadable';
import type { Anomaly, Sample } from '../../api/types';
import { Copy } from '../../ui/Copy';
import { ExpectedRange } from '../../ui/ExpectedRange';
import {
  formatAbsolute,
  formatClockMs,
  formatCount,
  formatDuration,
  formatShare,
  formatValue,
  humanise,
  traceIdOf,
} from '../../ui/format';
import { CloseIcon } from '../../ui/icons';
import { Empty, ErrorNotice, Loading, StaleNotice } from '../../ui/notices';
import { SeverityBadge } from '../../ui/SeverityBadge';
import { StateBadge } from '../../ui/StateBadge';
import { Absolute, Ago } from '../../ui/Time';
import { evidenceQuery } from './query';

export interface AnomalyDetailProps {
  listing: Loadable<true>;
  /** Null when the list does not hold what was asked for. */
  anomaly: Anomaly | null;
  onClose: () => void;
  onRetry: () => void;
  staleSince: number | null;
  now: number;
  /** On a small screen the detail covers the page. */
  modal: boolean;
}

export function AnomalyDetail(props: AnomalyDetailProps) {
  const { anomaly, onClose, modal } = props;
  const closeButton = useRef<HTMLButtonElement>(null);

  useEffect(() => {
    if (modal) closeButton.current?.focus();
  }, [modal]);

  return (
    <section
      className="panel detail"
      aria-labelledby="detail-title"
      data-level={anomaly?.severity}
      {...(modal && { role: 'dialog', 'aria-modal': true })}
    >
      <header className="detail-head">
        <div className="detail-badges">
          {anomaly && (
            <>
              <SeverityBadge level={anomaly.severity} />
              <StateBadge
                closed={anomaly.state === 'closed'}
                start={Date.parse(anomaly.window_start)}
                end={Date.parse(anomaly.window_end)}
                now={props.now}
              />
            </>
          )}
        </div>
        <button
          ref={closeButton}
          type="button"
          className="icon-button"
          aria-label="Close detail"
          title="Close (Esc)"
          onClick={onClose}
        >
          <CloseIcon />
        </button>
      </header>
      <DetailBody {...props} />
    </section>
  );
}

/** One of the four states. */
export function DetailBody({ listing, anomaly, onRetry, staleSince, now }: AnomalyDetailProps) {
  if (anomaly) {
    return (
      <>
        {staleSince !== null && (
          <StaleNotice at={staleSince} now={now} message="It may have changed since." />
        )}
        <Story anomaly={anomaly} now={now} />
      </>
    );
  }
  if (listing.phase === 'loading') {
    return (
      <>
        <h2 id="detail-title" className="visually-hidden">
          Anomaly
        </h2>
        <Loading what="the anomaly" rows={6} />
      </>
    );
  }
  if (listing.phase === 'error') {
    return (
      <>
        <h2 id="detail-title" className="visually-hidden">
          Anomaly
        </h2>
        <ErrorNotice title="No anomaly to show" message={listing.message} onRetry={onRetry} />
      </>
    );
  }
  return (
    <Empty title="Not in the list any more">
      <h2 id="detail-title" className="visually-hidden">
        Anomaly
      </h2>
      <p>The newest anomalies are listed here; older ones are in the table anomalies.</p>
    </Empty>
  );
}

function Story({ anomaly, now }: { anomaly: Anomaly; now: number }) {
  const { explanation, samples } = anomaly;
  return (
    <>
      <h2 id="detail-title" className="detail-title">
        {anomaly.title}
      </h2>
      <p className="detail-meta">
        {anomaly.service} · {humanise(anomaly.kind)} · detected{' '}
        <Ago at={anomaly.detected_at} now={now} />
      </p>
      <Comparison anomaly={anomaly} />
      <Part title="Why">
        <p className="summary">{explanation.summary || 'The server gave no explanation.'}</p>
        {explanation.parts.length > 0 && (
          <ol className="parts">
            {explanation.parts.map((part, at) => (
              <li key={at}>
                <div className="part-head">
                  <span className="part-name">{humanise(part.name)}</span>
                  <span className="part-share">
                    <span className="visually-hidden">contributes </span>
                    {formatShare(part.share)}
                  </span>
                </div>
                <svg className="part-bar" aria-hidden="true">
                  <rect width="100%" height="100%" rx="1.5" />
                  <rect
                    className="part-fill"
                    width={`${Math.min(1, Math.max(0, part.share)) * 100}%`}
                    height="100%"
                    rx="1.5"
                  />
                </svg>
                <p>{part.text}</p>
              </li>
            ))}
          </ol>
        )}
        {explanation.baseline && (
          <p className="baseline">
            <strong>Held against:</strong> {explanation.baseline}
          </p>
        )}
      </Part>
      <Part title="Sample lines">
        {samples.length === 0 ? (
          <p className="quiet">No line to show: nothing was logged, or nothing was kept.</p>
        ) : (
          <ol className="samples">
            {samples.map((sample) => (
              <SampleLine key={`${sample.partition} ${sample.offset}`} sample={sample} />
            ))}
          </ol>
        )}
      </Part>
      <Evidence anomaly={anomaly} />
    </>
  );
}

const Part = ({ title, children }: { title: string; children: ReactNode }) => (
  <section className="detail-part" aria-label={title}>
    <h3>{title}</h3>
    {children}
  </section>
);

function Comparison({ anomaly }: { anomaly: Anomaly }) {
  const { observed, expected, lower, upper, unit, direction } = anomaly;
  const length = Date.parse(anomaly.window_end) - Date.parse(anomaly.window_start);
  return (
    <section className="comparison" aria-label="Expected against observed">
      <dl>
        <div className="comparison-observed">
          <dt>Observed</dt>
          <dd>
            {formatValue(observed)} <small>{unit}</small>
          </dd>
        </div>
        <div>
          <dt>Expected</dt>
          <dd>
            {formatValue(expected)} <small>{unit}</small>
          </dd>
        </div>
        <div>
          <dt>Normal range</dt>
          <dd>
            {formatValue(lower)}
            <span aria-hidden="true"> – </span>
            <span className="visually-hidden"> to </span>
            {formatValue(upper)}
          </dd>
        </div>
      </dl>
      <ExpectedRange {...anomaly} />
      <p className="comparison-note">
        <span>
          <span aria-hidden="true">{direction === 'up' ? '↑' : '↓'}</span>{' '}
          {direction === 'up' ? 'Above' : 'Below'} normal · score{' '}
          <strong>{formatValue(anomaly.score)}</strong>
          <span className="quiet"> (anomalous above 1)</span>
        </span>
        <span title={`until ${formatAbsolute(Date.parse(anomaly.window_end))}`}>
          {formatDuration(length)} from <Absolute at={anomaly.window_start} />
        </span>
      </p>
    </section>
  );
}

const SampleLine = ({ sample }: { sample: Sample }) => (
  <li data-log-level={sample.level}>
    <div className="sample-head">
      <time dateTime={sample.timestamp} title={sample.timestamp}>
        {formatClockMs(Date.parse(sample.timestamp))}
      </time>
      <span className="log-level">{sample.level}</span>
      <span className="sample-place">
        p{sample.partition} @ {sample.offset}
      </span>
    </div>
    <code className="sample-message">{sample.message}</code>
    {sample.trace_id !== null && (
      <div className="sample-trace">
        <span>trace</span> <code>{sample.trace_id}</code>
        <Copy text={sample.trace_id} what={`trace id ${sample.trace_id}`} />
      </div>
    )}
  </li>
);

function Evidence({ anomaly }: { anomaly: Anomaly }) {
  const { evidence } = anomaly;
  const query = evidenceQuery(anomaly);
  const traceId = traceIdOf(anomaly.traceparent);
  const lines = evidence.last_offset - evidence.first_offset + 1;
  return (
    <Part title="Evidence">
      <dl className="facts">
        <dt>Topic</dt>
        <dd>
          {evidence.topic}, partition {evidence.partition}
        </dd>
        <dt>Offsets</dt>
        <dd>
          {evidence.first_offset} to {evidence.last_offset}{' '}
          <span className="quiet">(spans {formatCount(lines)})</span>
        </dd>
        <dt>Series</dt>
        <dd>
          {anomaly.series} <span className="quiet">by {anomaly.detector}</span>
        </dd>
        {anomaly.services.length > 1 && (
          <>
            <dt>Services</dt>
            <dd>{anomaly.services.join(', ')}</dd>
          </>
        )}
        {traceId !== null && (
          <>
            <dt>Trace</dt>
            <dd>
              <code>{traceId}</code> <Copy text={traceId} what="trace id of the anomaly" />
            </dd>
          </>
        )}
        {anomaly.incident_id !== null && (
          <>
            <dt>Incident</dt>
            <dd>
              <code>{anomaly.incident_id}</code>
            </dd>
          </>
        )}
        <dt>Anomaly</dt>
        <dd>
          <code>{anomaly.id}</code> <Copy text={anomaly.id} what="anomaly id" />{' '}
          <span className="quiet">version {anomaly.version}</span>
        </dd>
      </dl>
      <figure className="query">
        <figcaption>
          <span>The lines in ClickHouse</span>
          <Copy text={query} what="ClickHouse query" label="Copy" />
        </figcaption>
        <pre tabIndex={0}>
          <code>{query}</code>
        </pre>
      </figure>
    </Part>
  );
}
