// npm run screenshot -- --url URL --out FILE [--theme light|dark] [--width 1440] [--height 1080] [--detail]
//
// A real screenshot of a running stack. Waits for the first anomaly; `--detail` opens the worst.

import { chromium } from '@playwright/test';
import { parseArgs } from 'node:util';

import { CHROMIUM } from './chromium.js';

const { values } = parseArgs({
  options: {
    url: { type: 'string' },
    out: { type: 'string' },
    theme: { type: 'string', default: 'dark' },
    width: { type: 'string', default: '1440' },
    height: { type: 'string', default: '1080' },
    detail: { type: 'boolean', default: false },
  },
});
const { url, out, theme } = values;
if (!url || !out || (theme !== 'light' && theme !== 'dark')) {
  console.error(
    'usage: npm run screenshot -- --url URL --out FILE [--theme light|dark] [--detail]',
  );
  process.exit(64);
}

const browser = await chromium.launch(CHROMIUM);
try {
  const page = await browser.newPage({
    viewport: { width: Number(values.width), height: Number(values.height) },
    deviceScaleFactor: 2,
    colorScheme: theme,
    reducedMotion: 'reduce',
  });
  await page.goto(url);
  await page.getByRole('slider', { name: 'Time in the chart' }).waitFor({ timeout: 60_000 });
  const rows = page.getByRole('table', { name: 'Anomalies, newest first' }).getByRole('row');
  await rows.nth(1).waitFor({ timeout: 90_000 });
  if (values.detail) {
    for (const severity of ['Critical', 'High', 'Medium', 'Low']) {
      const row = rows.filter({ has: page.getByText(severity, { exact: true }) }).first();
      if ((await row.count()) === 0) continue;
      await row.getByRole('button').first().click();
      await page.getByRole('region', { name: 'Expected against observed' }).waitFor();
      break;
    }
  }
  await page.evaluate(() => document.fonts.ready);
  // One more refresh of the chart.
  await page.waitForTimeout(2_500);
  await page.screenshot({ path: out });
  console.log(out);
} finally {
  await browser.close();
}
