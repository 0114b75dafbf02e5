// The wire types of the gateway, as its `contracts` define them.
//
// Open strings (`detector`, `kind`, `unit`) may hold values that this page has never heard of.

export const SEVERITIES = ['low', 'medium', 'high', 'critical'] as const;
export type Severity = (typeof SEVERITIES)[number];

export type AnomalyState = 'opened' | 'updated' | 'closed';
export type Direction = 'up' | 'down';

/** One version of one episode. Versions of an `id` replace each other; the highest wins. */
export interface Anomaly {
  schema_version: number;
  id: string;
  version: number;
  detector: string;
  kind: string;
  service: string;
  series: string;
  /** RFC 3339, UTC, as are all times here. */
  window_start: string;
  window_end: string;
  /** Event time. */
  detected_at: string;
  /** Wall clock of the publisher. */
  published_at: string;
  severity: Severity;
  /** Above 1 is anomalous; comparable across detectors. */
  score: number;
  direction: Direction;
  unit: string;
  observed: number;
  expected: number;
  lower: number;
  upper: number;
  title: string;
  explanation: Explanation;
  samples: Sample[];
  evidence: Evidence;
  state: AnomalyState;
  services: string[];
  incident_id: string | null;
  traceparent: string | null;
}

export interface Explanation {
  summary: string;
  baseline: string;
  parts: ExplanationPart[];
}

export interface ExplanationPart {
  name: string;
  text: string;
  /** How much of the anomaly this part makes, 0 to 1. */
  share: number;
}

export interface Sample {
  timestamp: string;
  level: string;
  message: string;
  trace_id: string | null;
  partition: number;
  offset: number;
}

/** Where the lines are; both offsets are inclusive. */
export interface Evidence {
  topic: string;
  /** Which life of the topic, as in the column `logs.incarnation`. Empty when the server names none. */
  incarnation: string;
  partition: number;
  first_offset: number;
  last_offset: number;
}

/** `GET /api/v1/anomalies`: the newest version of each, newest first. */
export interface AnomaliesPage {
  anomalies: Anomaly[];
  cursor: string;
}

/** `GET /api/v1/volume`: oldest first; a bucket without a record is absent. */
export interface Volume {
  bucket_seconds: number;
  points: VolumePoint[];
  services: string[];
}

export interface VolumePoint {
  t: string;
  records: number;
  errors: number;
}

/** `GET /api/v1/summary`. */
export interface Summary {
  records: number;
  errors: number;
  services: number;
  open_anomalies: number;
  dead_lettered: number;
}

/** What `/ws/anomalies` sends. The cursor is opaque: keep it, hand it back. */
export type ServerFrame =
  | { type: 'hello'; cursor: string; server: string; version: string }
  | { type: 'subscribed'; cursor: string | null }
  | { type: 'anomaly'; cursor: string; anomaly: Anomaly; traceparent: string | null }
  | { type: 'lagged'; missed: number; cursor: string }
  | { type: 'gone'; missed: number | null }
  | { type: 'ping'; cursor: string | null }
  | { type: 'error'; code: string; message: string };

export interface StreamFilter {
  services: string[];
  kinds: string[];
  min_severity: Severity;
  text: string;
}

export type ClientFrame =
  { type: 'subscribe'; filter: StreamFilter; since: string | null } | { type: 'pong' };
