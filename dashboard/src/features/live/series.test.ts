import { describe, expect, test } from 'vitest';

import type { Volume } from '../../api/types';
import { bandsOf, groupMarkers, indexAt, prepare, readingAt, type Marker } from './series';

const T0 = Date.parse('2026-11-21T07:00:00Z') / 1_000;
const at = (second: number): string => new Date((T0 + second) * 1_000).toISOString();

const volume = (points: [second: number, records: number, errors: number][]): Volume => ({
  bucket_seconds: 10,
  points: points.map(([second, records, errors]) => ({ t: at(second), records, errors })),
  services: [],
});

const seen = (to: number, points: [number, number, number][]) =>
  prepare(volume(points), { from: T0, to: T0 + to });

describe('prepare', () => {
  test('counts become rates', () => {
    const { records, errors } = seen(22, [
      [0, 100, 5],
      [10, 200, 0],
    ]);
    expect(records.slice(0, 2)).toEqual([10, 20]);
    expect(errors.slice(0, 2)).toEqual([0.5, 0]);
  });

  test('an absent bucket is a gap, and zero errors are zero', () => {
    const { records, errors, gaps } = seen(43, [
      [0, 100, 0],
      [30, 100, 0],
    ]);
    expect(records).toEqual([10, null, null, 10, null]);
    expect(errors[0]).toBe(0);
    expect(gaps).toEqual([{ from: T0 + 10, to: T0 + 30 }]);
  });

  test('the bucket that is still filling is kept apart, as a rate of what has passed', () => {
    const { records, recordsFilling, last } = seen(15, [
      [0, 100, 0],
      [10, 60, 0],
    ]);
    expect(records).toEqual([10, null]);
    expect(recordsFilling).toEqual([10, 12]);
    expect(last).toBe(0);
  });

  test('a bucket that ended just now still gets stragglers', () => {
    expect(seen(11, [[0, 100, 0]])).toMatchObject({ records: [null, null], last: null });
    expect(seen(12, [[0, 100, 0]]).records[0]).toBe(10);
  });

  test('a bucket that is not over is no gap', () => {
    expect(seen(15, [[0, 100, 0]]).gaps).toEqual([]);
  });

  test('the dashed line does not cross a gap', () => {
    const { recordsFilling } = seen(25, [
      [0, 100, 0],
      [20, 60, 0],
    ]);
    expect(recordsFilling).toEqual([null, null, 12]);
  });

  test('buckets stay aligned when the range begins within one', () => {
    const { x } = prepare(volume([]), { from: T0 + 3, to: T0 + 20 });
    expect(x).toEqual([T0 + 5, T0 + 15]);
  });
});

test('a reading knows whether it is final', () => {
  const prepared = seen(15, [
    [0, 100, 5],
    [10, 60, 1],
  ]);
  expect(readingAt(prepared, 0)).toEqual({ start: T0, records: 10, errors: 0.5, filling: false });
  expect(readingAt(prepared, 1)).toMatchObject({ records: 12, filling: true });
  expect(readingAt(prepared, 9)).toBeNull();
});

test('a time finds its bucket', () => {
  const prepared = seen(32, [[0, 1, 0]]);
  expect(indexAt(prepared, T0 + 19.9)).toBe(1);
  expect(indexAt(prepared, T0 - 1)).toBeNull();
  expect(indexAt(prepared, T0 + 999)).toBeNull();
});

describe('markers', () => {
  const marker = (id: string, second: number, severity: string): Marker => ({
    id,
    title: id,
    severity,
    from: T0 + second,
    to: T0 + second,
  });
  const group = (markers: Marker[]) =>
    groupMarkers(markers, { from: T0, to: T0 + 100 }, 1_000, 20, ['low', 'high']).map(
      ({ shown, count, left }) => [shown.id, count, Math.round(left)],
    );

  test('close ones become one, and the severe one stands for them', () => {
    expect(
      group([marker('b', 11, 'low'), marker('a', 10, 'high'), marker('c', 50, 'low')]),
    ).toEqual([
      ['a', 2, 100],
      ['c', 1, 500],
    ]);
  });

  test('those outside the range are left out', () => {
    expect(group([marker('a', -5, 'high'), marker('b', 120, 'high')])).toEqual([]);
  });

  test('overlapping windows of one severity are one band', () => {
    const span = (severity: string, from: number, to: number): Marker => ({
      ...marker('x', 0, severity),
      from,
      to,
    });
    const markers = [span('low', 5, 9), span('low', 0, 6), span('high', 5, 9), span('low', 20, 30)];
    expect(bandsOf(markers)).toEqual([
      { severity: 'low', from: 0, to: 9 },
      { severity: 'high', from: 5, to: 9 },
      { severity: 'low', from: 20, to: 30 },
    ]);
  });
});
