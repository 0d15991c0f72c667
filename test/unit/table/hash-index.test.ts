/** The index against a map of sets, through growth, removal, rows beyond twenty bits, and a dump. */
import { expect, test } from 'vitest';
import { finish, HashIndex, mix } from '../../../src/table/hash-index.ts';
import { Random } from '../../support/random.ts';

const SEED = Number(process.env.MAPWIRE_SEED ?? Date.now() % 1_000_000);
const WIDE = 1 << 20;

/** Few different hashes, so that many rows share one. */
const hashOf = (row: number): number => finish(mix(7, row % 700));

class Held {
  readonly rows = new Set<number>();
  readonly index = new HashIndex((add) => {
    for (const row of this.rows) add(hashOf(row), row);
  });

  add(row: number): void {
    this.index.reserve(1);
    this.rows.add(row);
    this.index.add(hashOf(row), row);
  }
}

function offered(index: HashIndex, hash: number): number[] {
  const found: number[] = [];
  for (let row = index.first(hash); row >= 0; row = index.next()) found.push(row);
  return found;
}

/** Everything with the hash is offered; whatever else is offered is something that the index holds. */
function expectAll({ index, rows }: Held, why: string): void {
  expect(index.size, why).toBe(rows.size);
  for (let key = 0; key < 700; key++) {
    const found = offered(index, finish(mix(7, key)));
    const own = found.filter((row) => row % 700 === key);
    expect(new Set(own), why).toEqual(new Set([...rows].filter((row) => row % 700 === key)));
    expect(own.length, why).toBe(new Set(own).size);
    for (const row of found) expect(rows.has(row), why).toBe(true);
  }
}

test(`offers what it holds (MAPWIRE_SEED=${SEED})`, () => {
  const random = new Random(`${SEED} index`);
  const held = new Held();
  for (let i = 0; i < 6_000; i++) {
    const row = i < 3_000 ? random.below(WIDE) : WIDE - 50 + random.below(100_000);
    if (held.rows.has(row)) {
      held.rows.delete(row);
      expect(held.index.remove(hashOf(row), row)).toBe(true);
      expect(held.index.remove(hashOf(row), row)).toBe(false);
    } else held.add(row);
    if (i % 3 === 0) {
      const old = [...held.rows][random.below(held.rows.size)]!;
      held.rows.delete(old);
      held.index.remove(hashOf(old), old);
    }
    if (i === 2_999) expectAll(held, 'while rows are below twenty bits');
  }
  expectAll(held, 'beyond');
  held.index.fit();
  expectAll(held, 'fitted');
  const again = new HashIndex(() => {});
  again.restore(held.index.dump());
  expectAll({ index: again, rows: held.rows } as Held, 'restored');
});

test('puts a row in the place of another one of the same hash', () => {
  const held = new Held();
  for (const row of [3, 703, WIDE + 100]) held.add(row);
  held.index.replace(hashOf(703), 703, 1403);
  expect(offered(held.index, hashOf(3)).sort((a, b) => a - b)).toEqual(expect.arrayContaining([3, 1403]));
  expect(offered(held.index, hashOf(3))).not.toContain(703);
});

test('takes three bytes a row and little more, five beyond twenty bits', () => {
  const bytes = (rows: number): number => {
    let held = 0;
    const index = new HashIndex((add) => {
      for (let row = 0; row < held; row++) add(finish(mix(7, row)), row);
    });
    index.reserve(rows * 1.3);
    for (; held < rows; held++) index.add(finish(mix(7, held)), held);
    index.fit();
    const dump = index.dump();
    return (dump.marks.byteLength + dump.rows.byteLength) / rows;
  };
  expect(bytes(100_000)).toBeLessThan(3.6);
  expect(bytes(WIDE + 1)).toBeLessThan(6);
});
