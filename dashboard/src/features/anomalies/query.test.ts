import { expect, test } from 'vitest';

import { anAnomaly } from '../../api/fixtures';
import { evidenceQuery } from './query';

test('asks for exactly the evidence', () => {
  expect(evidenceQuery(anAnomaly())).toBe(`SELECT timestamp, level, message, trace_id, kafka_offset
FROM logs
WHERE incarnation = '9f8a27c1'
  AND service = 'checkout'
  AND kafka_partition = 0
  AND kafka_offset BETWEEN 100 AND 300
ORDER BY kafka_offset
LIMIT 1000`);
});

test('a service cannot leave its quotes', () => {
  expect(evidenceQuery(anAnomaly({ service: `o'brien\\` }))).toContain(`'o\\'brien\\\\'`);
});

test('leaves out what the server did not name', () => {
  const anomaly = anAnomaly();
  const evidence = { ...anomaly.evidence, incarnation: '' };
  expect(evidenceQuery({ ...anomaly, evidence })).not.toContain('incarnation');
});
