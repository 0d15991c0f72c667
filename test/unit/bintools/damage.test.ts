/**
 * Damaged input: whatever is cut off or overwritten, the answer is a description or a MapwireError. fast-check
 * prints the seed and path that replay a failure; MW_TEST_RUNS asks for more runs.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readBtf } from '../../../src/bintools/btf.ts';
import { structLayout, typeName } from '../../../src/bintools/c-layout.ts';
import { compareMap } from '../../../src/bintools/compare-map.ts';
import { describeObject } from '../../../src/bintools/describe.ts';
import { findSection, readElf, relocationsOf } from '../../../src/bintools/elf.ts';
import { generate } from '../../../src/bintools/generate.ts';
import { objectLayoutHash } from '../../../src/bintools/layout-hash.ts';
import { readObject } from '../../../src/bintools/object.ts';
import { renderDescription } from '../../../src/bintools/render-description.ts';
import { shapeOf } from '../../../src/bintools/shape.ts';
import { codecOf } from '../../../src/bintools/shape-codec.ts';
import { MapwireError } from '../../../src/errors.ts';
import { MAPS } from '../../../src/generated/layout.ts';
import { sourceBytes } from './compiled.ts';

const RUNS = Number(process.env.MW_TEST_RUNS ?? 400);

/** Runs it; true when it ended well, false when it refused. Anything else thrown fails the test. */
function survives(attempt: () => unknown): boolean {
  try {
    attempt();
    return true;
  } catch (error) {
    if (!(error instanceof MapwireError)) throw error;
    expect(error.message).not.toBe('');
    return false;
  }
}

function useObject(bytes: Uint8Array): boolean {
  survives(() => {
    const object = readObject(bytes);
    for (const section of object.elf.sections) relocationsOf(object.elf, section);
  });
  survives(() => objectLayoutHash(readObject(bytes)));
  survives(() => generate([{ name: 'x', file: 'x.bpf.o', object: readObject(bytes) }]));
  return survives(() => renderDescription(describeObject(bytes)));
}

function useBtf(bytes: Uint8Array): boolean {
  return survives(() => {
    const btf = readBtf(bytes);
    for (const type of btf.types) {
      survives(() => typeName(btf, type.id));
      survives(() => codecOf(shapeOf(btf, type.id)));
      if (type.kind === 'struct' || type.kind === 'union') survives(() => structLayout(btf, type));
    }
    const kernel = { type: 'hash', keySize: 4, valueSize: 80, flags: 0, btf, keyTypeId: 1, valueTypeId: 2 };
    compareMap(kernel, MAPS.port);
  });
}

/** Overwrites: where (from 0 to 1 of the length) and with what; numbers that are near limits are likely. */
const damage = fc.array(
  fc.tuple(
    fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
    fc.oneof(
      fc.nat(255).map((byte) => [byte]),
      fc.constantFrom([0xff, 0xff, 0xff, 0xff], [0, 0, 0, 0], [0xff, 0xff, 0xff, 0x7f], [0, 0, 0, 0x80], [1, 0, 0, 0]),
      fc.constantFrom([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], [0, 0, 0, 0, 0, 0, 0x10, 0]),
    ),
  ),
  { minLength: 1, maxLength: 6 },
);

function damaged(bytes: Uint8Array, changes: readonly (readonly [number, readonly number[]])[], from = 0): Uint8Array {
  const copy = bytes.slice();
  for (const [place, content] of changes) {
    const at = from + Math.floor(place * (bytes.length - from));
    copy.set(content.slice(0, copy.length - at), at);
  }
  return copy;
}

describe('damaged', () => {
  test('objects, overwritten anywhere', async () => {
    const bytes = await sourceBytes('every-kind');
    let refused = 0;
    fc.assert(
      fc.property(damage, (changes) => {
        if (!useObject(damaged(bytes, changes))) refused++;
      }),
      { numRuns: RUNS },
    );
    expect(refused).toBeGreaterThan(RUNS / 20);
  });

  test('objects, overwritten in their headers', async () => {
    const bytes = await sourceBytes('every-kind');
    const elf = readElf(bytes);
    const headers = bytes.length - elf.sections.length * 64;
    let refused = 0;
    fc.assert(
      fc.property(damage, fc.boolean(), (changes, first) => {
        const header = bytes.slice();
        header.set(damaged(bytes.subarray(0, 64), changes));
        if (!useObject(first ? header : damaged(bytes, changes, headers))) refused++;
      }),
      { numRuns: RUNS },
    );
    expect(refused).toBeGreaterThan(RUNS / 20);
  });

  test('objects, cut off at every length that matters', async () => {
    const bytes = await sourceBytes('every-kind');
    expect(useObject(bytes)).toBe(true);
    for (let length = 0; length < bytes.length; length += 1 + (length >> 4)) {
      expect(useObject(bytes.subarray(0, length)), `${length} bytes`).toBe(false);
    }
  });

  test('BTF, overwritten anywhere', async () => {
    const section = findSection(readElf(await sourceBytes('every-kind')), '.BTF');
    if (!section) return expect.fail('no BTF');
    expect(useBtf(section.bytes)).toBe(true);
    let refused = 0;
    fc.assert(
      fc.property(damage, (changes) => {
        if (!useBtf(damaged(section.bytes, changes))) refused++;
      }),
      { numRuns: RUNS },
    );
    expect(refused).toBeGreaterThan(RUNS / 20);
  });

  test('BTF made of types at random', () => {
    const word = fc.oneof(fc.nat(8), fc.nat(0xffffffff));
    const type = fc.tuple(fc.nat(19), fc.nat(4), fc.nat(8), fc.array(word, { maxLength: 12 }), fc.boolean());
    let whole = 0;
    fc.assert(
      fc.property(fc.array(type, { minLength: 1, maxLength: 12 }), (types) => {
        if (useBtf(randomBtf(types))) whole++;
      }),
      { numRuns: RUNS * 5 },
    );
    expect(whole).toBeGreaterThan(0);
  });

  test('BTF in which types contain one another a thousandfold', () => {
    // each struct holds the one before it twice: followed path by path this would never end
    for (const size of [0, 1, 8, 4096]) {
      const structs = Array.from({ length: 60 }, (_, n) => ({ kind: 4, count: 2, size, members: [n, n] }));
      const bytes = encodeBtf([
        [0, 1 << 24, 1, 8],
        ...structs.map(({ kind, count, members }) => [
          ...[0, (kind << 24) | count, size],
          ...members.flatMap((member, index) => [1, member + 1, index * size * 4]),
        ]),
      ]);
      expect(useBtf(bytes)).toBe(true);
    }
    const arrays = Array.from({ length: 5000 }, (_, n) => [0, 3 << 24, 0, n + 1, 1, 2]);
    expect(useBtf(encodeBtf([[0, 1 << 24, 1, 8], ...arrays]))).toBe(true);
    const nested = Array.from({ length: 5000 }, (_, n) => [0, (4 << 24) | 1, 1, 1, n + 1, 0]);
    expect(useBtf(encodeBtf([[0, 1 << 24, 1, 8], ...nested]))).toBe(true);
    const pointers = Array.from({ length: 5000 }, (_, n) => [0, 2 << 24, n + 1]);
    expect(useBtf(encodeBtf([[0, 1 << 24, 1, 8], ...pointers]))).toBe(true);
    const typedefs = Array.from({ length: 5000 }, (_, n) => [1, 8 << 24, n + 1]);
    expect(useBtf(encodeBtf([[0, 1 << 24, 1, 8], ...typedefs]))).toBe(true);
  });
});

type RandomType = readonly [kind: number, count: number, size: number, words: readonly number[], flag: boolean];

/** Words that follow a type, fixed and for each of its parts, by kind (Documentation/bpf/btf.rst). */
const FIXED: Readonly<Record<number, number>> = { 1: 1, 3: 3, 14: 1, 17: 1 };
const EACH: Readonly<Record<number, number>> = { 4: 3, 5: 3, 6: 2, 13: 2, 15: 3, 19: 3 };

/** Well-formed records of random content, so that what follows reading is reached. */
function randomBtf(types: readonly RandomType[]): Uint8Array {
  return encodeBtf(
    types.map(([kind, count, size, words, flag]) => {
      const extra = (FIXED[kind] ?? 0) + count * (EACH[kind] ?? 0);
      const info = ((flag ? 0x80000000 : 0) | (kind << 24) | count) >>> 0;
      return [1, info, size, ...Array.from({ length: extra }, (_, index) => words[index % (words.length || 1)] ?? 0)];
    }),
  );
}

function encodeBtf(types: readonly (readonly number[])[]): Uint8Array {
  const words = types.flat();
  const strings = new TextEncoder().encode('\0a\0bb\0ccc\0');
  const bytes = new Uint8Array(24 + words.length * 4 + strings.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, 0xeb9f, true);
  view.setUint8(2, 1);
  view.setUint32(4, 24, true);
  view.setUint32(12, words.length * 4, true);
  view.setUint32(16, words.length * 4, true);
  view.setUint32(20, strings.length, true);
  for (const [index, word] of words.entries()) view.setUint32(24 + index * 4, word >>> 0, true);
  bytes.set(strings, 24 + words.length * 4);
  return bytes;
}
