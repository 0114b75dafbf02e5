import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

// In development, where a running gateway listens.
const gateway = process.env.BAROGRAPH_URL ?? 'http://127.0.0.1:8080';

export default defineConfig({
  // Relative, so that the page also works under a path prefix of a reverse proxy.
  base: './',
  plugins: [react()],
  build: {
    outDir: 'dist',
    target: 'es2022',
    // Nothing inlined: the page keeps to `default-src 'self'`.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    proxy: {
      '/api': gateway,
      '/ws': { target: gateway, ws: true },
    },
  },
  test: { include: ['src/**/*.test.{ts,tsx}'] },
});
