import { defineConfig } from 'vitest/config';

/** A machine this many times slower (another kernel in software emulation: test/support/qemu) gets as much more time. */
const slow = Number(process.env.MAPWIRE_SLOW ?? 1);

const root = (name: string, include: string, timeout: number) => ({
  name,
  include: [include],
  environment: 'node' as const,
  // processes of their own, one after another: these tests change the machine (namespaces, BPF objects, signals)
  pool: 'forks' as const,
  fileParallelism: false,
  testTimeout: timeout * slow,
  hookTimeout: timeout * slow,
  teardownTimeout: 60_000 * slow,
});

/**
 * One project a folder of test/. `unit` needs nothing but Node; the others need root. scripts/test.mjs chooses, runs them
 * one project after another and adds up what the count reporter writes. `guest` is what `kernels` runs under each kernel.
 */
export default defineConfig({
  test: {
    reporters: ['default', './test/support/reporter/count-reporter.ts'],
    projects: [
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'], environment: 'node', testTimeout: 30_000 } },
      { test: root('kernel', 'test/kernel/**/*.test.ts', 60_000) },
      { test: root('system', 'test/system/**/*.test.ts', 180_000) },
      { test: root('long', 'test/long/**/*.test.ts', 3_600_000) },
      { test: root('kernels', 'test/kernels/*.test.ts', 3_600_000) },
      { test: root('guest', 'test/kernels/guest/**/*.test.ts', 60_000) },
    ],
  },
});
