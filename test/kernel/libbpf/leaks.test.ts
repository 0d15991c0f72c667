import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  addonPath,
  BpfObject,
  DirectoryLock,
  Link,
  Netlink,
  NetlinkWatch,
  Program,
  RawMap,
  RingBuffer,
  TcFilter,
} from '../../../src/libbpf/index.ts';
import { eventually } from '../../support/process.ts';
import {
  caught,
  collectGarbage,
  loadEverything,
  objectBytes,
  openDescriptors,
  Pair,
  PinFolder,
  u32,
} from './support.ts';

/** What a thousand rounds of `work` leave open. */
async function leftBy(work: () => unknown, rounds = 1000): Promise<number> {
  await work();
  const before = openDescriptors();
  for (let i = 0; i < rounds; i++) await work();
  return openDescriptors() - before;
}

const spec = { type: 'hash', name: 'leak', keySize: 4, valueSize: 4, maxEntries: 4 } as const;

describe('a thousand times', () => {
  let bytes: Uint8Array;
  beforeAll(async () => {
    bytes = await objectBytes('everything');
  });

  test('maps', async () => {
    expect(
      await leftBy(() => {
        using map = RawMap.create(spec);
        using twin = map.dup();
        using _same = RawMap.fromId(twin.id);
      }),
    ).toBe(0);
  });

  test('failures', async () => {
    using pins = new PinFolder();
    using map = RawMap.create(spec);
    map.pin(pins.at('map'));
    expect(
      await leftBy(async () => {
        await caught(() => RawMap.create({ ...spec, keySize: 0 }));
        await caught(() => Program.openPinned(pins.at('map')));
        await caught(() => Link.openPinned(pins.at('map')));
        await caught(() => BpfObject.open(u32(1)));
        await caught(() => new RingBuffer(map));
        await caught(() => DirectoryLock.acquire('/dev/null'));
      }),
    ).toBe(0);
  });

  test('objects, opened', async () => {
    expect(
      await leftBy(() => {
        using object = BpfObject.open(bytes);
        object.map('pairs').setMaxEntries(3);
      }),
    ).toBe(0);
  });

  test('objects, loaded (a hundred)', async () => {
    expect(
      await leftBy(async () => {
        using object = await BpfObject.open(bytes).load();
        object.programs.get('drop')!.testRun({ data: new Uint8Array(64) });
      }, 100),
    ).toBe(0);
  });

  test('objects, refused (thirty)', async () => {
    const refused = await objectBytes('refused');
    expect(await leftBy(() => caught(() => BpfObject.open(refused).load()), 30)).toBe(0);
  });

  test('ring buffers, sockets and watches (two hundred)', async () => {
    using object = await loadEverything();
    expect(
      await leftBy(async () => {
        using _ring = new RingBuffer(object.maps.get('events')!);
        using _watch = new NetlinkWatch({ groups: ['devices'] });
        using netlink = new Netlink();
        await netlink.device(1);
      }, 200),
    ).toBe(0);
  });

  test('links and filters (fifty)', async () => {
    await using pair = await Pair.create();
    using object = await loadEverything();
    const tc = { ifindex: pair.ifindex, direction: 'ingress' } as const;
    expect(
      await leftBy(async () => {
        using link = await object.programs.get('drop')!.attachXdp({ ifindex: pair.ifindex, mode: 'generic' });
        using _twin = link.dup();
        const filter = await TcFilter.attach(object.programs.get('mark')!, tc);
        await caught(() => TcFilter.attach(object.programs.get('mark')!, tc));
        await filter.detach();
        await caught(() => object.programs.get('drop')!.attachXdp({ ifindex: 0x7ffffff0, mode: 'generic' }));
      }, 50),
    ).toBe(0);
  });
});

test('what is dropped unclosed is closed, with a warning', async () => {
  const warnings: NodeJS.ErrnoException[] = [];
  const listener = (warning: Error): void => {
    warnings.push(warning);
  };
  process.on('warning', listener);
  try {
    const before = openDescriptors();
    (() => {
      RawMap.create({ ...spec, name: 'dropped' });
    })();
    expect(openDescriptors()).toBe(before + 1);
    await eventually('the warning comes', () => {
      collectGarbage();
      return warnings.some(({ name, code, message }) => {
        return name === 'MapwireLeak' && code === 'MW_LEAK' && message.includes('map dropped');
      });
    });
    expect(openDescriptors()).toBe(before);
  } finally {
    process.off('warning', listener);
  }
});

test('a reader that waits is not garbage', async () => {
  using object = await loadEverything();
  const received: number[] = [];
  const controller = new AbortController();
  const reading = (async () => {
    for await (const record of new RingBuffer(object.maps.get('events')!, { signal: controller.signal })) {
      received.push(record.byteLength);
    }
  })();
  await new Promise((resolve) => setTimeout(resolve, 10));
  collectGarbage();
  await new Promise((resolve) => setTimeout(resolve, 10));
  collectGarbage();
  const data = new Uint8Array(64);
  data.set([1, 16]);
  object.programs.get('emit')!.testRun({ data });
  await eventually('the record arrives', () => received.length === 1);
  controller.abort();
  await reading;
});

describe('worker threads', () => {
  const start = async (body: string): Promise<Worker> => {
    const worker = new Worker(`const addon = require(${JSON.stringify(addonPath())}); ${body}`, { eval: true });
    await once(worker, 'message');
    return worker;
  };

  test('what one leaves open is closed with it, a waiting thread too', async () => {
    const before = openDescriptors();
    const worker = await start(`
      const { parentPort } = require('node:worker_threads');
      const socket = addon.netlinkOpen(0, { groups: [1] });
      const watch = new addon.FdWatch(socket, () => {});
      for (let i = 0; i < 20; i++) {
        addon.mapCreate({ type: 1, name: 'worker', keySize: 4, valueSize: 4, maxEntries: 1, flags: 0 });
      }
      parentPort.postMessage(addon.openCount());
      setInterval(() => watch, 1000);
    `);
    expect(openDescriptors()).toBeGreaterThan(before + 20);
    await worker.terminate();
    await eventually('its descriptors are closed', () => openDescriptors() <= before);
  });

  test('one cannot use the descriptors of another', async () => {
    using map = RawMap.create(spec);
    const worker = new Worker(
      `const addon = require(${JSON.stringify(addonPath())});
       const { parentPort } = require('node:worker_threads');
       try { addon.mapLookup(${map.fd}, new Uint8Array(4), new Uint8Array(4), 0); parentPort.postMessage('worked'); }
       catch (error) { parentPort.postMessage(error.message); }`,
      { eval: true },
    );
    const [message] = await once(worker, 'message');
    expect(message).toMatch(/the descriptor of an open map expected/);
    await worker.terminate();
  });

  test('work under way when one ends does no harm', async () => {
    const before = openDescriptors();
    for (let i = 0; i < 5; i++) {
      const worker = await start(`
        const { parentPort } = require('node:worker_threads');
        const count = 50000;
        const fd = addon.mapCreate({ type: 1, name: 'worker', keySize: 4, valueSize: 4, maxEntries: count, flags: 0 });
        const keys = new Uint32Array(count).map((_, i) => i);
        addon.mapUpdateBatchAsync(fd, new Uint8Array(keys.buffer), new Uint8Array(keys.buffer), count, 0);
        addon.mapDump(fd, 16);
        parentPort.postMessage('busy');
      `);
      await worker.terminate();
    }
    await eventually('its descriptors are closed', () => openDescriptors() <= before);
  });
});
