import { describe, expect, test } from 'vitest';

import {
  formatAgo,
  formatCompact,
  formatDuration,
  formatShare,
  formatValue,
  humanise,
  plural,
  traceIdOf,
} from './format';

test.each([
  [0, '0'],
  [0.0421, '0.0421'],
  [4.1, '4.1'],
  [180, '180'],
  [1_234.5, '1,235'],
  [12_345, '12.3K'],
])('value %d → %s', (value, text) => {
  expect(formatValue(value)).toBe(text);
});

test.each([
  [9_999, '9,999'],
  [48_211_934, '48.2M'],
])('compact %d → %s', (value, text) => {
  expect(formatCompact(value)).toBe(text);
});

test.each([
  [-5, '0 ms'],
  [42, '42 ms'],
  [4_240, '4.2 s'],
  [59_999, '59 s'],
  [60_000, '1 min'],
  [200_000, '3 min 20 s'],
  [7_500_000, '2 h 5 min'],
  [352_800_000, '4 d 2 h'],
])('duration %d → %s', (ms, text) => {
  expect(formatDuration(ms)).toBe(text);
});

describe('ago', () => {
  test.each([
    [0, 'just now'],
    [42_000, '42 s ago'],
    [61_000, '1 min ago'],
    [7_200_000, '2 h ago'],
    [200_000_000, '2 d ago'],
    [-3_000, 'just now'],
    [-90_000, 'in 1 min'],
  ])('%d ms → %s', (age, text) => {
    expect(formatAgo(1_000_000_000, 1_000_000_000 + age)).toBe(text);
  });
});

test.each([
  ['error_burst', 'Error burst'],
  ['solar.flare-new', 'Solar flare new'],
  ['', 'Unknown'],
])('a kind nobody heard of is readable: %s', (name, text) => {
  expect(humanise(name)).toBe(text);
});

test('a share stays between nothing and all', () => {
  expect([formatShare(0.784), formatShare(1.2), formatShare(-1)]).toEqual(['78 %', '100 %', '0 %']);
});

test('the trace id is taken from a valid traceparent only', () => {
  const id = '4bf92f3577b34da6a3ce929d0e0e4736';
  expect(traceIdOf(`00-${id}-00f067aa0ba902b7-01`)).toBe(id);
  expect(traceIdOf('00-zz-01')).toBeNull();
  expect(traceIdOf(null)).toBeNull();
});

test('one is not many', () => {
  expect([plural(1, 'attempt'), plural(2, 'attempt')]).toEqual(['1 attempt', '2 attempts']);
});
