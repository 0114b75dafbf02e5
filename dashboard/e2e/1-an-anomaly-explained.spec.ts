import { expect, test } from '@playwright/test';

import {
  anomalies,
  awaitAnomaly,
  comparison,
  expectDetail,
  openPage,
  openRow,
  rowButtons,
} from './page';

test('an error burst appears, I see why, and it is still there after a reload', async ({
  page,
}) => {
  await test.step('the page is live and has data', async () => {
    await openPage(page);
    const time = page.getByRole('slider', { name: 'Time in the chart' });
    await expect(time).toBeVisible({ timeout: 60_000 });
    await expect(time).toHaveAttribute('aria-valuetext', /records per second/, {
      timeout: 60_000,
    });
    const totals = page.getByRole('region', { name: 'Totals' });
    await expect(totals.getByRole('definition').nth(1)).toHaveText(/^[1-9]/, { timeout: 60_000 });
  });

  await test.step('an anomaly with errors appears', async () => {
    await awaitAnomaly(page);
    await expect(anomalies(page).getByRole('row', { name: /error/i }).first()).toBeVisible({
      timeout: 90_000,
    });
  });

  await test.step('it explains itself', async () => {
    const row = anomalies(page).getByRole('row', { name: /error/i }).first();
    await row.getByRole('rowheader').getByRole('button').click();
    await expectDetail(page);
    await expect(page.getByRole('heading', { name: 'Why' })).toBeVisible();
    const lines = page.getByRole('region', { name: 'Sample lines' });
    await expect(lines.getByText(/^(ERROR|FATAL)$/).first()).toBeVisible();
    await expect(lines.getByText(/^p\d+ @ \d+$/).first()).toBeVisible();
    await expect(page.getByText(/kafka_offset BETWEEN \d+ AND \d+/)).toBeVisible();
  });

  const address = page.url();

  await test.step('Escape closes it, and the focus is back in the list', async () => {
    await page.keyboard.press('Escape');
    await expect(comparison(page)).toBeHidden();
    await expect(rowButtons(page).and(page.locator(':focus'))).toBeVisible();
  });

  await test.step('a reload keeps it listed, and its address opens it again', async () => {
    await page.reload();
    await awaitAnomaly(page);
    await page.goto(address);
    await expect(openRow(page)).toBeVisible();
    await expectDetail(page);
  });
});
