// Who may import whom. `ui` knows nothing of the wire, a feature nothing of another feature, and
// only `app` puts them together.

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { expect, test } from 'vitest';

const SOURCE = import.meta.dirname;

/** `features/live`, `api`, `ui`, `app`; the top directory is part of the app. */
function layerOf(file: string): string {
  const [first = '', second = ''] = relative(SOURCE, file).split('/');
  if (first === 'features') return `features/${second}`;
  return first.includes('.') ? 'app' : first;
}

function isAllowed(from: string, to: string): boolean {
  if (from === to || from === 'app') return true;
  return from.startsWith('features/') && (to === 'api' || to === 'ui');
}

const files = readdirSync(SOURCE, { recursive: true, encoding: 'utf8' })
  .filter((file) => /\.tsx?$/.test(file))
  .map((file) => join(SOURCE, file));

const imports = files.flatMap((file) =>
  [...readFileSync(file, 'utf8').matchAll(/from '(\.[^']+)'|import '(\.[^']+)'/g)].map((found) => ({
    file,
    target: resolve(dirname(file), found[1] ?? found[2] ?? ''),
  })),
);

test('imports are found at all', () => {
  expect(imports.length).toBeGreaterThan(50);
});

test('no import crosses a border', () => {
  const crossing = imports
    .filter(({ file, target }) => !isAllowed(layerOf(file), layerOf(target)))
    .map(({ file, target }) => `${relative(SOURCE, file)} → ${relative(SOURCE, target)}`);
  expect(crossing).toEqual([]);
});

test('the table refuses what it should', () => {
  expect(isAllowed('features/live', 'features/anomalies')).toBe(false);
  expect(isAllowed('ui', 'api')).toBe(false);
  expect(isAllowed('api', 'ui')).toBe(false);
  expect(isAllowed('features/live', 'api')).toBe(true);
});
