// From JSON that came over the wire to the types of `types.ts`.
//
// Tolerant: unknown fields are ignored, a missing detail gets a neutral value. What gives an anomaly
// its identity (id, version, title) and what orders it in time must be there; without it the value
// is refused, and the caller counts it.

import {
  LEVELS,
  SEVERITIES,
  type AnomaliesPage,
  type Anomaly,
  type Evidence,
  type Level,
  type Part,
  type Sample,
  type ServerFrame,
  type Severity,
  type Subject,
  type Summary,
  type Volume,
  type VolumePoint,
} from './types';

/** The value lacks what nobody can do without. */
export class DecodeError extends Error {
  override readonly name = 'DecodeError';
}

type Json = Record<string, unknown>;

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const object = (value: unknown): Json => (isObject(value) ? value : {});
const list = (value: unknown): unknown[] => (Array.isArray(value) ? (value as unknown[]) : []);
const text = (value: unknown, otherwise = ''): string =>
  typeof value === 'string' ? value : otherwise;
const textOrNull = (value: unknown): string | null =>
  typeof value === 'string' && value !== '' ? value : null;
const number = (value: unknown, otherwise = 0): number =>
  typeof value === 'number' && Number.isFinite(value) ? value : otherwise;
const texts = (value: unknown): string[] =>
  list(value).filter((one): one is string => typeof one === 'string');

function must(from: Json, field: string): string {
  const value = from[field];
  if (typeof value !== 'string' || value === '') throw new DecodeError(`no ${field}`);
  return value;
}

function mustBeTime(from: Json, field: string): string {
  const value = must(from, field);
  if (Number.isNaN(Date.parse(value))) throw new DecodeError(`${field} is no time: ${value}`);
  return value;
}

function mustBeObject(value: unknown, what: string): Json {
  if (!isObject(value)) throw new DecodeError(`${what} is no object`);
  return value;
}

/** A severity of a later version counts as the highest: better shown too loud than left out. */
function severity(value: unknown): Severity {
  return SEVERITIES.find((known) => known === value) ?? 'critical';
}

function part(value: unknown): Part {
  const from = object(value);
  return { name: text(from.name), text: text(from.text), share: number(from.share, 0) };
}

/** A level of a later version is one that nobody named. */
function level(value: unknown): Level {
  return LEVELS.find((known) => known === value) ?? 'UNKNOWN';
}

function sample(value: unknown): Sample {
  const from = object(value);
  return {
    timestamp: text(from.timestamp),
    level: level(from.level),
    message: text(from.message),
    trace_id: textOrNull(from.trace_id),
    partition: number(from.partition),
    offset: number(from.offset),
  };
}

function subject(value: unknown, service: string): Subject {
  const from = object(value);
  const template = object(from.template);
  const id = textOrNull(template.id);
  return {
    service: text(from.service, service),
    template: id === null ? null : { id, text: text(template.text) },
    host: textOrNull(from.host),
    endpoint: textOrNull(from.endpoint),
    address: textOrNull(from.address),
    user: textOrNull(from.user),
    rule: textOrNull(from.rule),
  };
}

function evidence(value: unknown): Evidence {
  const from = object(value);
  return {
    topic: text(from.topic),
    incarnation: text(from.incarnation),
    partition: number(from.partition),
    first_offset: number(from.first_offset),
    last_offset: number(from.last_offset),
  };
}

export function decodeAnomaly(value: unknown): Anomaly {
  const from = mustBeObject(value, 'anomaly');
  const explanation = object(from.explanation);
  const service = text(from.service, 'unknown');
  const detectedAt = mustBeTime(from, 'detected_at');
  const time = (field: string): string => {
    const given = text(from[field]);
    return Number.isNaN(Date.parse(given)) ? detectedAt : given;
  };
  const state = from.state;
  return {
    schema_version: number(from.schema_version, 1),
    id: must(from, 'id'),
    version: number(from.version, 1),
    detector: text(from.detector),
    kind: text(from.kind, 'unknown'),
    service,
    subject: subject(from.subject, service),
    series: text(from.series),
    window_start: time('window_start'),
    window_end: time('window_end'),
    detected_at: detectedAt,
    published_at: time('published_at'),
    severity: severity(from.severity),
    score: number(from.score),
    direction: from.direction === 'down' ? 'down' : 'up',
    unit: text(from.unit),
    observed: number(from.observed),
    expected: number(from.expected),
    lower: number(from.lower),
    upper: number(from.upper),
    title: must(from, 'title'),
    explanation: {
      summary: text(explanation.summary),
      baseline: text(explanation.baseline),
      parts: list(explanation.parts).map(part),
    },
    samples: list(from.samples).map(sample),
    evidence: evidence(from.evidence),
    more_evidence: list(from.more_evidence).map(evidence),
    state: state === 'closed' || state === 'updated' ? state : 'opened',
    services: texts(from.services),
    incident_id: textOrNull(from.incident_id),
    traceparent: textOrNull(from.traceparent),
  };
}

export interface DecodedPage extends AnomaliesPage {
  /** How many anomalies of the answer could not be read. */
  unreadable: number;
}

export function decodeAnomaliesPage(value: unknown): DecodedPage {
  const from = mustBeObject(value, 'answer');
  const anomalies: Anomaly[] = [];
  let unreadable = 0;
  for (const one of list(from.anomalies)) {
    try {
      anomalies.push(decodeAnomaly(one));
    } catch {
      unreadable += 1;
    }
  }
  return { anomalies, cursor: text(from.cursor), unreadable };
}

export function decodeVolume(value: unknown): Volume {
  const from = mustBeObject(value, 'answer');
  const bucketSeconds = number(from.bucket_seconds);
  if (bucketSeconds <= 0) throw new DecodeError('bucket_seconds is not above zero');
  const points = list(from.points).map((one): VolumePoint => {
    const point = mustBeObject(one, 'point');
    return {
      t: mustBeTime(point, 't'),
      records: number(point.records),
      errors: number(point.errors),
    };
  });
  return { bucket_seconds: bucketSeconds, points, services: texts(from.services) };
}

export function decodeSummary(value: unknown): Summary {
  const from = mustBeObject(value, 'answer');
  return {
    records: number(from.records),
    errors: number(from.errors),
    services: number(from.services),
    open_anomalies: number(from.open_anomalies),
    dead_lettered: number(from.dead_lettered),
  };
}

/** `unreadable` carries the cursor of an anomaly that could not be read: the stream goes on behind it. */
export type DecodedFrame =
  ServerFrame | { type: 'unreadable'; cursor: string | null } | { type: 'unknown' };

export function decodeFrame(data: unknown): DecodedFrame {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text(data));
  } catch {
    return { type: 'unreadable', cursor: null };
  }
  const from = object(parsed);
  switch (from.type) {
    case 'hello':
      return {
        type: 'hello',
        cursor: text(from.cursor),
        server: text(from.server),
        version: text(from.version),
      };
    case 'subscribed':
      return { type: 'subscribed', cursor: text(from.cursor) };
    case 'anomaly':
      try {
        const anomaly = decodeAnomaly(from.anomaly);
        const traceparent = textOrNull(from.traceparent);
        return { type: 'anomaly', cursor: text(from.cursor), anomaly, traceparent };
      } catch {
        return { type: 'unreadable', cursor: textOrNull(from.cursor) };
      }
    case 'lagged':
      return { type: 'lagged', missed: number(from.missed), cursor: text(from.cursor) };
    case 'gone':
      return {
        type: 'gone',
        missed: typeof from.missed === 'number' ? from.missed : null,
      };
    case 'ping':
      return { type: 'ping', cursor: typeof from.cursor === 'string' ? from.cursor : null };
    case 'error':
      return {
        type: 'error',
        code: text(from.code, 'unknown'),
        message: text(from.message, 'the server reported an error'),
      };
    default:
      return { type: 'unknown' };
  }
}
