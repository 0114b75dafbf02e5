import { expect, test } from 'vitest';

import { decodeAnomaliesPage, decodeAnomaly, decodeFrame, decodeVolume } from './decode';
import { anAnomaly } from './fixtures';

test('what the server sends comes out as it went in', () => {
  expect(decodeAnomaly(JSON.parse(JSON.stringify(anAnomaly())))).toEqual(anAnomaly());
});

test('fields and kinds of a later version are tolerated', () => {
  const later = { ...anAnomaly(), kind: 'solar_flare', mood: 'grim' };
  expect(decodeAnomaly(later)).toEqual(anAnomaly({ kind: 'solar_flare' }));
});

test('missing details get neutral values', () => {
  const bare = { id: 'x', title: 'something', detected_at: '2026-11-21T07:00:00Z' };
  expect(decodeAnomaly(bare)).toMatchObject({
    kind: 'unknown',
    state: 'opened',
    samples: [],
    window_start: '2026-11-21T07:00:00Z',
    incident_id: null,
  });
});

test('an anomaly of version 1 is about its service', () => {
  const old = { ...anAnomaly({ schema_version: 1 }), subject: undefined, more_evidence: undefined };
  expect(decodeAnomaly(old)).toMatchObject({
    subject: { service: 'checkout', template: null, user: null },
    more_evidence: [],
  });
});

test('a severity nobody knows is shown too loud rather than left out', () => {
  expect(decodeAnomaly({ ...anAnomaly(), severity: 'apocalyptic' }).severity).toBe('critical');
});

test.each([['id'], ['title'], ['detected_at']])('an anomaly without %s is refused', (field) => {
  expect(() => decodeAnomaly({ ...anAnomaly(), [field]: undefined })).toThrow(field);
});

test('one unreadable anomaly does not hide the others', () => {
  const page = { anomalies: [anAnomaly(), null, { id: 'x' }], cursor: 'c' };
  expect(decodeAnomaliesPage(page)).toEqual({
    anomalies: [anAnomaly()],
    cursor: 'c',
    unreadable: 2,
  });
});

test('a frame that is no JSON is unreadable, one of an unknown type is not', () => {
  expect(decodeFrame('{')).toEqual({ type: 'unreadable', cursor: null });
  expect(decodeFrame(new ArrayBuffer(2))).toEqual({ type: 'unreadable', cursor: null });
  expect(decodeFrame('{"type":"later"}')).toEqual({ type: 'unknown' });
});

test('a volume whose buckets have no length is refused', () => {
  expect(() => decodeVolume({ bucket_seconds: 0, points: [] })).toThrow('bucket_seconds');
});
