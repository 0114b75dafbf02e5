import type { Anomaly } from '../../api/types';

/** A string literal of ClickHouse. */
const literal = (text: string): string =>
  `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;

/** The lines behind an anomaly, for clickhouse-client. Offsets are inclusive at both ends. */
export function evidenceQuery({ evidence, service }: Anomaly): string {
  const life =
    evidence.incarnation === '' ? [] : [`incarnation = ${literal(evidence.incarnation)}`];
  const conditions = [
    ...life,
    `service = ${literal(service)}`,
    `kafka_partition = ${evidence.partition}`,
    `kafka_offset BETWEEN ${evidence.first_offset} AND ${evidence.last_offset}`,
  ];
  return [
    'SELECT timestamp, level, message, trace_id, kafka_offset',
    'FROM logs',
    `WHERE ${conditions.join('\n  AND ')}`,
    'ORDER BY kafka_offset',
    'LIMIT 1000',
  ].join('\n');
}
