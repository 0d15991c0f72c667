import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type BpfObject, type MapCodec, RawMap, RingBuffer } from '../../../src/libbpf/index.ts';
import { eventually } from '../../support/process.ts';
import { caught, loadEverything, mapwireError, openDescriptors } from './support.ts';

let object: BpfObject;
beforeEach(async () => {
  object = await loadEverything();
});
afterEach(() => object.close());

/** Has the program emit `count` records of `length` bytes; returns how many found no room. */
function emit(count: number, length: number): number {
  const data = new Uint8Array(64);
  data.set([count, length]);
  return object.programs.get('emit')!.testRun({ data }).retval;
}

async function take(ring: RingBuffer, count: number): Promise<Uint8Array[]> {
  const records: Uint8Array[] = [];
  for await (const record of ring) {
    records.push(record);
    if (records.length === count) break;
  }
  return records;
}

const first: MapCodec<number> = {
  name: 'first byte',
  size: 1,
  write: (view, offset, value) => view.setUint8(offset, value),
  read: (view, offset) => view.getUint8(offset),
};

describe('records', () => {
  test('come in order, of every length, before and while it waits', async () => {
    using ring = new RingBuffer(object.maps.get('events')!);
    emit(3, 1);
    const waiting = take(ring, 7);
    await new Promise((resolve) => setTimeout(resolve, 20));
    emit(4, 251);
    const records = await waiting;
    expect(records.map((record) => record[0])).toEqual([0, 1, 2, 0, 1, 2, 3]);
    expect(records.map((record) => record.byteLength)).toEqual([1, 1, 1, 251, 251, 251, 251]);
    expect(ring.drain()).toEqual([]);
  });

  test('wrap around the end of the ring many times', async () => {
    using ring = new RingBuffer(object.maps.get('events')!, { bufferSize: 1000 });
    let seen = 0;
    for (let round = 0; round < 20; round++) {
      expect(emit(200, 100)).toBe(0);
      for (const [i, record] of (await take(ring, 200)).entries()) {
        if (record[0] !== i || record.byteLength !== 100) throw new Error(`record ${i} of round ${round}`);
        seen++;
      }
    }
    expect(seen).toBe(4000);
  });

  test('a reader that does not read: the program is told, nothing is lost or invented', async () => {
    using ring = new RingBuffer(object.maps.get('events')!);
    let failed = 0;
    for (let i = 0; i < 10; i++) failed += emit(200, 100);
    expect(failed).toBeGreaterThan(0);
    expect(await take(ring, 2000 - failed)).toHaveLength(2000 - failed);
    expect(ring.drain()).toEqual([]);
  });

  test('a record larger than the buffer enlarges it', async () => {
    using ring = new RingBuffer(object.maps.get('events')!, { bufferSize: 1 });
    emit(2, 250);
    expect((await take(ring, 2)).map((record) => record.byteLength)).toEqual([250, 250]);
  });

  test('drain() does not wait', async () => {
    using ring = new RingBuffer(object.maps.get('events')!);
    expect(ring.drain()).toEqual([]);
    emit(5, 8);
    expect(ring.drain()).toHaveLength(5);
  });

  test('decoded', async () => {
    using ring = new RingBuffer(object.maps.get('events')!);
    emit(3, 8);
    const values: number[] = [];
    for await (const value of ring.decoded(first)) {
      values.push(value);
      if (values.length === 3) break;
    }
    expect(values).toEqual([0, 1, 2]);
    emit(1, 8);
    const long: MapCodec<number> = { ...first, size: 100 };
    expect(await caught(() => ring.decoded(long).next())).toEqual(mapwireError('ERR_MW_LAYOUT'));
  });
});

describe('ending', () => {
  test('close() finishes the iteration, and gives everything back', async () => {
    const before = openDescriptors();
    const ring = new RingBuffer(object.maps.get('events')!);
    const records: Uint8Array[] = [];
    const reading = (async () => {
      for await (const record of ring) records.push(record);
    })();
    emit(2, 8);
    await eventually('both records arrive', () => records.length === 2);
    ring.close();
    ring.close();
    await reading;
    expect(records).toHaveLength(2);
    expect(await caught(() => ring.drain())).toEqual(mapwireError('ERR_MW_CLOSED'));
    expect(openDescriptors()).toBe(before);
  });

  test('a signal does too, also one that was there before', async () => {
    const controller = new AbortController();
    using ring = new RingBuffer(object.maps.get('events')!, { signal: controller.signal });
    const all = take(ring, 1000);
    setTimeout(() => controller.abort(), 20);
    expect(await all).toEqual([]);
    expect(ring.closed).toBe(true);
    const late = new RingBuffer(object.maps.get('events')!, { signal: controller.signal });
    expect(late.closed).toBe(true);
    expect(await take(late, 1)).toEqual([]);
  });

  test('it outlives the object it came from', async () => {
    using ring = new RingBuffer(object.maps.get('events')!);
    emit(1, 8);
    object.close();
    expect(await take(ring, 1)).toHaveLength(1);
  });

  test('another type of map is refused', async () => {
    expect(await caught(() => new RingBuffer(object.maps.get('pairs')!))).toEqual(
      mapwireError('ERR_MW_INVALID_ARGUMENT'),
    );
    const map = RawMap.create({ type: 'ringbuf', name: 'closed', keySize: 0, valueSize: 0, maxEntries: 4096 });
    map.close();
    expect(await caught(() => new RingBuffer(map))).toEqual(mapwireError('ERR_MW_CLOSED'));
  });
});
