import { describe, expect, test } from 'vitest';
import { BpfMap, type MapCodec, PerCpuMap, possibleCpus, RawMap } from '../../../src/libbpf/index.ts';
import { caught, loadEverything, mapwireError } from './support.ts';

const u32: MapCodec<number> = {
  name: '__u32',
  size: 4,
  write: (view, offset, value) => view.setUint32(offset, value, true),
  read: (view, offset) => view.getUint32(offset, true),
};

interface Pair {
  readonly a: number;
  readonly b: number;
}

const pair: MapCodec<Pair> = {
  name: 'struct pair',
  size: 8,
  write: (view, offset, value) => {
    view.setUint32(offset, value.a, true);
    view.setUint16(offset + 4, value.b, true);
    view.setUint16(offset + 6, 0, true);
  },
  read: (view, offset) => ({ a: view.getUint32(offset, true), b: view.getUint16(offset + 4, true) }),
};

describe('BpfMap', () => {
  test('typed entries, one and many', async () => {
    using object = await loadEverything();
    const map = new BpfMap(object.maps.get('pairs')!, u32, pair);
    expect(map.get(1)).toBeUndefined();
    expect(map.has(1)).toBe(false);
    map.set(1, { a: 10, b: 2 });
    expect(map.get(1)).toEqual({ a: 10, b: 2 });
    const many = Array.from({ length: 40 }, (_, i) => [i + 1, { a: i, b: i }] as const);
    expect(await map.setMany(many)).toEqual({ applied: 40, missing: 0 });
    expect(new Map(map)).toEqual(new Map(many));
    expect(new Map(await map.dump())).toEqual(new Map(many));
    expect(new Set(map.keys())).toEqual(new Set(many.map(([key]) => key)));
    expect(await map.deleteMany([1, 2, 99])).toEqual({ applied: 2, missing: 1 });
    expect(map.delete(3)).toBe(true);
    expect(map.delete(3)).toBe(false);
    expect([...map.entries()]).toHaveLength(37);
    expect(await map.setMany([])).toEqual({ applied: 0, missing: 0 });
  });

  test('the program sees what is written and the other way round', async () => {
    using object = await loadEverything();
    const map = new BpfMap(object.maps.get('pairs')!, u32, pair);
    const say = object.programs.get('say')!;
    say.testRun({ data: new Uint8Array(64) });
    expect([...map]).toEqual([[expect.any(Number), { a: 7, b: 1 }]]);
    const [key] = [...map.keys()];
    map.set(key!, { a: 100, b: 3 });
    say.testRun({ data: new Uint8Array(64) });
    expect(map.get(key!)).toEqual({ a: 101, b: 3 });
  });

  test('sizes must agree', async () => {
    using raw = RawMap.create({ type: 'hash', name: 'sizes', keySize: 4, valueSize: 4, maxEntries: 1 });
    expect(await caught(() => new BpfMap(raw, pair, u32))).toEqual(
      mapwireError('ERR_MW_MAP_INCOMPATIBLE', { field: 'key size', kernel: 4, expected: 8 }),
    );
    expect(await caught(() => new BpfMap(raw, u32, pair))).toEqual(
      mapwireError('ERR_MW_MAP_INCOMPATIBLE', { field: 'value size', kernel: 4, expected: 8 }),
    );
    expect(await caught(() => new PerCpuMap(raw, u32, u32))).toEqual(mapwireError('ERR_MW_INVALID_ARGUMENT'));
  });
});

describe('PerCpuMap', () => {
  test('a value for each possible CPU', async () => {
    using object = await loadEverything();
    const raw = object.maps.get('per_cpu')!;
    const map = new PerCpuMap(raw, u32, pair);
    const values = Array.from({ length: possibleCpus() }, (_, cpu) => ({ a: cpu + 1, b: 9 }));
    map.set(2, values);
    expect(map.get(2)).toEqual(values);
    expect(map.get(3)).toEqual(values.map(() => ({ a: 0, b: 0 })));
    expect(map.get(4)).toBeUndefined();
    expect([...map].map(([key]) => key)).toEqual([0, 1, 2, 3]);
    expect(await caught(() => map.set(1, values.slice(1)))).toEqual(mapwireError('ERR_MW_INVALID_ARGUMENT'));
    expect(await caught(() => new BpfMap(raw, u32, pair))).toEqual(mapwireError('ERR_MW_INVALID_ARGUMENT'));
  });
});
