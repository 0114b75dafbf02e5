// What the gateway sends and takes, from the crate `contracts`. Not by hand:
// `make contract` writes it, and a test fails where it is not what the crate says.

/**
 * Milliseconds since the Unix epoch, UTC. Written as `2026-11-21T07:00:00.123Z`.
 */
export type Timestamp = string;

/**
 * Severity of one log line, ordered. The numbers are what ClickHouse stores (`Enum8`).
 */
export type Level = "UNKNOWN" | "TRACE" | "DEBUG" | "INFO" | "WARN" | "ERROR" | "FATAL";

export type State = "opened" | "updated" | "closed";

export type Severity = "low" | "medium" | "high" | "critical";

export type Direction = "up" | "down";

export type Part = { name: string, text: string, 
/**
 * How much of the anomaly this part makes, 0 to 1.
 */
share: number, };

/**
 * Why this is anomalous, in parts that can be checked.
 */
export type Explanation = { summary: string, 
/**
 * What it was held against.
 */
baseline: string, parts: Array<Part>, };

/**
 * One of the lines themselves.
 */
export type Sample = { timestamp: Timestamp, level: Level, message: string, trace_id: string | null, partition: number, offset: number, };

export type TemplateOf = { 
/**
 * As in `logs.template_id`, in decimal digits: numbers of JSON do not hold it.
 */
id: string, text: string, };

/**
 * What an anomaly is about; nothing but a service: the service as such.
 */
export type Subject = { 
/**
 * As in [`Anomaly::service`]; empty in `schema_version` 1.
 */
service: string, template?: TemplateOf | null, 
/**
 * The machine that wrote the lines.
 */
host?: string | null, 
/**
 * What was called, e.g. `POST /pay`.
 */
endpoint?: string | null, 
/**
 * The address of a client.
 */
address?: string | null, user?: string | null, 
/**
 * The name of a rule that somebody wrote.
 */
rule?: string | null, };

/**
 * A range of lines: offsets are inclusive.
 */
export type Evidence = { topic: string, 
/**
 * Hash of topic id and group name, in hexadecimal: the same as `logs.incarnation`.
 */
incarnation: string, partition: number, first_offset: number, last_offset: number, };

/**
 * One version of one episode. Versions of an `id` replace each other; the highest wins.
 */
export type Anomaly = { schema_version: number, 
/**
 * UUIDv5 of detector, series, incarnation and partition, episode start and ordinal:
 * the same on every replay.
 */
id: string, 
/**
 * From 1, without gaps.
 */
version: number, state: State, detector: string, kind: string, service: string, subject: Subject, 
/**
 * What was measured, e.g. `checkout/errors` or `checkout/errors/host=web-3`.
 */
series: string, window_start: Timestamp, window_end: Timestamp, 
/**
 * Event time.
 */
detected_at: Timestamp, 
/**
 * Wall clock; no part of identity.
 */
published_at: Timestamp, severity: Severity, 
/**
 * Above 1 is anomalous; comparable across detectors.
 */
score: number, direction: Direction, 
/**
 * Of `observed`, `expected`, `lower` and `upper`, e.g. `errors`.
 */
unit: string, observed: number, expected: number, lower: number, upper: number, 
/**
 * A sentence a person understands.
 */
title: string, explanation: Explanation, samples: Array<Sample>, 
/**
 * Where its lines are; the record that crossed the line is one of them.
 */
evidence: Evidence, 
/**
 * Where more of them are.
 */
more_evidence?: Array<Evidence>, 
/**
 * Where several services belong together, all of them.
 */
services: Array<string>, incident_id: string | null, 
/**
 * W3C trace context of the record that crossed the line.
 */
traceparent: string | null, };

/**
 * `GET /api/v1/anomalies`: the newest version of each, newest first.
 */
export type AnomaliesPage = { anomalies: Array<Anomaly>, 
/**
 * Subscribe with this to go on where the page ends.
 */
cursor: string, };

export type VolumePoint = { t: Timestamp, records: number, errors: number, };

/**
 * `GET /api/v1/volume`: records and errors per bucket of event time, oldest first.
 */
export type Volume = { bucket_seconds: number, 
/**
 * Buckets without a record are absent.
 */
points: Array<VolumePoint>, services: Array<string>, };

/**
 * `GET /api/v1/summary`.
 */
export type Summary = { records: number, errors: number, services: number, open_anomalies: number, dead_lettered: number, };

/**
 * From the server.
 */
export type ServerFrame = { "type": "hello", cursor: string, server: string, version: string, } | { "type": "subscribed", cursor: string, } | { "type": "anomaly", cursor: string, anomaly: Anomaly, traceparent: string | null, } | { "type": "lagged", missed: number, cursor: string, } | { "type": "gone", missed: number | null, } | { "type": "ping", cursor?: string | null, } | { "type": "error", code: string, message: string, };

/**
 * What a client wants to see. Empty lists and an empty text let everything pass.
 */
export type Filter = { services: Array<string>, kinds: Array<string>, min_severity: Severity, 
/**
 * Found in title, service or a sample line, in any case.
 */
text: string, };

/**
 * From the client.
 */
export type ClientFrame = { "type": "subscribe", filter: Filter, since: string | null, } | { "type": "pong" };
