/**
 * libbpf-ts on its own: loads an object that has nothing to do with Mapwire, attaches its program, follows its ring buffer
 * and reads its map. See README.md.
 */
import { readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { BpfObject, type MapCodec, Netlink, PerCpuMap, RingBuffer } from 'mapwire/libbpf';

interface Count {
  readonly frames: bigint;
  readonly bytes: bigint;
}

interface Seen {
  readonly time: bigint;
  readonly ifindex: number;
  readonly protocol: number;
}

/** `__u16` */
const protocolCodec: MapCodec<number> = {
  name: '__u16',
  size: 2,
  write: (view, offset, value) => view.setUint16(offset, value, true),
  read: (view, offset) => view.getUint16(offset, true),
};

/** `struct count` */
const countCodec: MapCodec<Count> = {
  name: 'struct count',
  size: 16,
  write: (view, offset, value) => {
    view.setBigUint64(offset, value.frames, true);
    view.setBigUint64(offset + 8, value.bytes, true);
  },
  read: (view, offset) => ({ frames: view.getBigUint64(offset, true), bytes: view.getBigUint64(offset + 8, true) }),
};

/** `struct seen` */
const seenCodec: MapCodec<Seen> = {
  name: 'struct seen',
  size: 16,
  write: () => {
    throw new Error('records are only read');
  },
  read: (view, offset) => ({
    time: view.getBigUint64(offset, true),
    ifindex: view.getUint32(offset + 8, true),
    protocol: view.getUint16(offset + 12, true),
  }),
};

const hex = (protocol: number): string => `0x${protocol.toString(16).padStart(4, '0')}`;

async function main(objectFile: string, deviceName: string, seconds: number): Promise<void> {
  using netlink = new Netlink();
  const device = await netlink.device(deviceName);

  using object = BpfObject.open(readFileSync(objectFile), { name: 'protocols' });
  object.setGlobal('shortest', new Uint8Array(Uint32Array.of(14).buffer));
  await object.load();
  const counts = new PerCpuMap(object.maps.get('counts')!, protocolCodec, countCodec);

  const signal = AbortSignal.timeout(seconds * 1000);
  using ring = new RingBuffer(object.maps.get('events')!, { signal });
  const attachment = await object.programs.get('count')!.attachTc({ ifindex: device.ifindex, direction: 'ingress' });
  console.log(`attached to ${device.name} by ${attachment.kind}, for ${seconds} s`);
  try {
    const following = (async () => {
      for await (const seen of ring.decoded(seenCodec)) console.log(`new: ${hex(seen.protocol)}`);
    })();
    await setTimeout(seconds * 1000);
    await following;
    for (const [protocol, perCpu] of counts) {
      const frames = perCpu.reduce((sum, count) => sum + count.frames, 0n);
      const bytes = perCpu.reduce((sum, count) => sum + count.bytes, 0n);
      console.log(`${hex(protocol)}: ${frames} frames, ${bytes} bytes`);
    }
  } finally {
    await attachment.detach();
    attachment.close();
  }
}

const [objectFile, deviceName = 'lo', seconds = '5'] = process.argv.slice(2);
if (objectFile === undefined) {
  console.error('usage: node dist/examples/libbpf-ts/main.js OBJECT.bpf.o [DEVICE [SECONDS]]');
  process.exitCode = 2;
} else {
  await main(objectFile, deviceName, Number(seconds));
}
