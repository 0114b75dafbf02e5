// What the reader wants to see of the list. The same rules as the server's filter of the stream.

import { SEVERITIES, type Anomaly, type Severity } from '../../api/types';

export interface ListFilter {
  /** Empty: all. */
  service: string;
  kind: string;
  minSeverity: Severity;
  text: string;
}

export const EVERYTHING: ListFilter = { service: '', kind: '', minSeverity: 'low', text: '' };

export const isEverything = (filter: ListFilter): boolean =>
  filter.service === '' &&
  filter.kind === '' &&
  filter.minSeverity === 'low' &&
  filter.text.trim() === '';

export function matches(filter: ListFilter, anomaly: Anomaly): boolean {
  return (
    SEVERITIES.indexOf(anomaly.severity) >= SEVERITIES.indexOf(filter.minSeverity) &&
    (filter.kind === '' || anomaly.kind === filter.kind) &&
    (filter.service === '' ||
      anomaly.service === filter.service ||
      anomaly.services.includes(filter.service)) &&
    textMatches(filter.text.trim().toLowerCase(), anomaly)
  );
}

function textMatches(wanted: string, anomaly: Anomaly): boolean {
  const found = (text: string): boolean => text.toLowerCase().includes(wanted);
  return (
    wanted === '' ||
    found(anomaly.title) ||
    found(anomaly.service) ||
    anomaly.samples.some((sample) => found(sample.message))
  );
}

export const kindsOf = (anomalies: readonly Anomaly[]): string[] =>
  [...new Set(anomalies.map((one) => one.kind))].toSorted();
