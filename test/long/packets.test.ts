/** The differential test of test/kernel/packets, with ten times as many tables and frames, in both layouts. */
import { expect, test } from 'vitest';
import { scaled } from '../support/long.ts';
import { chosenSeed, Differential } from '../support/packet-differential.ts';

const SEED = chosenSeed();
const TABLES = scaled(2_000, 200);
const FRAMES = 100;

test.each(['hash', 'compact'] as const)(`simulator, XDP and TC agree, layout %s (seed ${SEED})`, async (layout) => {
  await using differential = await Differential.start(SEED, layout);
  console.info(`packets: seed ${SEED}, ${TABLES} tables of ${FRAMES} frames`);
  expect((await differential.run(TABLES, FRAMES)).join('\n\n')).toBe('');
  console.info(`packets: ${differential.summary()}`);
  expect(differential.tally.frames).toBe(TABLES * FRAMES);
  expect(differential.complaints()).toEqual([]);
});
