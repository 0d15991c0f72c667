/** The fuzzer of test/kernel/packets/fuzz.test.ts, with a million frames. MAPWIRE_SEED repeats a run. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { scaled } from '../support/long.ts';
import { chosenSeed } from '../support/packet-differential.ts';
import { BATCH, UnderlayFuzz } from '../support/packet-fuzz.ts';

const SEED = chosenSeed();
const BATCHES = scaled(1_000_000 / BATCH, 20);

let fuzz: UnderlayFuzz;

beforeAll(async () => {
  fuzz = await UnderlayFuzz.start(SEED);
});

afterAll(() => fuzz?.[Symbol.asyncDispose]());

test(`the underlay program and the model agree, and count (seed ${SEED})`, async () => {
  console.info(`fuzz: seed ${SEED}, ${BATCHES} tables of ${BATCH} frames`);
  expect((await fuzz.run(BATCHES)).join('\n')).toBe('');
  console.info(`fuzz: ${fuzz.summary()}`);
  expect(fuzz.tally.frames + fuzz.tally.refused).toBe(BATCHES * BATCH);
});
