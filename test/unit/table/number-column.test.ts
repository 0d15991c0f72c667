/** The column against an array, whatever is written in whatever order; and what it takes. */
import { expect, test } from 'vitest';
import { NumberColumn } from '../../../src/table/number-column.ts';
import { Random } from '../../support/random.ts';

const SEED = Number(process.env.MAPWIRE_SEED ?? Date.now() % 1_000_000);
const ROWS = 6_000;

function expectSame(column: NumberColumn, numbers: Uint32Array, why: string): void {
  const read = Uint32Array.from({ length: ROWS }, (_, row) => column.get(row));
  expect(Buffer.from(read.buffer).equals(Buffer.from(numbers.buffer)), why).toBe(true);
  const listed = new Uint32Array(ROWS);
  column.each((row, value) => {
    expect(value, why).not.toBe(0);
    listed[row] = value;
  });
  expect(Buffer.from(listed.buffer).equals(Buffer.from(numbers.buffer)), why).toBe(true);
}

test(`holds what was set (MAPWIRE_SEED=${SEED})`, () => {
  for (let run = 0; run < 40; run++) {
    const random = new Random(`${SEED + run} column`);
    const why = `seed ${SEED + run}`;
    const column = new NumberColumn();
    const numbers = new Uint32Array(ROWS);
    const set = (row: number, value: number): void => {
      column.set(row, value);
      numbers[row] = value;
    };
    let copied: { column: NumberColumn; numbers: Uint32Array } | undefined;
    for (let step = 0; step < 60; step++) {
      const from = random.below(ROWS);
      const end = Math.min(ROWS, from + random.below(2_000));
      const base = random.below(2 ** random.between(1, 32));
      const kind = random.below(4);
      for (let row = from; row < end; row++) {
        if (kind === 0) set(row, base);
        else if (kind === 1) set(row, (base + row - from) >>> 0);
        else if (kind === 2) set(row, random.below(base + 1));
        else if (row % 97 === 0) set(row, 0);
      }
      if (step === 30) copied = { column: column.copy(), numbers: numbers.slice() };
    }
    expectSame(column, numbers, why);
    expectSame(copied!.column, copied!.numbers, `${why}, a copy before the last changes`);
    expectSame(NumberColumn.restore(column.dump()), numbers, `${why}, restored`);
    const marked = new Uint8Array(2 ** 16);
    const wanted = new Set([numbers[random.below(ROWS)]!, 0].filter((value) => value < marked.length));
    for (const value of wanted) marked[value] = 1;
    const found: number[] = [];
    column.rowsOf(marked, ROWS - 1, (row) => found.push(row));
    const right = [...numbers.subarray(0, ROWS - 1).entries()].filter(([, value]) => wanted.has(value));
    expect(found, why).toEqual(right.map(([row]) => row));
  }
});

test('takes nearly nothing for what is the same or rises, else the bytes of the differences', () => {
  const bytes = (value: (row: number) => number): number => {
    const column = new NumberColumn();
    for (let row = 0; row < 512 * 100; row++) column.set(row, value(row));
    const { bases, kinds, cells } = column.dump();
    return (bases.byteLength + kinds.byteLength + cells.byteLength) / (512 * 100);
  };
  expect(bytes(() => 0x020a)).toBeLessThan(0.02);
  expect(bytes((row) => row + 1_005)).toBeLessThan(0.02);
  expect(bytes((row) => 3_000_000_000 + ((row * 7) % 200))).toBeLessThan(1.02);
  expect(bytes((row) => 3_000_000_000 + ((row * 7_919) % 60_000))).toBeLessThan(2.02);
  // one row that is unlike costs its chunk alone
  expect(bytes((row) => (row === 700 ? 5 : row))).toBeLessThan(0.04);
});
