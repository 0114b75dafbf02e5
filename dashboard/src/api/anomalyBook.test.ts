import { expect, test } from 'vitest';

import { anomaliesOf, CAPACITY, EMPTY_BOOK, withListed, withStreamed } from './anomalyBook';
import { anAnomaly } from './fixtures';

const at = (second: number): string => new Date(1_795_000_000_000 + second * 1_000).toISOString();
const named = (id: string, second = 0, version = 1) =>
  anAnomaly({ id, version, published_at: at(second) });
const ids = (book: typeof EMPTY_BOOK): string[] => anomaliesOf(book).map((one) => one.id);

test('a listing keeps its order', () => {
  expect(ids(withListed(EMPTY_BOOK, [named('c', 3), named('a', 9), named('b', 2)]))).toEqual([
    'c',
    'a',
    'b',
  ]);
});

test('streamed ones go on top, the last one first', () => {
  const listed = withListed(EMPTY_BOOK, [named('a')]);
  expect(ids(withStreamed(listed, [named('b'), named('c')]))).toEqual(['c', 'b', 'a']);
});

test('an update stays where its row is', () => {
  const listed = withListed(EMPTY_BOOK, [named('b'), named('a')]);
  const updated = withStreamed(listed, [named('a', 5, 2)]);
  expect(ids(updated)).toEqual(['b', 'a']);
  expect(updated.byId.get('a')?.version).toBe(2);
});

test('news of nothing new changes nothing, not even the identity', () => {
  const listed = withListed(EMPTY_BOOK, [named('a', 0, 2)]);
  expect(withStreamed(listed, [named('a', 0, 1), named('a', 0, 2)])).toBe(listed);
});

test('a listing that was on its way does not undo what the stream brought meanwhile', () => {
  const before = withListed(EMPTY_BOOK, [named('a', 1), named('old', 0)]);
  const streamed = withStreamed(before, [named('new', 9), named('a', 8, 3)]);
  const again = withListed(streamed, [named('b', 5), named('a', 4, 2)]);
  expect(ids(again)).toEqual(['new', 'b', 'a', 'old']);
  expect(again.byId.get('a')?.version).toBe(3);
});

test('an id that is listed twice is shown once', () => {
  expect(ids(withListed(EMPTY_BOOK, [named('a'), named('a', 0, 2)]))).toEqual(['a']);
});

test('holds no more than its capacity, and drops the oldest', () => {
  const many = Array.from({ length: CAPACITY + 5 }, (_, index) => named(`id-${index}`, index));
  const book = withStreamed(EMPTY_BOOK, many);
  expect(book.order).toHaveLength(CAPACITY);
  expect(book.byId.size).toBe(CAPACITY);
  expect(book.byId.has('id-0')).toBe(false);
  expect(book.order[0]).toBe(`id-${CAPACITY + 4}`);
});
