import { defineConfig } from '@playwright/test';

import { CHROMIUM } from './e2e/chromium.js';

// The journeys run against a real stack that somebody else started: BAROGRAPH_URL says where.
const baseURL = process.env.BAROGRAPH_URL;
if (!baseURL) throw new Error('BAROGRAPH_URL is not set: where does the gateway listen?');

export default defineConfig({
  testDir: 'e2e',
  outputDir: 'test-results',
  timeout: 150_000,
  expect: { timeout: 15_000 },
  forbidOnly: true,
  // One stack with one stream of faults: one journey at a time.
  workers: 1,
  reporter: [['list']],
  use: {
    baseURL,
    launchOptions: CHROMIUM,
    trace: 'retain-on-failure',
    screenshot: 'only-on-failure',
  },
});
