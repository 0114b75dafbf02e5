// From the buckets of the server to what the chart draws.
//
// A bucket without a record is absent in the answer: that is drawn as a gap, never as zero. A bucket
// that has not ended yet is drawn apart, as a rate over the part of it that has passed.

import type { Volume } from '../../api/types';

/** Records take a moment from their event to the store; a bucket is settled this long after its end. */
export const SETTLE_SECONDS = 2;
/** A bucket younger than this says nothing about a rate. */
const YOUNGEST_SECONDS = 2;

export interface Span {
  from: number;
  to: number;
}

export interface Prepared {
  /** Middle of each bucket, in seconds. */
  x: number[];
  /** Per second; null where no record arrived. */
  records: (number | null)[];
  errors: (number | null)[];
  /** The same for the buckets still filling, joined to the last settled one. */
  recordsFilling: (number | null)[];
  errorsFilling: (number | null)[];
  /** Stretches in which no record arrived. */
  gaps: Span[];
  /** Index of the last settled bucket with records. */
  last: number | null;
  bucketSeconds: number;
}

export interface Range {
  /** Seconds. */
  from: number;
  to: number;
}

export const rangeOf = (minutes: number, nowMs: number): Range => ({
  from: nowMs / 1_000 - minutes * 60,
  to: nowMs / 1_000,
});

export function prepare(volume: Volume, { from, to }: Range): Prepared {
  const size = volume.bucket_seconds;
  const known = new Map<number, { records: number; errors: number }>();
  for (const point of volume.points) {
    known.set(Math.floor(Date.parse(point.t) / 1_000 / size) * size, point);
  }

  const prepared: Prepared = {
    x: [],
    records: [],
    errors: [],
    recordsFilling: [],
    errorsFilling: [],
    gaps: [],
    last: null,
    bucketSeconds: size,
  };
  for (let start = Math.floor(from / size) * size; start < to; start += size) {
    const point = known.get(start);
    const isFilling = start + size + SETTLE_SECONDS > to;
    const passed = Math.min(size, to - start);
    const draws = point !== undefined && (!isFilling || passed >= YOUNGEST_SECONDS);
    const index = prepared.x.push(start + size / 2) - 1;
    const records = draws ? point.records / passed : null;
    const errors = draws ? point.errors / passed : null;

    prepared.records.push(isFilling ? null : records);
    prepared.errors.push(isFilling ? null : errors);
    prepared.recordsFilling.push(isFilling ? records : null);
    prepared.errorsFilling.push(isFilling ? errors : null);
    if (isFilling) continue;
    if (point) prepared.last = index;
    else addGap(prepared.gaps, { from: Math.max(start, from), to: start + size });
  }
  joinFilling(prepared);
  return prepared;
}

/** The dashed line starts where the solid one ends, when they are neighbours. */
function joinFilling({ last, records, recordsFilling, x }: Prepared): void {
  if (last === null || last + 1 >= x.length) return;
  if (recordsFilling[last + 1] != null) recordsFilling[last] = records[last] ?? null;
}

function addGap(gaps: Span[], gap: Span): void {
  const before = gaps.at(-1);
  if (before?.to === gap.from) before.to = gap.to;
  else gaps.push(gap);
}

/** The bucket that holds `time`, as an index; null outside. */
export function indexAt({ x, bucketSeconds }: Prepared, time: number): number | null {
  const first = x[0];
  if (first === undefined) return null;
  const index = Math.floor((time - (first - bucketSeconds / 2)) / bucketSeconds);
  return index >= 0 && index < x.length ? index : null;
}

export interface Reading {
  start: number;
  records: number | null;
  errors: number | null;
  filling: boolean;
}

export function readingAt(prepared: Prepared, index: number): Reading | null {
  const middle = prepared.x[index];
  if (middle === undefined) return null;
  const settled = prepared.records[index] ?? null;
  const filling = settled === null && prepared.recordsFilling[index] != null;
  return {
    start: middle - prepared.bucketSeconds / 2,
    records: settled ?? prepared.recordsFilling[index] ?? null,
    errors: prepared.errors[index] ?? prepared.errorsFilling[index] ?? null,
    filling,
  };
}

export interface Marker {
  id: string;
  title: string;
  severity: string;
  from: number;
  to: number;
}

export interface MarkerGroup {
  /** The one that stands for the group: the most severe, the newest of those. */
  shown: Marker;
  count: number;
  /** Pixels from the left edge of the plot. */
  left: number;
}

/** Markers closer than `apart` pixels become one. `severities` from mild to severe. */
export function groupMarkers(
  markers: readonly Marker[],
  { from, to }: Range,
  width: number,
  apart: number,
  severities: readonly string[],
): MarkerGroup[] {
  const groups: MarkerGroup[] = [];
  const weight = (marker: Marker): number => severities.indexOf(marker.severity);
  const inOrder = markers
    .filter((marker) => marker.to >= from && marker.from <= to)
    .toSorted((a, b) => a.from - b.from);
  for (const marker of inOrder) {
    const middle = (Math.max(marker.from, from) + Math.min(marker.to, to)) / 2;
    const left = ((middle - from) / (to - from)) * width;
    const group = groups.at(-1);
    if (!group || left - group.left >= apart) {
      groups.push({ shown: marker, count: 1, left });
      continue;
    }
    group.count += 1;
    if (weight(marker) >= weight(group.shown)) group.shown = marker;
  }
  return groups;
}

export interface Band extends Span {
  severity: string;
}

/** One band where several anomalies of a severity overlap: a hundred shades would be a wall. */
export function bandsOf(markers: readonly Marker[]): Band[] {
  const bands: Band[] = [];
  const open = new Map<string, Band>();
  for (const { severity, from, to } of markers.toSorted((a, b) => a.from - b.from)) {
    const before = open.get(severity);
    if (before && from <= before.to) {
      before.to = Math.max(before.to, to);
      continue;
    }
    const band = { severity, from, to };
    open.set(severity, band);
    bands.push(band);
  }
  return bands;
}
