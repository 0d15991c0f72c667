/**
 * Random frames over random tables: the simulator, the XDP object and the TC object must agree, and together they must have
 * met every verdict and every reason. `test/long` has the same with more of both.
 *
 * The run follows from a seed, which is printed. MAPWIRE_SEED repeats a run, MAPWIRE_CASE=<table>:<frame> one frame of it.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { chosenSeed, Differential } from '../../support/packet-differential.ts';

const SEED = chosenSeed();
const CASE = process.env.MAPWIRE_CASE;
const TABLES = 300;
const FRAMES = 100;

let differential: Differential;

beforeAll(async () => {
  differential = await Differential.start(SEED);
}, 60_000);

afterAll(() => differential?.[Symbol.asyncDispose]());

test(`simulator, XDP and TC agree (seed ${SEED})`, { timeout: 240_000 }, async () => {
  if (CASE !== undefined) {
    expect((await differential.runCase(CASE)).join('\n\n')).toBe('');
    return;
  }
  console.info(`packets: seed ${SEED}, ${TABLES} tables of ${FRAMES} frames`);
  expect((await differential.run(TABLES, FRAMES)).join('\n\n')).toBe('');
  console.info(`packets: ${differential.summary()}`);
  expect(differential.tally.frames).toBeGreaterThanOrEqual(20_000);
  expect(differential.complaints()).toEqual([]);
});
