/**
 * Random and damaged frames at the underlay: nothing is delivered that the model would not deliver, and each frame that is
 * dropped is counted by exactly one reason. `test/long` has a million of them. MAPWIRE_SEED repeats a run.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { chosenSeed } from '../../support/packet-differential.ts';
import { BATCH, UnderlayFuzz } from '../../support/packet-fuzz.ts';

const SEED = chosenSeed();
const BATCHES = 24;

let fuzz: UnderlayFuzz;

beforeAll(async () => {
  fuzz = await UnderlayFuzz.start(SEED);
}, 60_000);

afterAll(() => fuzz?.[Symbol.asyncDispose]());

test(`the underlay program and the model agree, and count (seed ${SEED})`, { timeout: 240_000 }, async () => {
  expect((await fuzz.run(BATCHES)).join('\n')).toBe('');
  console.info(`fuzz: ${fuzz.summary()}`);
  expect(fuzz.tally.frames + fuzz.tally.refused).toBe(BATCHES * BATCH);
  expect(fuzz.tally.refused).toBeLessThan(fuzz.tally.frames / 10);
  // damage of a size that much gets through, and much does not
  for (const outcome of [
    'deliver',
    'flood',
    'stack',
    'left',
    'outer-malformed',
    'tunnel-header',
    'malformed',
    'guard-remote',
  ]) {
    expect([...fuzz.seen.keys()]).toContain(outcome);
  }
});
