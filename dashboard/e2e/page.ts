// What the journeys see of the page: by role and name, never by class.

import { expect, type Locator, type Page } from '@playwright/test';

/** The stack may still be warming up when a journey begins. */
export const FIRST_ANOMALY_MS = 90_000;

export const anomalies = (page: Page): Locator =>
  page.getByRole('table', { name: 'Anomalies, newest first' });

/** The buttons of the rows; the header row has none. */
export const rowButtons = (page: Page): Locator =>
  anomalies(page).getByRole('rowheader').getByRole('button');

export const comparison = (page: Page): Locator =>
  page.getByRole('region', { name: 'Expected against observed' });

export async function openPage(page: Page): Promise<void> {
  await page.goto('./');
  await expect(page.getByRole('heading', { name: 'Barograph', level: 1 })).toBeVisible();
  await expect(page.getByRole('status', { name: 'Connection' })).toHaveText('Live');
}

export async function awaitAnomaly(page: Page): Promise<void> {
  await expect(rowButtons(page).first()).toBeVisible({ timeout: FIRST_ANOMALY_MS });
}

/** The row whose detail is open. */
export const openRow = (page: Page): Locator =>
  rowButtons(page).and(page.getByRole('button', { expanded: true }));

/** The detail belongs to the open row. Titles change with each version, so both are read together. */
export async function expectDetail(page: Page): Promise<void> {
  await expect(async () => {
    const title = await openRow(page).innerText();
    const detail = page.getByRole('region', { name: title, exact: true });
    await expect(detail.getByRole('heading', { name: title, exact: true })).toBeVisible({
      timeout: 500,
    });
  }).toPass();
  const values = comparison(page);
  await expect(values.getByRole('term').filter({ hasText: 'Observed' })).toBeVisible();
  await expect(values.getByRole('term').filter({ hasText: 'Expected' })).toBeVisible();
  await expect(
    values.getByRole('img', { name: /^observed .+, expected .+, normal/ }),
  ).toBeVisible();
}
