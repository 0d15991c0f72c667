import { defineConfig } from 'vitest/config';

const root = (name: string, timeout: number) => ({
  name,
  include: [`test/${name}/**/*.test.ts`],
  environment: 'node' as const,
  // processes of their own, one after another: these tests change the machine (namespaces, BPF objects, signals)
  pool: 'forks' as const,
  fileParallelism: false,
  testTimeout: timeout,
  hookTimeout: timeout,
  teardownTimeout: 60_000,
});

/**
 * One project a folder of test/. `unit` needs nothing but Node; the others need root. scripts/test.mjs chooses, runs them
 * one project after another and adds up what the count reporter writes.
 */
export default defineConfig({
  test: {
    reporters: ['default', './test/support/reporter/count-reporter.ts'],
    projects: [
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'], environment: 'node', testTimeout: 30_000 } },
      { test: root('kernel', 60_000) },
      { test: root('system', 180_000) },
      { test: root('long', 3_600_000) },
      { test: root('kernels', 1_800_000) },
    ],
  },
});
