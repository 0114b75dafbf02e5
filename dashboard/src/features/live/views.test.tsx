// The four states of the totals and of the chart's panel. The chart itself needs a browser.

import { renderToStaticMarkup } from 'react-dom/server';
import { describe, expect, test } from 'vitest';

import { failed, loaded, LOADING, type Loadable } from '../../api/loadable';
import type { Summary, Volume } from '../../api/types';
import { LiveBody } from './LivePanel';
import { TotalsView } from './Totals';

const NOW = Date.parse('2026-11-21T07:02:00Z');
const ignore = (): void => undefined;

const SUMMARY: Summary = {
  records: 48_211_934,
  errors: 21_417,
  services: 12,
  open_anomalies: 2,
  dead_lettered: 0,
};

const totals = (state: Loadable<Summary>): string =>
  renderToStaticMarkup(<TotalsView state={state} now={NOW} onRetry={ignore} />);

describe('totals', () => {
  test('loading', () => {
    expect(totals(LOADING)).toContain('Loading totals');
  });

  test('ready: what fits, with every digit on hover', () => {
    const html = totals(loaded(SUMMARY, NOW));
    expect(html).toContain('48.2M');
    expect(html).toContain('48,211,934');
  });

  test('error', () => {
    expect(totals(failed<Summary>(LOADING, 'away'))).toContain('away');
  });

  test('stale keeps the numbers and says how old they are', () => {
    const html = totals(failed(loaded(SUMMARY, NOW - 30_000), 'away'));
    expect(html).toContain('48.2M');
    expect(html).toContain('30 s ago');
  });
});

const VOLUME: Volume = { bucket_seconds: 10, points: [], services: ['checkout'] };

const live = (state: Loadable<Volume>, service = ''): string =>
  renderToStaticMarkup(
    <LiveBody
      state={state}
      clockOffset={0}
      retry={ignore}
      minutes={15}
      onMinutes={ignore}
      service={service}
      onService={ignore}
      anomalies={[]}
      selected={null}
      onSelect={ignore}
      theme="dark"
      compact={false}
      now={NOW}
    />,
  );

describe('volume and errors', () => {
  test('loading', () => {
    expect(live(LOADING)).toContain('Loading volume and errors');
  });

  test('empty tells how to send the first logs', () => {
    const html = live(loaded(VOLUME, NOW));
    expect(html).toContain('barograph demo');
    expect(html).toContain('kcat');
  });

  test('a quiet service is not an empty system', () => {
    const html = live(loaded(VOLUME, NOW), 'checkout');
    expect(html).toContain('Nothing from checkout');
    expect(html).not.toContain('barograph demo');
  });

  test('error', () => {
    expect(live(failed<Volume>(LOADING, 'away'))).toContain('away');
  });

  test('stale', () => {
    expect(live(failed(loaded(VOLUME, NOW - 30_000), 'away'))).toContain('30 s ago');
  });
});
