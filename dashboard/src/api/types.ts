// The contract's types, as the rest of the page uses them.
//
// Open strings (`detector`, `kind`, `unit`) may hold values that this page has never heard of.

import type { Level, Severity } from './contract';

export type {
  AnomaliesPage,
  Anomaly,
  ClientFrame,
  Evidence,
  Level,
  Part,
  Sample,
  ServerFrame,
  Severity,
  Subject,
  Summary,
  Volume,
  VolumePoint,
} from './contract';

/** From the least on. One that the contract has and this lacks is an error here. */
export const SEVERITIES = names<Severity>({ low: true, medium: true, high: true, critical: true });

export const LEVELS = names<Level>({
  UNKNOWN: true,
  TRACE: true,
  DEBUG: true,
  INFO: true,
  WARN: true,
  ERROR: true,
  FATAL: true,
});

function names<Name extends string>(all: Record<Name, true>): readonly Name[] {
  return Object.keys(all) as Name[];
}
