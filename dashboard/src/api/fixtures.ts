// For tests only.

import type { Anomaly } from './types';

export function anAnomaly(change: Partial<Anomaly> = {}): Anomaly {
  return {
    schema_version: 2,
    id: 'a',
    version: 1,
    detector: 'error_burst',
    kind: 'error_burst',
    service: 'checkout',
    subject: {
      service: 'checkout',
      template: { id: '17446744073709551615', text: 'payment <*> declined by acquirer' },
      host: null,
      endpoint: 'POST /pay',
      address: null,
      user: null,
      rule: null,
    },
    series: 'checkout/errors',
    window_start: '2026-11-21T07:00:00.000Z',
    window_end: '2026-11-21T07:00:10.000Z',
    detected_at: '2026-11-21T07:00:04.200Z',
    published_at: '2026-11-21T07:00:04.240Z',
    severity: 'high',
    score: 3.2,
    direction: 'up',
    unit: 'errors',
    observed: 180,
    expected: 4.1,
    lower: 0,
    upper: 14,
    title: 'checkout: 180 errors in 10 s, 4 expected',
    explanation: {
      summary: 'Errors rose.',
      baseline: 'median of 60 windows',
      parts: [{ name: 'template', text: 'payment declined grew', share: 0.8 }],
    },
    samples: [
      {
        timestamp: '2026-11-21T07:00:01.000Z',
        level: 'ERROR',
        message: 'payment 81f3 declined by acquirer',
        trace_id: '4bf92f3577b34da6a3ce929d0e0e4736',
        partition: 0,
        offset: 123,
      },
    ],
    evidence: {
      topic: 'app-logs',
      incarnation: '9f8a27c1',
      partition: 0,
      first_offset: 100,
      last_offset: 300,
    },
    more_evidence: [
      {
        topic: 'app-logs',
        incarnation: '9f8a27c1',
        partition: 1,
        first_offset: 7,
        last_offset: 9,
      },
    ],
    state: 'opened',
    services: [],
    incident_id: null,
    traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
    ...change,
  };
}
