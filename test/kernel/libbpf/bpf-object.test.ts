import { describe, expect, test } from 'vitest';
import { AttachType, BpfObject, MapFlag, MapType, ProgramType, RawMap } from '../../../src/libbpf/index.ts';
import { caught, loadEverything, mapwireError, objectBytes, openDescriptors, Pair, readU32, u32 } from './support.ts';

describe('opening', () => {
  test('tells maps, programs, sections and variables', async () => {
    using object = BpfObject.open(await objectBytes('everything'), { name: 'everything' });
    expect(object.mapSettings().map(({ name }) => name)).toEqual(
      expect.arrayContaining(['pairs', 'per_cpu', 'devices', 'lists', 'events']),
    );
    expect(object.map('pairs')).toMatchObject({
      type: MapType.hash,
      keySize: 4,
      valueSize: 8,
      maxEntries: 64,
      internal: false,
    });
    expect(object.program('say')).toMatchObject({
      section: 'xdp',
      type: ProgramType.xdp,
      expectedAttachType: AttachType.XDP,
    });
    expect(object.program('length')).toMatchObject({
      section: 'xdp.frags',
      type: ProgramType.xdp,
      expectedAttachType: AttachType.XDP,
    });
    expect(object.program('mark')).toMatchObject({ type: ProgramType.sched_cls });
    expect(object.global('settings')).toMatchObject({ section: '.rodata', size: 8 });
    expect(object.global('counter')).toMatchObject({ section: '.data', size: 4 });
    expect(object.global('pairs')).toBeUndefined();
    const { offset } = object.global('second')!;
    expect(object.section('.rodata')!.slice(offset, offset + 8)).toEqual(Uint8Array.of(7, 0, 0, 0, 0, 0, 0, 0));
    expect(object.section('.nothing')).toBeUndefined();
  });

  test.each([
    ['no ELF at all', new TextEncoder().encode('not an object')],
    ['nothing', new Uint8Array(0)],
  ])('refuses %s', async (_, bytes) => {
    const before = openDescriptors();
    expect(await caught(() => BpfObject.open(bytes))).toEqual(mapwireError('ERR_MW_ELF'));
    expect(openDescriptors()).toBe(before);
  });

  test('refuses a truncated object', async () => {
    const bytes = await objectBytes('everything');
    expect(await caught(() => BpfObject.open(bytes.subarray(0, bytes.byteLength / 2)))).toEqual(
      mapwireError('ERR_MW_ELF'),
    );
  });

  test('refuses a name that the kernel would not take', async () => {
    const bytes = await objectBytes('everything');
    expect(await caught(() => BpfObject.open(bytes, { name: 'a/b' }))).toEqual(mapwireError('ERR_MW_INVALID_ARGUMENT'));
  });

  test('unaligned bytes do', async () => {
    const bytes = await objectBytes('everything');
    const shifted = new Uint8Array(bytes.byteLength + 1);
    shifted.set(bytes, 1);
    using object = BpfObject.open(shifted.subarray(1));
    expect(object.programSettings().length).toBeGreaterThan(5);
  });
});

describe('settings', () => {
  test('variables reach the program', async () => {
    using object = BpfObject.open(await objectBytes('everything'));
    object.setGlobal('settings', Uint8Array.of(1, 0, 0, 0, 9, 0, 0, 0));
    object.setGlobal('counter', u32(1000));
    await object.load();
    expect(object.programs.get('say')!.testRun({ data: new Uint8Array(64) }).retval).toBe(1);
    expect(readU32(object.dataMap('.data')!.lookup(u32(0))!)).toBe(1001);
  });

  test('the whole of .rodata can be set, or a part of it', async () => {
    using object = BpfObject.open(await objectBytes('everything'));
    const rodata = object.section('.rodata')!;
    const { offset } = object.global('settings')!;
    rodata.set(u32(3), offset);
    object.setRodata(rodata);
    object.setRodata(u32(4), offset + 4);
    await object.load();
    expect(object.programs.get('say')!.testRun({ data: new Uint8Array(64) }).retval).toBe(3);
  });

  test('a variable of the wrong size, an unknown one and a place beyond the end are refused', async () => {
    using object = BpfObject.open(await objectBytes('everything'));
    const size = object.section('.rodata')!.byteLength;
    expect(await caught(() => object.setGlobal('settings', u32(1)))).toEqual(mapwireError('ERR_MW_INVALID_ARGUMENT'));
    expect(await caught(() => object.setGlobal('nothing', u32(1)))).toEqual(mapwireError('ERR_MW_NOT_FOUND'));
    expect(await caught(() => object.setRodata(u32(1)))).toEqual(mapwireError('ERR_MW_INVALID_ARGUMENT'));
    expect(await caught(() => object.setRodata(u32(1), size - 2))).toEqual(mapwireError('ERR_MW_INVALID_ARGUMENT'));
    expect(await caught(() => object.setRodata(u32(1), -1))).toEqual(mapwireError('ERR_MW_INVALID_ARGUMENT'));
    expect(await caught(() => object.map('nothing'))).toEqual(mapwireError('ERR_MW_NOT_FOUND'));
    expect(await caught(() => object.program('nothing'))).toEqual(mapwireError('ERR_MW_NOT_FOUND'));
    expect(await caught(() => object.map('pairs').setMaxEntries(0))).toEqual(mapwireError('ERR_MW_INVALID_ARGUMENT'));
  });

  test('max_entries, autoload and the program type', async () => {
    using object = BpfObject.open(await objectBytes('everything'));
    object.map('pairs').setMaxEntries(1000);
    for (const { name, setAutoload } of object.programSettings()) setAutoload(name === 'drop');
    object.program('drop').setType('xdp');
    await object.load();
    expect(object.maps.get('pairs')!.maxEntries).toBe(1000);
    expect([...object.programs.keys()]).toEqual(['drop']);
  });

  test('a map that no loaded program uses need not be made', async () => {
    using object = BpfObject.open(await objectBytes('everything'));
    for (const { name, setAutoload } of object.programSettings()) setAutoload(name === 'drop');
    object.map('events').setAutocreate(false);
    await object.load();
    expect(object.maps.has('events')).toBe(false);
  });

  test('the order open, load, use is kept', async () => {
    const object = BpfObject.open(await objectBytes('everything'));
    expect(await caught(() => object.maps)).toEqual(mapwireError('ERR_MW_INVALID_ARGUMENT'));
    const loading = object.load();
    expect(await caught(() => object.map('pairs'))).toEqual(mapwireError('ERR_MW_INVALID_ARGUMENT'));
    expect(await caught(() => object.close())).toEqual(mapwireError('ERR_MW_INVALID_ARGUMENT'));
    await loading;
    expect(await caught(() => object.setRodata(u32(1)))).toEqual(mapwireError('ERR_MW_INVALID_ARGUMENT'));
    expect(await caught(() => object.load())).toEqual(mapwireError('ERR_MW_INVALID_ARGUMENT'));
    const map = object.maps.get('pairs')!;
    object.close();
    object.close();
    expect(await caught(() => object.maps)).toEqual(mapwireError('ERR_MW_CLOSED'));
    expect(await caught(() => map.lookup(u32(1)))).toEqual(mapwireError('ERR_MW_CLOSED'));
  });
});

describe('a program for one device', () => {
  test('attaches there and nowhere else', async () => {
    await using here = await Pair.create();
    await using elsewhere = await Pair.create();
    using object = BpfObject.open(await objectBytes('everything'));
    for (const { name, setAutoload } of object.programSettings()) setAutoload(name === 'drop');
    object.program('drop').bindToDevice(here.ifindex);
    await object.load();
    const program = object.programs.get('drop')!;
    const error = await caught(() => program.attachXdp({ ifindex: elsewhere.ifindex, mode: 'native' }));
    expect(error).toEqual(mapwireError('ERR_MW_SYSCALL', { errnoName: 'EINVAL' }));
    using link = await program.attachXdp({ ifindex: here.ifindex, mode: 'native' });
    expect(link.info()).toMatchObject({ ifindex: here.ifindex, programId: program.id });
    expect(await caught(() => program.testRun({ data: new Uint8Array(64) }))).toEqual(
      mapwireError('ERR_MW_SYSCALL', { errnoName: 'EINVAL' }),
    );
  });

  test('a device that is not there, no index at all, and a program of TC are refused', async () => {
    using object = BpfObject.open(await objectBytes('everything'));
    for (const { name, setAutoload } of object.programSettings()) setAutoload(name === 'drop');
    for (const ifindex of [0, -1, 1.5, 2 ** 31]) {
      expect(await caught(() => object.program('drop').bindToDevice(ifindex))).toEqual(
        mapwireError('ERR_MW_INVALID_ARGUMENT'),
      );
    }
    expect(await caught(() => object.program('mark').bindToDevice(1))).toEqual(mapwireError('ERR_MW_INVALID_ARGUMENT'));
    object.program('drop').bindToDevice(0x7ffffff0);
    expect(await caught(() => object.load())).toEqual(
      expect.objectContaining({ details: expect.objectContaining({ errnoName: 'EINVAL' }) }),
    );
  });
});

describe('reusing maps', () => {
  test('two objects share a hash, a devmap and a map of maps', async () => {
    using one = await loadEverything();
    using two = BpfObject.open(await objectBytes('everything'));
    for (const name of ['pairs', 'devices', 'lists']) two.map(name).reuse(one.maps.get(name)!);
    await two.load();
    for (const name of ['pairs', 'devices', 'lists']) {
      expect(two.maps.get(name)!.id).toBe(one.maps.get(name)!.id);
    }
    expect(two.maps.get('per_cpu')!.id).not.toBe(one.maps.get('per_cpu')!.id);
    // the kernel's own flag on devmaps did not stand in the way
    expect(one.maps.get('devices')!.flags & MapFlag.RDONLY_PROG).not.toBe(0);
    two.programs.get('say')!.testRun({ data: new Uint8Array(64) });
    expect([...one.maps.get('pairs')!.keys()]).toHaveLength(1);
  });

  test('another layout is refused, field by field', async () => {
    using object = BpfObject.open(await objectBytes('everything'));
    using map = RawMap.create({ type: 'array', name: 'other', keySize: 4, valueSize: 16, maxEntries: 4 });
    const error = await caught(() => object.map('pairs').reuse(map));
    expect(error).toEqual(
      mapwireError('ERR_MW_MAP_INCOMPATIBLE', {
        differences: [
          { field: 'type', kernel: 'array', expected: 'hash' },
          { field: 'value size', kernel: 16, expected: 8 },
        ],
      }),
    );
  });

  test('a map of maps takes another template', async () => {
    using template = RawMap.create({
      type: 'array',
      name: 'template',
      keySize: 4,
      valueSize: 8,
      maxEntries: 1,
      flags: MapFlag.INNER_MAP,
    });
    using object = BpfObject.open(await objectBytes('everything'));
    object.map('lists').setInnerMap(template);
    await object.load();
    object.maps.get('lists')!.update(u32(1), u32(template.fd));
    expect(readU32(object.maps.get('lists')!.lookup(u32(1))!)).toBe(template.id);
  });
});

describe('the verifier', () => {
  test('its reason, the program and the whole log are in the error, and nothing is left', async () => {
    const bytes = await objectBytes('refused');
    const before = openDescriptors();
    const object = BpfObject.open(bytes);
    const error = (await caught(() => object.load())) as Error & { details: { log: string; summary: string } };
    expect(error).toEqual(mapwireError('ERR_MW_VERIFIER', { program: 'unchecked', errnoName: 'EACCES' }));
    expect(error.details.summary).toMatch(/invalid access to packet/);
    expect(error.message).toContain(error.details.summary);
    expect(error.details.log.length).toBeGreaterThan(20_000);
    expect(error.details.log).toContain('R1=ctx');
    expect(await caught(() => object.maps)).toEqual(mapwireError('ERR_MW_CLOSED'));
    expect(openDescriptors()).toBe(before);
  });

  test('the log of an accepted program comes on request', async () => {
    using object = BpfObject.open(await objectBytes('everything'));
    await object.load({ logLevel: 4 });
    expect(object.log).toMatch(/processed \d+ insns/);
  });

  test('parallel loads keep their words apart', async () => {
    const refused = await objectBytes('refused');
    const everything = await objectBytes('everything');
    const results = await Promise.allSettled(
      [0, 1, 2, 3, 4, 5].map((i) => BpfObject.open(i % 2 === 0 ? refused : everything).load()),
    );
    for (const [i, result] of results.entries()) {
      if (i % 2 === 0) {
        expect(result).toMatchObject({ status: 'rejected', reason: { code: 'ERR_MW_VERIFIER' } });
        const { log } = (result as PromiseRejectedResult).reason.details as { log: string };
        expect(log.match(/invalid access to packet/g)).toHaveLength(1);
      } else {
        expect(result.status).toBe('fulfilled');
        const { value } = result as PromiseFulfilledResult<BpfObject>;
        expect(value.log).toBe('');
        value.close();
      }
    }
  });
});
