import { expect, test } from 'vitest';

import { anAnomaly } from '../../api/fixtures';
import { EVERYTHING, isEverything, kindsOf, matches } from './filter';

const check = (change: Partial<typeof EVERYTHING>): boolean =>
  matches({ ...EVERYTHING, ...change }, anAnomaly({ services: ['checkout', 'payments'] }));

test.each([
  [{}, true],
  [{ service: 'checkout' }, true],
  [{ service: 'payments' }, true],
  [{ service: 'web' }, false],
  [{ kind: 'error_burst' }, true],
  [{ kind: 'rate_drop' }, false],
  [{ minSeverity: 'high' as const }, true],
  [{ minSeverity: 'critical' as const }, false],
  [{ text: '180 ERRORS' }, true],
  [{ text: '  declined by ' }, true],
  [{ text: 'sunshine' }, false],
])('%o → %s', (change, expected) => {
  expect(check(change)).toBe(expected);
});

test('blanks are no filter', () => {
  expect(isEverything({ ...EVERYTHING, text: '  ' })).toBe(true);
  expect(isEverything({ ...EVERYTHING, kind: 'x' })).toBe(false);
});

test('offers each kind once', () => {
  expect(kindsOf([anAnomaly(), anAnomaly({ kind: 'a' }), anAnomaly()])).toEqual([
    'a',
    'error_burst',
  ]);
});
