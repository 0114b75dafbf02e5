import { expect, test } from 'vitest';

import { dataOf, failed, loaded, LOADING } from './loadable';

test('a failure before the first answer is an error', () => {
  expect(failed(LOADING, 'away')).toEqual({ phase: 'error', message: 'away' });
});

test('a failure after an answer keeps it, with its time, and says that it is stale', () => {
  const stale = failed(loaded(7, 1_000), 'away');
  expect(stale).toEqual({ phase: 'stale', data: 7, at: 1_000, message: 'away' });
  expect(failed(stale, 'still away')).toEqual({
    phase: 'stale',
    data: 7,
    at: 1_000,
    message: 'still away',
  });
  expect(dataOf(stale)).toBe(7);
});
