import { AxeBuilder } from '@axe-core/playwright';
import { expect, test, type Page } from '@playwright/test';

import { awaitAnomaly, comparison, openPage, rowButtons } from './page';

const PHONE = { width: 390, height: 844 };
const DESKTOP = { width: 1440, height: 900 };

async function expectNoSidewaysScroll(page: Page): Promise<void> {
  const overflow = await page.evaluate(
    () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
  );
  expect(overflow, 'pixels wider than the screen').toBeLessThanOrEqual(0);
}

async function expectNoSeriousViolation(page: Page, where: string): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).analyze();
  const serious = violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' | ')}`);
  expect(serious, where).toEqual([]);
}

test('on a phone nothing sticks out, and the detail covers the page', async ({ page }) => {
  await page.setViewportSize(PHONE);
  await openPage(page);
  await awaitAnomaly(page);
  await expectNoSidewaysScroll(page);

  await rowButtons(page).first().click();
  const detail = page.getByRole('dialog');
  await expect(detail).toBeVisible();
  await expect(detail.getByRole('button', { name: 'Close detail' })).toBeFocused();
  await expectNoSidewaysScroll(page);
  await detail.getByRole('button', { name: 'Close detail' }).click();
  await expect(comparison(page)).toBeHidden();
});

test('the theme can be switched, and is remembered', async ({ page }) => {
  await page.emulateMedia({ colorScheme: 'light' });
  await openPage(page);
  const background = (): Promise<string> =>
    page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  const light = await background();

  await page.getByRole('button', { name: 'Switch to the dark theme' }).click();
  await expect.poll(background).not.toBe(light);
  const dark = await background();

  await page.reload();
  await expect(page.getByRole('button', { name: 'Switch to the light theme' })).toBeVisible();
  expect(await background()).toBe(dark);
});

for (const theme of ['light', 'dark'] as const) {
  for (const [name, viewport] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
    test(`axe finds nothing serious: ${theme}, ${name}`, async ({ page }) => {
      await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' });
      await page.setViewportSize(viewport);
      await openPage(page);
      await awaitAnomaly(page);
      await expectNoSeriousViolation(page, 'the page');
      await rowButtons(page).first().click();
      await expect(comparison(page)).toBeVisible();
      await expectNoSeriousViolation(page, 'with the detail open');
    });
  }
}
