// The four states of the list and of the detail, as a reader gets them.

import { renderToStaticMarkup } from 'react-dom/server';
import { describe, expect, test } from 'vitest';

import { anAnomaly } from '../../api/fixtures';
import { failed, loaded, LOADING, type Loadable } from '../../api/loadable';
import type { Anomaly } from '../../api/types';
import { AnomaliesPanel } from './AnomaliesPanel';
import { AnomalyDetail } from './AnomalyDetail';
import { EVERYTHING, type ListFilter } from './filter';

const NOW = Date.parse('2026-11-21T07:02:04.200Z');
const READY = loaded<true>(true, NOW);
const ERROR: Loadable<true> = failed<true>(LOADING, 'The gateway cannot be reached.');
const ignore = (): void => undefined;

const text = (html: string): string =>
  html
    .replaceAll(/<[^>]+>/g, ' ')
    .replaceAll(/\s+/g, ' ')
    .trim();

interface Shown {
  listing?: Loadable<true>;
  anomalies?: Anomaly[];
  staleSince?: number | null;
  filter?: Partial<ListFilter>;
}

const list = ({ listing = READY, anomalies = [], staleSince = null, filter = {} }: Shown): string =>
  renderToStaticMarkup(
    <AnomaliesPanel
      listing={listing}
      anomalies={anomalies}
      filter={{ ...EVERYTHING, ...filter }}
      onFilter={ignore}
      onClearFilter={ignore}
      onRetry={ignore}
      selected={null}
      onSelect={ignore}
      staleSince={staleSince}
      now={NOW}
    />,
  );

describe('the list', () => {
  test('loading', () => {
    expect(text(list({ listing: LOADING }))).toContain('Loading anomalies');
  });

  test('empty says what to do', () => {
    expect(text(list({}))).toContain('barograph demo');
  });

  test('error says why and offers to try again', () => {
    const shown = text(list({ listing: ERROR }));
    expect(shown).toContain('The gateway cannot be reached.');
    expect(shown).toContain('Try again');
    expect(shown).not.toContain('Calm so far');
  });

  test('error with what the stream brought shows both', () => {
    const shown = text(list({ listing: ERROR, anomalies: [anAnomaly()] }));
    expect(shown).toContain('Earlier anomalies are missing');
    expect(shown).toContain('180 errors in 10 s');
  });

  test('stale says since when', () => {
    const shown = text(list({ anomalies: [anAnomaly()], staleSince: NOW - 42_000 }));
    expect(shown).toContain('As of 42 s ago');
  });

  test('a row says severity and state in words', () => {
    const shown = text(list({ anomalies: [anAnomaly()] }));
    for (const words of ['High', 'Ongoing', 'Error burst', '2 min ago', '180', '4.1']) {
      expect(shown).toContain(words);
    }
    expect(text(list({ anomalies: [anAnomaly({ state: 'closed' })] }))).toContain('lasted 10 s');
  });

  test('a filter that hides everything says so', () => {
    const shown = text(list({ anomalies: [anAnomaly()], filter: { text: 'sunshine' } }));
    expect(shown).toContain('1 anomaly is hidden');
    expect(shown).toContain('Clear filters');
  });
});

const detail = (listing: Loadable<true>, anomaly: Anomaly | null, staleSince: number | null) =>
  text(
    renderToStaticMarkup(
      <AnomalyDetail
        listing={listing}
        anomaly={anomaly}
        onClose={ignore}
        onRetry={ignore}
        staleSince={staleSince}
        now={NOW}
        modal={false}
      />,
    ),
  );

describe('the detail', () => {
  test('loading', () => {
    expect(detail(LOADING, null, null)).toContain('Loading the anomaly');
  });

  test('empty: a link to what is not listed any more', () => {
    expect(detail(READY, null, null)).toContain('Not in the list any more');
  });

  test('error', () => {
    expect(detail(ERROR, null, null)).toContain('The gateway cannot be reached.');
  });

  test('stale', () => {
    expect(detail(READY, anAnomaly(), NOW - 42_000)).toContain('It may have changed since.');
  });

  test('tells the whole story', () => {
    const shown = detail(READY, anAnomaly(), null);
    for (const words of [
      'Observed 180 errors',
      'Expected 4.1 errors',
      'Normal range 0',
      'Errors rose.',
      'payment declined grew',
      '80 %',
      'median of 60 windows',
      'payment 81f3 declined by acquirer',
      'ERROR',
      '4bf92f3577b34da6a3ce929d0e0e4736',
      'app-logs, partition 0',
      '100 to 300',
      'FROM logs',
    ]) {
      expect(shown).toContain(words);
    }
  });
});
