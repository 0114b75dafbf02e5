import { expect, test } from 'vitest';

import { rangeGeometry, rangeText } from './ExpectedRange';

test('the scale starts at zero, so that lengths can be compared', () => {
  expect(rangeGeometry({ observed: 200, expected: 50, lower: 20, upper: 100 })).toEqual({
    observed: 100,
    expected: 25,
    bandStart: 10,
    bandWidth: 40,
  });
});

test('all at one place is no division by zero', () => {
  expect(rangeGeometry({ observed: 0, expected: 0, lower: 0, upper: 0 }).observed).toBe(0);
});

test('says in words what the picture shows', () => {
  expect(rangeText({ observed: 180, expected: 4.1, lower: 0, upper: 14, unit: 'errors' })).toBe(
    'observed 180 errors, expected 4.1, normal from 0 to 14',
  );
});
