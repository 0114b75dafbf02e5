import { expect, test, type Locator, type Page } from '@playwright/test';

import { awaitAnomaly, comparison, expectDetail, openPage, openRow, rowButtons } from './page';

/** Presses Tab until the focus is on `target`. */
async function tabTo(page: Page, target: Locator, most = 30): Promise<void> {
  for (let presses = 0; presses < most; presses += 1) {
    await page.keyboard.press('Tab');
    if (await target.evaluate((element) => element === document.activeElement)) return;
  }
  throw new Error(`the focus did not get there within ${most} presses of Tab`);
}

test('everything works without a pointer', async ({ page }) => {
  await openPage(page);
  await awaitAnomaly(page);

  await test.step('the time range, with the arrow keys', async () => {
    const range = page.getByRole('group', { name: 'Time range' });
    await tabTo(page, range.getByRole('radio', { name: '15 min' }));
    await page.keyboard.press('ArrowRight');
    await expect(range.getByRole('radio', { name: '1 h' })).toBeChecked();
    await page.keyboard.press('ArrowLeft');
    await expect(range.getByRole('radio', { name: '15 min' })).toBeChecked();
  });

  await test.step('the chart reads itself out', async () => {
    const time = page.getByRole('slider', { name: 'Time in the chart' });
    await expect(time).toBeVisible();
    await tabTo(page, time);
    const now = Number(await time.getAttribute('aria-valuenow'));
    await page.keyboard.press('Home');
    await expect(time).toHaveAttribute('aria-valuenow', /^[01]$/);
    expect(now).toBeGreaterThan(1);
    await page.keyboard.press('Escape');
  });

  await test.step('the list, its detail, and back', async () => {
    const first = rowButtons(page).first();
    await tabTo(page, first);
    await page.keyboard.press('Enter');
    await expect(comparison(page)).toBeVisible();

    const count = await rowButtons(page).count();
    if (count > 1) {
      await page.keyboard.press('ArrowDown');
      await expect(openRow(page)).toBeFocused();
      await expectDetail(page);
    }

    // A long list has a button for more of it in between.
    await tabTo(page, page.getByRole('button', { name: 'Close detail' }), 2);
    await page.keyboard.press('Escape');
    await expect(comparison(page)).toBeHidden();
    await expect(rowButtons(page).and(page.locator(':focus'))).toBeVisible();
  });

  await test.step('the filter finds, and says when it found nothing', async () => {
    await page.keyboard.press('Shift+Tab');
    await page.keyboard.press('Shift+Tab');
    await page.keyboard.press('Shift+Tab');
    await expect(page.getByRole('searchbox')).toBeFocused();
    await page.keyboard.type('no line says this');
    await expect(page.getByRole('heading', { name: 'Nothing matches' })).toBeVisible();
    await tabTo(page, page.getByRole('button', { name: 'Clear filters' }));
    await page.keyboard.press('Enter');
    await expect(rowButtons(page).first()).toBeVisible();
  });
});
