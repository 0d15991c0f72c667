/**
 * Other kernels than the host's: each boots under QEMU (software emulation) and runs, with the files of this checkout, the
 * packet fixtures and everything in guest/. The console of a run is kept in build/kernels/.
 */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { packageRoot } from '../../src/bintools/package-root.ts';
import { runInGuest } from '../support/qemu/guest.ts';
import { kernelImage } from '../support/qemu/kernel-image.ts';
import type { TestCounts } from '../support/reporter/count-reporter.ts';

const VITEST = 'node node_modules/vitest/vitest.mjs run';
/** Software emulation is about this many times slower. */
const ENVIRONMENT = 'MAPWIRE_SLOW=20 MAPWIRE_TEST_COUNTS=$RESULTS/counts.json';
const LIMIT = 3_000_000;

const suites = [
  { name: 'every object loads; ping, TCP and UDP between hosts with both hooks', command: '--project guest' },
  {
    name: 'packet fixtures in both objects',
    command:
      '--project kernel test/kernel/packets/fixtures test/kernel/packets/refusals test/kernel/packets/verifier-budget',
  },
];

describe.each(['6.1', '6.12'])('Linux %s', (series) => {
  test.each(suites.map((suite, index) => ({ ...suite, index })))('$name', async ({ command, index }) => {
    const kernel = await kernelImage(series);
    const log = join(packageRoot(), 'build', 'kernels', `${kernel.release}-${index}.log`);
    const run = await runInGuest(kernel, `${ENVIRONMENT} ${VITEST} ${command}`, LIMIT, log);
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
  });
});
