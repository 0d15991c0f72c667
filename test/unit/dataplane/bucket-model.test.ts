/**
 * The protocol of bpf/buckets.h, in a model whose readers and writer are run through each other store by store. The addon's tables
 * are compared with it in test/kernel/libbpf, the programs read under load in test/kernel/dataplane.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BucketModel, finish, type ModelKey, type ModelOptions, type ModelValue } from '../../support/bucket-model.ts';
import { Random } from '../../support/random.ts';

const SEED = 0x0123_4567_89ab_cdefn;
const keyOf = (number: number): ModelKey => ({
  words: [(7n << 32n) | BigInt(Math.floor(number / 8))],
  tail: BigInt(number % 8),
});

/** Values tell whose they are. */
const entryOf = (number: number, change: number): ModelValue => ({ port: number * 64 + change + 1, flags: change % 4 });
const ownerOf = ({ port }: ModelValue): number => Math.floor((port - 1) / 64);

interface Tally {
  reads: number;
  moves: number;
  waits: number;
  changedUnderway: number;
}

/**
 * A writer that puts, changes and removes keys of a table that is nearly full, and readers beside it; gives what a reader saw that it
 * must not see. Keys below `lasting` are there from the beginning to the end.
 */
function race(
  random: Random,
  options: Pick<ModelOptions, 'without'>,
  tally: Tally,
  operations: number,
): string | undefined {
  const model = new BucketModel({
    buckets: 4,
    wordsPerSlot: 2,
    seed: SEED ^ BigInt(random.below(1 << 30)),
    ...options,
  });
  // few: slots change hands all the time; many: keys are moved all the time
  const lasting = random.between(1, 14);
  const keys = lasting < 5 ? 14 : lasting + 9;
  const pace = random.pick([2, 3, 8]);
  const changes = new Map<number, number>();
  for (let number = 0; number < lasting; number++) {
    if (!finish(model.put(keyOf(number), entryOf(number, 0), true))) return undefined;
    changes.set(number, 0);
  }
  type Reader = {
    readonly number: number;
    readonly find: ReturnType<BucketModel['find']>;
    readonly versions: Set<number>;
  };
  let readers: Reader[] = [];
  let wrong: string | undefined;
  const begin = (): void => {
    const number = random.chance(0.5) ? random.below(lasting) : random.below(keys);
    const versions = new Set(changes.has(number) ? [changes.get(number)!] : []);
    readers.push({ number, find: model.find(keyOf(number)), versions });
  };
  const read = (reader: Reader): void => {
    const step = reader.find.next();
    if (step.done !== true) return;
    readers = readers.filter((other) => other !== reader);
    tally.reads++;
    const { value } = step;
    if (reader.versions.size > 1) tally.changedUnderway++;
    if (value === undefined) {
      if (reader.number < lasting) wrong ??= `key ${reader.number} was missing`;
    } else if (ownerOf(value) !== reader.number) {
      wrong ??= `key ${reader.number} had the value of key ${ownerOf(value)}`;
    } else {
      const change = (value.port - 1) % 64;
      if (!reader.versions.has(change)) wrong ??= `key ${reader.number} had a value of another time`;
      if (value.flags !== change % 4)
        wrong ??= `key ${reader.number} had the port of one entry and the flags of another`;
    }
  };
  for (let operation = 0; operation < operations && wrong === undefined; operation++) {
    const number = random.below(keys);
    const known = changes.get(number);
    const removes = known !== undefined && number >= lasting && random.chance(lasting < 5 ? 0.6 : 0.4);
    const change = random.below(60);
    if (!removes) for (const reader of readers) if (reader.number === number) reader.versions.add(change);
    if (!removes) changes.set(number, change);
    const writer = removes ? model.remove(keyOf(number)) : model.put(keyOf(number), entryOf(number, change));
    for (;;) {
      while (readers.length < 3) begin();
      // a reader that begins in the middle may see either
      for (const reader of readers) if (reader.number === number && known !== undefined) reader.versions.add(known);
      for (const reader of readers) if (reader.number === number && !removes) reader.versions.add(change);
      const step = writer.next();
      if (step.done === true) {
        if (removes) changes.delete(number);
        else if (step.value === false) known === undefined ? changes.delete(number) : changes.set(number, known);
        break;
      }
      if (step.value === 'wait') for (const reader of [...readers]) while (readers.includes(reader)) read(reader);
      for (let loads = random.below(pace); loads > 0 && readers.length > 0; loads--) read(random.pick(readers));
    }
  }
  tally.moves += model.moves;
  tally.waits += model.waits;
  return wrong;
}

describe('a reader beside a writer', () => {
  const runs = (options: Pick<ModelOptions, 'without'>, count: number, more: { seed?: number } = {}) => {
    const tally = { reads: 0, moves: 0, waits: 0, changedUnderway: 0 };
    let seen: string | undefined;
    const outcome = fc.check(
      fc.property(fc.integer(), (seed) => {
        seen = race(new Random(`buckets ${seed}`), options, tally, 120);
        if (seen !== undefined) throw new Error(seen);
      }),
      { numRuns: count, endOnFailure: true, ...more },
    );
    return { outcome, tally };
  };

  test('sees every entry whole, as its key’s own, and misses none that stays', () => {
    const { outcome, tally } = runs({}, 600);
    expect(fc.defaultReportMessage(outcome)).toBeUndefined();
    console.info(`bucket model: ${JSON.stringify(tally)}`);
    expect(tally.moves).toBeGreaterThan(100);
    expect(tally.waits).toBeGreaterThan(3);
    expect(tally.changedUnderway).toBeGreaterThan(100);
    expect(tally.reads).toBeGreaterThan(10_000);
  });

  test.each(['waiting', 'versions'] as const)('would not, were there no %s', (without) => {
    // One seed: a test of the test, which must not depend on luck.
    expect(runs({ without }, 4_000, { seed: 1 }).outcome.failed).toBe(true);
  });
});

describe('a table that fills', () => {
  test.each([2, 4] as const)('%i words a slot: takes nine tenths of its slots', (wordsPerSlot) => {
    const random = new Random(`fill ${wordsPerSlot}`);
    for (let run = 0; run < 5; run++) {
      const model = new BucketModel({ buckets: 250, wordsPerSlot, seed: BigInt(random.below(1 << 30)) });
      const bits = (): bigint => (BigInt(random.below(2 ** 31)) << 32n) | BigInt(random.below(2 ** 31));
      const words = (): bigint[] => Array.from({ length: wordsPerSlot - 1 }, bits);
      let count = 0;
      while (finish(model.put({ words: words(), tail: 0n }, { port: count + 1, flags: 0 }, true))) count++;
      expect(count / 1000).toBeGreaterThanOrEqual(0.9);
      expect([...model.entries()]).toHaveLength(count);
    }
  });

  test('beside readers, too', () => {
    const random = new Random('live');
    const model = new BucketModel({ buckets: 250, wordsPerSlot: 2, seed: SEED });
    let count = 0;
    while (finish(model.put({ words: [BigInt(random.below(2 ** 31))], tail: 1n }, { port: count + 1, flags: 0 })))
      count++;
    expect(count / 1000).toBeGreaterThanOrEqual(0.9);
    // most room is made by moves that nobody has to wait for
    expect(model.waits).toBeLessThan(model.moves / 2);
  });
});
