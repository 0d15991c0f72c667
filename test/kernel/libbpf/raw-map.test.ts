import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type BpfObject, Btf, MapFlag, MapType, Program, possibleCpus, RawMap } from '../../../src/libbpf/index.ts';
import { caught, loadEverything, mapwireError, PinFolder, readU32, u32 } from './support.ts';

function hash(maxEntries = 16): RawMap {
  return RawMap.create({ type: 'hash', name: 'test', keySize: 4, valueSize: 8, maxEntries });
}

const value = (low: number): Uint8Array => Uint8Array.from([...u32(low), 0, 0, 0, 0]);

describe('hash', () => {
  test('entries come, change and go', () => {
    using map = hash();
    expect(map.lookup(u32(1))).toBeUndefined();
    map.update(u32(1), value(10));
    expect(map.lookup(u32(1))).toEqual(value(10));
    map.update(u32(1), value(11), 'replace');
    map.update(u32(2), value(20), 'create');
    expect(new Map([...map.entries()].map(([k, v]) => [readU32(k), readU32(v)]))).toEqual(
      new Map([
        [1, 11],
        [2, 20],
      ]),
    );
    expect(map.delete(u32(1))).toBe(true);
    expect(map.delete(u32(1))).toBe(false);
    expect(map.lookupAndDelete(u32(2))).toEqual(value(20));
    expect(map.lookupAndDelete(u32(2))).toBeUndefined();
    expect([...map.keys()]).toEqual([]);
  });

  test('errors have code, errno and system call', async () => {
    using map = hash(2);
    map.update(u32(1), value(1));
    map.update(u32(2), value(2));
    expect(await caught(() => map.update(u32(3), value(3)))).toEqual(
      mapwireError('ERR_MW_MAP_FULL', { errnoName: 'E2BIG', syscall: 'bpf(BPF_MAP_UPDATE_ELEM)', maxEntries: 2 }),
    );
    expect(await caught(() => map.update(u32(1), value(1), 'create'))).toEqual(
      mapwireError('ERR_MW_SYSCALL', { errnoName: 'EEXIST' }),
    );
    expect(await caught(() => map.update(u32(9), value(1), 'replace'))).toEqual(
      mapwireError('ERR_MW_NOT_FOUND', { errnoName: 'ENOENT' }),
    );
  });

  test('wrong sizes are refused before the kernel sees them', async () => {
    using map = hash();
    const wrong = mapwireError('ERR_MW_INVALID_ARGUMENT');
    expect(await caught(() => map.lookup(new Uint8Array(3)))).toEqual(wrong);
    expect(await caught(() => map.update(new Uint8Array(5), value(1)))).toEqual(wrong);
    expect(await caught(() => map.update(u32(1), new Uint8Array(7)))).toEqual(wrong);
    expect(await caught(() => map.delete(new Uint8Array(0)))).toEqual(wrong);
    expect(await caught(() => map.updateBatch(u32(1), value(1), 2))).toEqual(wrong);
    expect(await caught(() => map.updateBatch(u32(1), value(1), -1))).toEqual(wrong);
    expect(await caught(() => map.updateBatch(u32(1), value(1), 0.5))).toEqual(wrong);
    expect(await caught(() => map.deleteBatch(u32(1), 2))).toEqual(wrong);
  });

  test('views into larger buffers do', () => {
    using map = hash();
    const all = Uint8Array.from([9, 9, 9, ...u32(7), ...value(70), 9]);
    map.update(all.subarray(3, 7), all.subarray(7, 15));
    expect(map.lookup(u32(7))).toEqual(value(70));
  });

  test('keys may be deleted while they are walked', () => {
    using map = hash(200);
    for (let i = 0; i < 200; i++) map.update(u32(i), value(i));
    let seen = 0;
    for (const key of map.keys()) {
      seen++;
      expect(map.delete(key)).toBe(true);
    }
    expect(seen).toBe(200);
    expect([...map.keys()]).toEqual([]);
  });

  test('info, ids and duplicates', async () => {
    using map = hash(33);
    expect(map.info()).toMatchObject({
      id: map.id,
      name: 'test',
      type: MapType.hash,
      keySize: 4,
      valueSize: 8,
      maxEntries: 33,
      flags: 0,
      btfId: 0,
    });
    expect(map.typeName).toBe('hash');
    using same = RawMap.fromId(map.id);
    const twin = map.dup();
    same.update(u32(1), value(5));
    expect(twin.lookup(u32(1))).toEqual(value(5));
    twin.close();
    expect(map.lookup(u32(1))).toEqual(value(5));
    expect(await caught(() => twin.lookup(u32(1)))).toEqual(mapwireError('ERR_MW_CLOSED'));
    expect(await caught(() => RawMap.fromId(0x7fffffff))).toEqual(mapwireError('ERR_MW_NOT_FOUND', { errno: 2 }));
  });

  test('refused specifications', async () => {
    const spec = { type: 'hash', name: 'x', keySize: 4, valueSize: 4, maxEntries: 1 } as const;
    const invalid = mapwireError('ERR_MW_INVALID_ARGUMENT');
    expect(await caught(() => RawMap.create({ ...spec, name: 'more than fifteen' }))).toEqual(invalid);
    expect(await caught(() => RawMap.create({ ...spec, name: 'a b' }))).toEqual(invalid);
    expect(await caught(() => RawMap.create({ ...spec, type: 'nothing' as 'hash' }))).toEqual(invalid);
    expect(await caught(() => RawMap.create({ ...spec, keySize: 0 }))).toEqual(
      mapwireError('ERR_MW_SYSCALL', { errnoName: 'EINVAL', syscall: 'bpf(BPF_MAP_CREATE)' }),
    );
  });

  test('a frozen map takes no writes', async () => {
    using map = RawMap.create({ type: 'array', name: 'frozen', keySize: 4, valueSize: 4, maxEntries: 1 });
    map.freeze();
    expect(await caught(() => map.update(u32(0), u32(1)))).toEqual(
      mapwireError('ERR_MW_PRIVILEGE', { errnoName: 'EPERM' }),
    );
  });
});

describe('other types', () => {
  test('LPM: the longest prefix answers; full is ERR_MW_MAP_FULL', async () => {
    const spec = { type: 'lpm_trie', name: 'lpm', keySize: 8, valueSize: 4, flags: MapFlag.NO_PREALLOC } as const;
    using map = RawMap.create({ ...spec, maxEntries: 2 });
    const key = (length: number, ...address: number[]): Uint8Array => Uint8Array.from([...u32(length), ...address]);
    map.update(key(8, 10, 0, 0, 0), u32(8));
    map.update(key(24, 10, 1, 2, 0), u32(24));
    expect(map.lookup(key(32, 10, 1, 2, 3))).toEqual(u32(24));
    expect(map.lookup(key(32, 10, 9, 2, 3))).toEqual(u32(8));
    expect(map.lookup(key(32, 11, 0, 0, 1))).toBeUndefined();
    expect(await caught(() => map.update(key(16, 10, 2, 0, 0), u32(16)))).toEqual(
      mapwireError('ERR_MW_MAP_FULL', { errnoName: 'ENOSPC' }),
    );
    expect([...map.entries()]).toHaveLength(2);
    expect((await map.dump()).count).toBe(2);
  });

  test('per CPU: one value for each possible CPU, rounded up to 8 bytes', () => {
    using map = RawMap.create({ type: 'percpu_hash', name: 'cpus', keySize: 4, valueSize: 5, maxEntries: 4 });
    expect(map.perCpu).toBe(true);
    expect(map.valueStride).toBe(8 * possibleCpus());
    const values = new Uint8Array(map.valueStride);
    for (let cpu = 0; cpu < possibleCpus(); cpu++) values.set([cpu + 1, 2, 3, 4, 5], cpu * 8);
    map.update(u32(1), values);
    expect(map.lookup(u32(1))).toEqual(values);
    expect([...map.entries()]).toEqual([[u32(1), values]]);
  });

  test('queue: values without keys', () => {
    using map = RawMap.create({ type: 'queue', name: 'queue', keySize: 0, valueSize: 4, maxEntries: 2 });
    const none = new Uint8Array(0);
    map.update(none, u32(1));
    map.update(none, u32(2));
    expect(map.lookupAndDelete(none)).toEqual(u32(1));
    expect(map.lookupAndDelete(none)).toEqual(u32(2));
    expect(map.lookupAndDelete(none)).toBeUndefined();
  });

  test('an index beyond an array is no full map', async () => {
    using map = RawMap.create({ type: 'array', name: 'array', keySize: 4, valueSize: 4, maxEntries: 2 });
    expect(await caught(() => map.update(u32(2), u32(1)))).toEqual(
      mapwireError('ERR_MW_SYSCALL', { errnoName: 'E2BIG' }),
    );
  });

  test('devmap: entries without batches', async () => {
    using object = await loadEverything();
    const devices = object.maps.get('devices')!;
    devices.update(u32(1), Uint8Array.from([...u32(1), ...u32(0)]));
    expect([...devices.entries()].map(([k, v]) => [readU32(k), readU32(v)])).toEqual([[1, 1]]);
    expect(await devices.dump()).toMatchObject({ count: 1 });
    expect(await caught(() => devices.lookupBatch({ count: 1 }))).toEqual(mapwireError('ERR_MW_UNSUPPORTED'));
    const keys = Uint8Array.from([...u32(2), ...u32(3)]);
    const values = Uint8Array.from([...u32(1), ...u32(0), ...u32(0x7fffffff), ...u32(0)]);
    expect(await devices.updateBatch(keys, values, 2)).toEqual({
      applied: 1,
      missing: 0,
      errno: 22,
      errnoName: 'EINVAL',
    });
  });
});

describe('map of maps', () => {
  test('inner arrays of any length, with the types of the object, replaced as one value', async () => {
    using object = await loadEverything();
    const lists = object.maps.get('lists')!;
    const program = object.programs.get('first')!;
    const { btfId, btfKeyTypeId, btfValueTypeId } = object.maps.get('pairs')!.info();
    using btf = Btf.fromId(btfId);
    const list = (length: number, b: number): RawMap => {
      const map = RawMap.create({
        type: 'array',
        name: 'list',
        keySize: 4,
        valueSize: 8,
        maxEntries: length,
        flags: MapFlag.INNER_MAP,
        btf: { btf, keyTypeId: btfKeyTypeId, valueTypeId: btfValueTypeId },
      });
      map.update(u32(0), Uint8Array.of(0, 0, 0, 0, b, 0, 0, 0));
      return map;
    };
    expect(program.testRun({ data: new Uint8Array(64) }).retval).toBe(0);
    using one = list(5, 1);
    lists.update(u32(1), u32(one.fd));
    expect(program.testRun({ data: new Uint8Array(64) }).retval).toBe(1);
    using two = list(9, 2);
    lists.update(u32(1), u32(two.fd));
    expect(program.testRun({ data: new Uint8Array(64) }).retval).toBe(2);
    expect(two.info()).toMatchObject({ btfId, btfValueTypeId });
    using held = RawMap.fromId(readU32(lists.lookup(u32(1))!));
    expect(held.maxEntries).toBe(9);
    expect([...lists.entries()].map(([k, v]) => [readU32(k), readU32(v)])).toEqual([[1, two.id]]);
    using other = RawMap.create({ type: 'array', name: 'other', keySize: 4, valueSize: 4, maxEntries: 1 });
    expect(await caught(() => lists.update(u32(1), u32(other.fd)))).toEqual(
      mapwireError('ERR_MW_SYSCALL', { errnoName: 'EINVAL' }),
    );
  });
});

describe('memory', () => {
  test('is shared with the kernel, one mapping a handle, and outlives close()', async () => {
    const map = RawMap.create({
      type: 'array',
      name: 'memory',
      keySize: 4,
      valueSize: 8,
      maxEntries: 4,
      flags: MapFlag.MMAPABLE,
    });
    const words = new BigUint64Array(map.mmap());
    expect(words.length).toBe(4);
    expect(map.mmap()).toBe(words.buffer);
    map.update(u32(2), value(42));
    expect(words[2]).toBe(42n);
    words[3] = 7n;
    expect(readU32(map.lookup(u32(3))!)).toBe(7);
    map.close();
    words[0] = 1n;
    expect([...words]).toEqual([1n, 0n, 42n, 7n]);
  });

  test('other maps have none', async () => {
    using map = hash();
    expect(await caught(() => map.mmap())).toEqual(mapwireError('ERR_MW_INVALID_ARGUMENT'));
    using frozen = RawMap.create({
      type: 'array',
      name: 'memory',
      keySize: 4,
      valueSize: 8,
      maxEntries: 4,
      flags: MapFlag.MMAPABLE,
    });
    frozen.freeze();
    expect(await caught(() => frozen.mmap())).toEqual(mapwireError('ERR_MW_PRIVILEGE', { errnoName: 'EPERM' }));
  });
});

describe('pins', () => {
  let folder: PinFolder;
  let object: BpfObject;
  beforeAll(async () => {
    folder = new PinFolder();
    object = await loadEverything();
  });
  afterAll(() => {
    object.close();
    folder[Symbol.dispose]();
  });

  test('a pinned map outlives its handles', () => {
    const path = folder.at('map');
    {
      using map = hash();
      map.update(u32(1), value(3));
      map.pin(path);
    }
    using again = RawMap.openPinned(path);
    expect(again.name).toBe('test');
    expect(again.lookup(u32(1))).toEqual(value(3));
  });

  test('taken, missing, outside a bpffs, of another kind', async () => {
    using map = hash();
    const path = folder.at('taken');
    map.pin(path);
    expect(await caught(() => map.pin(path))).toEqual(mapwireError('ERR_MW_SYSCALL', { errnoName: 'EEXIST', path }));
    expect(await caught(() => map.pin(folder.at('a/b')))).toEqual(mapwireError('ERR_MW_NOT_FOUND'));
    expect(await caught(() => map.pin('/tmp/mwlib-not-a-bpffs'))).toEqual(mapwireError('ERR_MW_PRIVILEGE'));
    expect(await caught(() => RawMap.openPinned(folder.at('none')))).toEqual(mapwireError('ERR_MW_NOT_FOUND'));
    expect(await caught(() => Program.openPinned(path))).toEqual(mapwireError('ERR_MW_INVALID_ARGUMENT', { path }));
  });

  test('a program too', () => {
    const program = object.programs.get('drop')!;
    program.pin(folder.at('program'));
    using again = Program.openPinned(folder.at('program'));
    expect(again.id).toBe(program.id);
    expect(again.testRun({ data: new Uint8Array(64) }).retval).toBe(1);
  });
});

test('BTF comes back as bytes', async () => {
  using object = await loadEverything();
  using btf = Btf.fromId(object.maps.get('pairs')!.info().btfId);
  const raw = btf.raw();
  expect([raw[0], raw[1]]).toEqual([0x9f, 0xeb]);
  expect(new TextDecoder().decode(raw)).toContain('pair');
  using again = Btf.load(raw);
  expect(again.id).not.toBe(btf.id);
  expect(again.raw()).toEqual(raw);
  expect(await caught(() => Btf.load(new Uint8Array(24)))).toEqual(mapwireError('ERR_MW_SYSCALL'));
});
