/**
 * Other kernels than the host's: each boots under QEMU (software emulation) and runs, with the files of this checkout, the
 * packet fixtures and everything in guest/. A suite has a guest of its own; those of a kernel run side by side. The console of
 * each is kept in build/kernels/, and what the verifier counted is printed.
 */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { packageRoot } from '../../src/bintools/package-root.ts';
import { runInGuest } from '../support/qemu/guest.ts';
import { kernelImage } from '../support/qemu/kernel-image.ts';
import type { TestCounts } from '../support/reporter/count-reporter.ts';

const VITEST = 'node node_modules/vitest/vitest.mjs run --project guest --project kernel';
/** Software emulation is about this many times slower. */
const ENVIRONMENT = 'MAPWIRE_SLOW=20 MAPWIRE_TEST_COUNTS=$RESULTS/counts.json';
const LIMIT = 3_000_000;

const suites = [
  {
    id: 'load',
    name: 'every object loads, far below the limit of the verifier',
    files: 'test/kernels/guest/load test/kernel/packets/verifier-budget',
  },
  {
    id: 'hosts',
    name: 'ping, TCP and UDP between hosts with both hooks, and with the tunnels of this kernel',
    files: 'test/kernels/guest/two-hosts test/kernels/guest/tunnels',
  },
  {
    id: 'packets',
    name: 'packet fixtures in both objects',
    files: 'test/kernel/packets/fixtures test/kernel/packets/refusals',
  },
];

describe.each(['6.1', '6.12'])('Linux %s:', (series) => {
  test.concurrent.each(suites.map((suite) => [suite.name, suite] as const))('%s', async (_, { id, files }) => {
    const kernel = await kernelImage(series);
    const log = join(packageRoot(), 'build', 'kernels', `${kernel.release}-${id}.log`);
    const run = await runInGuest(kernel, `${ENVIRONMENT} ${VITEST} ${files}`, LIMIT, log);
    const tail = `last words of ${log}:\n${run.console.slice(-6_000)}`;
    if (run.counts === undefined) throw new Error(`the guest left no counts; ${tail}`);
    const counts = JSON.parse(run.counts) as TestCounts;
    expect({ status: run.status, failed: counts.failed, errors: counts.errors }, tail).toEqual({
      status: 0,
      failed: 0,
      errors: 0,
    });
    // a guest that lacks something must not pass by skipping
    expect(counts.skippedNames).toEqual([]);
    expect(counts.passed).toBeGreaterThan(0);
    const verifier = run.console.match(/^(verifier, .*:| {2}mw_.*% of the limit)\r?$/gm) ?? [];
    if (verifier.length > 0) console.info(verifier.join('\n'));
  });
});
