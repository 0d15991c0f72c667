/** Shares and movements of balanced addresses. What docs/packet-rules.md and docs/decisions say of them is printed here. */
import { describe, expect, test } from 'vitest';
import { hashWords } from '../../../src/simulator/hash.ts';
import { type BalanceLevel, balanceOf, slotsOfLevel } from '../../../src/table/balance.ts';
import { tableFromObject } from '../../../src/table/index.ts';
import {
  DEFAULT_SLOTS,
  MAX_SLOTS,
  maglev,
  SLOT_SIZES,
  type Slots,
  slotsFor,
  slotsNeeded,
  type Weighted,
} from '../../../src/table/maglev.ts';
import { randomFrom } from '../compiler/random-table.ts';

function members(count: number, weight: (i: number) => number = () => 1): Weighted[] {
  return Array.from({ length: count }, (_, i) => ({ id: `m${String(i).padStart(3, '0')}`, weight: weight(i) }));
}

/** The least table that the checks of a table let these members have. */
function leastFor(list: readonly Weighted[]): number {
  const needed = slotsNeeded(list);
  expect(needed).toBeLessThanOrEqual(MAX_SLOTS);
  return slotsFor(needed);
}

function counts(slots: Int32Array, members: number): number[] {
  const found = new Array<number>(members).fill(0);
  for (const member of slots) (found[member] as number)++;
  return found;
}

/** How many slots are another member's, by id. */
function moved(before: readonly [Weighted[], Slots], after: readonly [Weighted[], Slots]): number {
  let count = 0;
  for (let slot = 0; slot < before[1].first.length; slot++) {
    const [a, b] = [before, after].map(([list, slots]) => list[slots.first[slot] as number]?.id);
    if (a !== b) count++;
  }
  return count;
}

/** Upper tail of the chi-square distribution, by Wilson and Hilferty's approximation. */
function chiSquareP(statistic: number, freedom: number): number {
  const spread = 2 / (9 * freedom);
  const z = ((statistic / freedom) ** (1 / 3) - (1 - spread)) / Math.sqrt(spread);
  const t = 1 / (1 + 0.2316419 * Math.abs(z));
  const tail =
    (Math.exp(-z * z * 0.5) / Math.sqrt(2 * Math.PI)) *
    t *
    (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  return z > 0 ? tail : 1 - tail;
}

describe('shares', () => {
  test.each([
    ['two equals', members(2)],
    ['1 and 100', members(2, (i) => (i === 0 ? 1 : 100))],
    ['7 of all weights', members(7, (i) => [1, 3, 10, 33, 50, 99, 100][i] as number)],
    ['20 equals', members(20)],
    ['100 with weights 1 to 100', members(100, (i) => i + 1)],
  ])('%s: every share is that of its weight, within a hundredth', (...[, list]) => {
    const { first, second } = maglev(list, leastFor(list));
    const sum = list.reduce((total, { weight }) => total + weight, 0);
    for (const [i, count] of counts(first, list.length).entries()) {
      const share = (first.length * (list[i] as Weighted).weight) / sum;
      expect(Math.abs(count - share)).toBeLessThan(1);
      expect(Math.abs(count / share - 1)).toBeLessThanOrEqual(0.01);
    }
    // a million slots are too many for a million expectations
    expect(second.every((member, slot) => member >= 0 && member !== first[slot])).toBe(true);
  });

  test('what a member leaves is spread over the others by weight', () => {
    const list = members(5, (i) => i + 1);
    const { first, second } = maglev(list, leastFor(list));
    const heirs = new Array<number>(5).fill(0);
    first.forEach((member, slot) => {
      if (member === 4) (heirs[second[slot] as number] as number)++;
    });
    const left = heirs.reduce((total, count) => total + count, 0);
    expect(heirs[4]).toBe(0);
    for (let i = 0; i < 4; i++) expect(Math.abs((heirs[i] as number) / left - (i + 1) / 10)).toBeLessThan(0.03);
  });

  test.each([1, 4093])('one member has them all, and there is no second: %i', (size) => {
    const { first, second } = maglev(members(1), size);
    expect([...first]).toEqual(new Array(size).fill(0));
    expect([...second]).toEqual(new Array(size).fill(-1));
  });

  test('the order of filling is that of the ids alone: twice the same', () => {
    const list = members(9, (i) => 1 + (i % 3));
    expect(maglev(list, 4093)).toEqual(maglev(structuredClone(list), 4093));
  });

  test('sizes are primes, and what an address says decides', () => {
    for (const size of SLOT_SIZES) for (let i = 2; i * i <= size; i++) expect(size % i).not.toBe(0);
    expect([undefined, 1, 4093, 4094, 262140, MAX_SLOTS].map((least) => slotsFor(least))).toEqual([
      ...[DEFAULT_SLOTS, 4093, 4093, 16381, MAX_SLOTS, MAX_SLOTS],
    ]);
  });

  test('what members need: fewer of them never need more', () => {
    expect(slotsNeeded(members(1))).toBe(1);
    expect(slotsNeeded(members(17))).toBeLessThanOrEqual(4093);
    expect(slotsNeeded(members(18))).toBeGreaterThan(4093);
    expect(slotsNeeded(members(34))).toBeLessThanOrEqual(DEFAULT_SLOTS);
    expect(slotsNeeded(members(35))).toBeGreaterThan(DEFAULT_SLOTS);
    expect(slotsNeeded(members(256))).toBeLessThanOrEqual(MAX_SLOTS);
    const random = randomFrom(11);
    for (let round = 0; round < 200; round++) {
      const list = members(2 + random(60), () => 1 + random(100));
      const some = list.filter(() => random(3) > 0);
      expect(slotsNeeded(some)).toBeLessThanOrEqual(slotsNeeded(list));
    }
  });
});

test('100,000 flows agree with the slots (chi-square)', () => {
  const list = members(10, (i) => [1, 1, 2, 3, 5, 8, 13, 21, 34, 55][i] as number);
  const { first } = maglev(list, leastFor(list));
  const random = randomFrom(5);
  const word = (): number => random(0x1_0000_0000);
  const hits = new Array<number>(10).fill(0);
  for (let flow = 0; flow < 100_000; flow++) {
    const hash = hashWords([word(), 0x0a010064, 6, random(65536) * 65536 + 443]);
    (hits[first[Math.floor((hash * first.length) / 2 ** 32)] as number] as number)++;
  }
  const expected = counts(first, 10).map((count) => (100_000 * count) / first.length);
  const statistic = hits.reduce(
    (sum, hit, i) => sum + (hit - (expected[i] as number)) ** 2 / (expected[i] as number),
    0,
  );
  const p = chiSquareP(statistic, 9);
  console.info(`maglev: 100,000 flows over 10 members: chi-square ${statistic.toFixed(1)}, p = ${p.toFixed(3)}`);
  expect(p).toBeGreaterThan(0.001);
});

/** An address with equal members, but for those that are down or have another weight, as a node that they are all at sees it. */
function addressOf(
  names: readonly string[],
  down: readonly string[] = [],
  weights: Readonly<Record<string, number>> = {},
) {
  const table = tableFromObject({
    nodes: { a: { underlay: '192.0.2.1' } },
    networks: { blue: { segment: 5 } },
    ports: Object.fromEntries(
      names.map((id, i) => [
        id,
        { network: 'blue', mac: `02:00:00:00:00:${(i + 16).toString(16)}`, at: [{ node: 'a' }] },
      ]),
    ),
    addresses: {
      web: {
        ...{ network: 'blue', mac: '02:00:00:00:0a:01' },
        members: names.map((port) => ({
          ...{ port, weight: weights[port] ?? 1, state: down.includes(port) ? ('down' as const) : ('up' as const) },
        })),
      },
    },
  });
  const { levels, here } = balanceOf(table.addresses.get('web')!, table, 'a');
  expect(levels).toHaveLength(1);
  expect(here).toEqual(levels[0]);
  return levels[0]!;
}

/** Part of all flows, by their hashes, that get another member. */
function flowsMoved(before: BalanceLevel, after: BalanceLevel): number {
  const [a, b] = [before, after].map((level) => {
    const { first } = slotsOfLevel(level);
    const ids = level.members.map(({ port }) => port);
    return (hash: number): string => ids[first[Math.floor((hash * level.size) / 2 ** 32)] as number] as string;
  }) as [(hash: number) => string, (hash: number) => string];
  const hashes = 100_000;
  let moved = 0;
  for (let i = 0; i < hashes; i++) {
    const hash = Math.floor(((i + 0.5) * 2 ** 32) / hashes);
    if (a(hash) !== b(hash)) moved++;
  }
  return moved / hashes;
}

describe('the number of slots stands still', () => {
  const names = members(34).map(({ id }) => id);

  test('whoever is removed, of any number that the table accepts: under 1.5 / N of the flows move', () => {
    for (let count = names.length; count > 1; count--) {
      const all = addressOf(names.slice(0, count));
      const share = flowsMoved(all, addressOf(names.slice(1, count))) * count;
      expect([count, share]).toEqual([count, expect.toSatisfy((found: number) => found > 0.98 && found < 1.5)]);
    }
  });

  test('who is down and comes back has what it had', () => {
    const all = addressOf(names);
    expect(all.size).toBe(DEFAULT_SLOTS);
    expect(addressOf(names, ['m004']).size).toBe(DEFAULT_SLOTS);
    expect(flowsMoved(all, addressOf(names, ['m004'])) * 34).toBeLessThan(1.5);
    // all but one: it has one slot, and keeps its flows when another comes back
    const alone = addressOf(names, names.slice(1));
    expect(alone.size).toBe(1);
    expect(flowsMoved(alone, addressOf(names, names.slice(2)))).toBeCloseTo(0.5, 3);
  });

  test('weights do not alter it', () => {
    const three = ['a', 'b', 'c'];
    const before = addressOf(three, [], { a: 100, b: 100, c: 100 });
    const after = addressOf(three, [], { a: 100, b: 100, c: 99 });
    expect([before.size, after.size]).toEqual([DEFAULT_SLOTS, DEFAULT_SLOTS]);
    expect(addressOf(three, [], { a: 2, b: 100, c: 100 }).size).toBe(DEFAULT_SLOTS);
    expect(flowsMoved(before, after)).toBeLessThan(0.01);
  });
});

describe('who moves', () => {
  test.each([2, 3, 5, 10, 16, 17, 33, 34, 40, 67, 68, 100, 135, 255])(
    '%i equals: one comes or goes, under 1.5 / N of the flows move',
    (count) => {
      const all = members(count + 1);
      const size = leastFor(all);
      let most = 0;
      const whole = maglev(all, size);
      for (const gone of new Set([0, Math.floor(count / 2), count])) {
        const rest = all.filter((_, i) => i !== gone);
        const share = (moved([all, whole], [rest, maglev(rest, size)]) * (count + 1)) / size;
        most = Math.max(most, share);
      }
      console.info(
        `maglev: ${count + 1} members, ${size} slots: one goes (or comes) and ${most.toFixed(2)} / N flows move`,
      );
      expect(most).toBeGreaterThanOrEqual(0.99);
      expect(most).toBeLessThan(1.5);
    },
  );

  // 4093 slots of 17 are the least for their members. Orders of slots that are multiples of each other gave 1.83 in set 337.
  test.each([74, 216, 337, 362, 499, ...Array.from({ length: 20 }, (_, i) => 1000 + i)])(
    'whoever goes of 17, whatever they are called (%i)',
    (set) => {
      const all = Array.from({ length: 17 }, (_, i) => ({ id: `${set.toString(36)}-${i * (set + 3)}`, weight: 1 }));
      const whole = maglev(all, 4093);
      for (const gone of all) {
        const rest = all.filter((member) => member !== gone);
        const share = (moved([all, whole], [rest, maglev(rest, 4093)]) * 17) / 4093;
        expect([gone.id, share]).toEqual([gone.id, expect.toSatisfy((found: number) => found >= 0.99 && found < 1.5)]);
      }
    },
  );
});
