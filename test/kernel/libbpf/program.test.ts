import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type BpfObject,
  objectIds,
  Program,
  ProgramType,
  RawMap,
  skbContext,
  xdpContext,
} from '../../../src/libbpf/index.ts';
import { caught, loadEverything, mapwireError, Pair, readU32 } from './support.ts';

const XDP_DROP = 1;
const XDP_PASS = 2;

let object: BpfObject;
beforeAll(async () => {
  object = await loadEverything();
});
afterAll(() => object.close());

const program = (name: string): Program => object.programs.get(name)!;
const frame = (size = 64): Uint8Array => Uint8Array.from({ length: size }, (_, i) => i & 255);

describe('test runs', () => {
  test('XDP: verdict and frame', () => {
    const result = program('drop').testRun({ data: frame() });
    expect(result).toMatchObject({ retval: XDP_DROP, data: frame(), ctx: new Uint8Array(0) });
    expect(result.duration).toBeGreaterThanOrEqual(0);
  });

  test('XDP: a frame that grows', () => {
    const { retval, data } = program('length').testRun({ data: frame(100) });
    expect(retval).toBe(XDP_PASS);
    expect(data.byteLength).toBe(104);
    expect(data.subarray(4)).toEqual(frame(100));
  });

  test('XDP: a frame of several pages', () => {
    expect(
      program('length')
        .testRun({ data: frame(9000) })
        .data.subarray(4),
    ).toEqual(frame(9000));
  });

  test('XDP: the device it comes in by', async () => {
    await using pair = await Pair.create();
    await pair.configure(); // queues are registered when it is up
    const pairs = object.maps.get('pairs')!;
    const ctx = xdpContext({ dataLength: 64, ingressIfindex: pair.ifindex });
    const result = program('say').testRun({ data: frame(), ctx });
    expect(result.retval).toBe(XDP_PASS);
    expect([...pairs.keys()].map((key) => readU32(key))).toContain(pair.ifindex);
    expect(readU32(result.ctx, 4)).toBe(64);
    const nowhere = xdpContext({ dataLength: 64, ingressIfindex: 0x7ffffff0 });
    expect(await caught(() => program('say').testRun({ data: frame(), ctx: nowhere }))).toEqual(
      mapwireError('ERR_MW_NOT_FOUND', { errnoName: 'ENODEV' }),
    );
  });

  test('TC: context in and out', () => {
    const result = program('mark').testRun({ data: frame(), ctx: skbContext({ mark: 5, cb: [1, 2, 3, 4, 5] }) });
    expect(result.retval).toBe(0);
    expect(readU32(result.ctx, 8)).toBe(5);
    expect(readU32(result.ctx, 48 + 16)).toBe(5);
  });

  test('repeats', () => {
    const before = readU32(object.dataMap('.data')!.lookup(new Uint8Array(4))!);
    program('say').testRun({ data: frame(), repeat: 100 });
    expect(readU32(object.dataMap('.data')!.lookup(new Uint8Array(4))!)).toBe(before + 100);
  });

  test('a result larger than the room for it names the size', async () => {
    expect(await caught(() => program('length').testRun({ data: frame(), dataOutSize: 20 }))).toEqual(
      mapwireError('ERR_MW_SYSCALL', { errnoName: 'ENOSPC', needed: 68, syscall: 'bpf(BPF_PROG_TEST_RUN)' }),
    );
  });

  test('what the kernel refuses', async () => {
    const invalid = mapwireError('ERR_MW_SYSCALL', { errnoName: 'EINVAL', syscall: 'bpf(BPF_PROG_TEST_RUN)' });
    const longer = xdpContext({ dataLength: 65 });
    expect(await caught(() => program('drop').testRun({ data: frame(), ctx: longer }))).toEqual(invalid);
    expect(await caught(() => program('drop').testRun({ data: frame(), ctx: frame(256) }))).toEqual(
      mapwireError('ERR_MW_SYSCALL', { errnoName: 'E2BIG' }),
    );
  });

  test('what would block the process is refused', async () => {
    const invalid = mapwireError('ERR_MW_INVALID_ARGUMENT');
    expect(await caught(() => program('drop').testRun({ data: frame(), repeat: 1_000_000 }))).toEqual(invalid);
    expect(await caught(() => program('drop').testRun({ data: frame(), liveFrames: true }))).toEqual(invalid);
    expect(await caught(() => program('mark').testRunAsync({ data: frame(), liveFrames: true }))).toEqual(invalid);
    expect(await caught(() => program('drop').testRun({ data: frame(), batchSize: 4 }))).toEqual(invalid);
  });

  test('asynchronous ones leave the event loop free', async () => {
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    const result = await program('say').testRunAsync({ data: frame(), repeat: 2_000_000 });
    clearInterval(timer);
    expect(result.retval).toBe(XDP_PASS);
    expect(turns).toBeGreaterThan(3);
  });

  test('live frames are really received', async () => {
    await using pair = await Pair.create();
    await pair.configure();
    const { retval } = await program('drop').testRunAsync({
      data: frame(),
      ctx: xdpContext({ dataLength: 64, ingressIfindex: pair.ifindex }),
      liveFrames: true,
      repeat: 256,
      batchSize: 32,
    });
    expect(retval).toBe(0);
  });

  test('many at the same time', async () => {
    const results = await Promise.all(
      Array.from({ length: 32 }, (_, i) => program('length').testRunAsync({ data: frame(64 + i) })),
    );
    expect(results.map(({ data }) => data.byteLength)).toEqual(Array.from({ length: 32 }, (_, i) => 68 + i));
  });
});

test('info, ids and maps', async () => {
  const say = program('say');
  const info = say.info();
  expect(info).toMatchObject({ id: say.id, name: 'say', type: ProgramType.xdp, createdByUid: 0 });
  expect(info.tag).toMatch(/^[0-9a-f]{16}$/);
  expect(info.verifiedInstructions).toBeGreaterThan(10);
  expect(info.mapIds).toContain(object.maps.get('pairs')!.id);
  expect([...objectIds('program')]).toContain(say.id);
  expect([...objectIds('map')]).toContain(object.maps.get('pairs')!.id);
  expect([...objectIds('btf')]).toContain(info.btfId);
  using same = Program.fromId(say.id);
  expect(same.name).toBe('say');
  expect(same.typeName).toBe('xdp');
  expect(await caught(() => Program.fromId(0x7fffffff))).toEqual(mapwireError('ERR_MW_NOT_FOUND'));
});

test('a bound map lives as long as the program', async () => {
  using own = await loadEverything();
  const drop = own.programs.get('drop')!;
  let id: number;
  {
    using map = RawMap.create({ type: 'array', name: 'bound', keySize: 4, valueSize: 4, maxEntries: 1 });
    drop.bindMap(map);
    id = map.id;
  }
  expect(drop.info().mapIds).toContain(id);
  using again = RawMap.fromId(id);
  expect(again.name).toBe('bound');
});

test('a closed program', async () => {
  const twin = program('drop').dup();
  twin.close();
  twin.close();
  expect(await caught(() => twin.testRun({ data: frame() }))).toEqual(mapwireError('ERR_MW_CLOSED'));
  expect(await caught(() => twin.attachXdp({ ifindex: 1, mode: 'any' }))).toEqual(mapwireError('ERR_MW_CLOSED'));
  expect(program('drop').testRun({ data: frame() }).retval).toBe(XDP_DROP);
});
