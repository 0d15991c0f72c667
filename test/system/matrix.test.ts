/**
 * Every encapsulation over both underlay families, both families inside, both hooks, every kind of traffic, between two hosts of
 * Mapwire that have all the networks at once: one table of results is printed, and what is not applicable is said to be.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { decode, framesOf } from '../support/decode.ts';
import { broadcasts, compares, type Family, multicasts, pings, resolves, transfers } from '../support/exchange.ts';
import { FrameCapture, sendFrames } from '../support/frames.ts';
import { asksEverybody, experimental, linkOf } from '../support/headers.ts';
import {
  allCells,
  ENCAPSULATIONS,
  type Encapsulation,
  FAMILIES,
  HOOKS,
  type Hook,
  isFlat,
  Matrix,
  notApplicable,
  type Traffic,
} from '../support/matrix.ts';
import { Overlay, type OverlayGuest } from '../support/overlay.ts';

const MIB = 1 << 20;
const SEGMENTS: Readonly<Record<Encapsulation, number | undefined>> = {
  vxlan: 5001,
  geneve: 5002,
  gre: 0x87654321,
  'vxlan-gpe': 5004,
  lisp: 0xfedcba,
  flat: undefined,
  'flat-vlan': 100,
};

let overlay: Overlay;
const matrix = new Matrix();
const tried = new Set<string>();

beforeAll(async () => {
  overlay = await Overlay.build();
  await overlay.host('host-a', 1);
  await overlay.host('host-b', 2);
  overlay.node('host-a');
  overlay.node('host-b');
  for (const encap of ENCAPSULATIONS) {
    const segment = SEGMENTS[encap];
    overlay.network(encap, { encap: isFlat(encap) ? 'flat' : encap, ...(segment === undefined ? {} : { segment }) });
  }
  for (const encap of ENCAPSULATIONS) {
    await overlay.guest('host-a', encap, { n: 1 });
    await overlay.guest('host-a', encap, { n: 2 });
    await overlay.guest('host-b', encap, { n: 3 });
  }
});

afterAll(async () => {
  console.log(`\n${matrix}\n`);
  await overlay?.close();
});

/** Neighbours are found in the map: nobody else is asked. */
async function neighbours(from: OverlayGuest, others: readonly OverlayGuest[], family: Family): Promise<void> {
  const captures = await Promise.all(
    others.map(({ namespace }) => FrameCapture.start(namespace, 'eth0', family === 4 ? 'arp' : 'icmp6')),
  );
  for (const other of others) await resolves(from, other, family);
  for (const [index, capture] of captures.entries()) {
    const other = others[index]!;
    const asked = (await capture.stop(100)).filter(
      ({ frame }) => asksEverybody(frame) && linkOf(frame).source !== other.mac,
    );
    if (asked.length > 0)
      throw new Error(`${other.name} was asked: ${asked.map(({ frame }) => frame.toString('hex'))}`);
  }
}

/** A frame that is not IP reaches whom it is for, and to everybody each once. */
async function opaque(from: OverlayGuest, others: readonly OverlayGuest[]): Promise<void> {
  const captures = await Promise.all(
    others.map(({ namespace }) => FrameCapture.start(namespace, 'eth0', 'ether proto 0x88b5')),
  );
  const to = [...others.map(({ mac }) => mac), 'ff:ff:ff:ff:ff:ff'];
  const frames = to.map((mac) => experimental(mac, from.mac, `for ${mac}`));
  await sendFrames(from.namespace, 'eth0', frames);
  for (const [index, capture] of captures.entries()) {
    const got = (await capture.stop(100)).map(({ frame }) => frame.toString('hex')).sort();
    const wanted = frames.filter((_, at) => at === index || at === others.length).map((frame) => frame.toString('hex'));
    expect(got, `frames at ${others[index]!.name}`).toEqual(wanted.sort());
  }
}

function actions(encap: Encapsulation, inside: Family): Readonly<Record<Traffic, () => Promise<unknown>>> {
  const [one, beside, far] = overlay.of(encap) as [OverlayGuest, OverlayGuest, OverlayGuest];
  return {
    unicast: async () => {
      await pings(one, far, inside);
      await pings(far, beside, inside);
      await pings(one, beside, inside);
      await compares(one, far, inside);
    },
    'ARP/ND': () => neighbours(one, [beside, far], inside),
    broadcast: async () => {
      await broadcasts(one, [beside, far], inside);
      await broadcasts(far, [one, beside], inside);
    },
    multicast: async () => {
      await multicasts(one, [beside, far], inside);
      await multicasts(far, [one, beside], inside);
    },
    'large TCP': () => transfers(one, far, inside, 8 * MIB),
    'non-IP': () => opaque(one, [beside, far]),
  };
}

async function row(hook: Hook, underlay: Family, encap: Encapsulation): Promise<void> {
  const errors: (Error | undefined)[] = [];
  for (const cell of allCells()) {
    if (cell.hook !== hook || cell.encap !== encap || (cell.underlay ?? 4) !== underlay) continue;
    if (notApplicable(cell) !== undefined) continue;
    tried.add(JSON.stringify(cell));
    errors.push(await matrix.try(cell, actions(encap, cell.inside)[cell.traffic]));
  }
  const failed = errors.filter((error) => error !== undefined);
  if (failed.length > 0) {
    const drops = { a: await overlay.drops('host-a'), b: await overlay.drops('host-b') };
    throw new Error(`${failed.map(({ message }) => message).join('\n')}\ndrops: ${JSON.stringify(drops)}`);
  }
}

/** How tshark names the layers of a frame. */
function layers(encap: Encapsulation, underlay: Family): string {
  const ip = underlay === 4 ? 'ip' : 'ipv6';
  return {
    vxlan: `eth ${ip} udp vxlan eth`,
    geneve: `eth ${ip} udp geneve eth`,
    gre: `eth ${ip} gre eth`,
    // tshark has no name for it among the layers: IP behind UDP
    'vxlan-gpe': `eth ${ip} udp`,
    lisp: `eth ${ip} udp lisp-data`,
    flat: 'eth',
    'flat-vlan': 'eth vlan',
  }[encap];
}

/** How large GRO lets packets become on the way from host-a to host-b. GRO itself stays on: it is what makes a veth take redirected frames. */
async function mergeUpTo(bytes: number): Promise<void> {
  const limit = (device: string) => `link set ${device} gro_max_size ${bytes}`;
  await overlay.wire.ip(limit('p-host-a'), limit('p-host-b'));
  await overlay.hosts.get('host-b')!.namespace.ip(limit('eth0'));
}

async function decoded(underlay: Family): Promise<void> {
  const hosts = ['host-a', 'host-b'].map((name) => overlay.hosts.get(name)!.namespace);
  // Without checksum offload on the sending device the stack completes what TC leaves unfinished.
  await hosts[0]!.offload('eth0', { tx: 'off' });
  // A capture sees what GRO made, whose checksum nobody finishes: every frame is to come as it was sent.
  await mergeUpTo(1);
  const watch = await FrameCapture.start(hosts[1]!, 'eth0', '', 'in');
  for (const encap of ENCAPSULATIONS) {
    const [one, beside, far] = overlay.of(encap) as [OverlayGuest, OverlayGuest, OverlayGuest];
    for (const inside of FAMILIES) {
      await pings(one, far, inside);
      await compares(one, far, inside, [0, 1, 333, 1200]);
      await transfers(one, far, inside, 1 << 17);
      await broadcasts(one, [beside, far], inside);
    }
  }
  const frames = await watch.stop();
  await mergeUpTo(65_536);
  await hosts[0]!.offload('eth0', { tx: 'on' });
  const result = await decode(watch.file);
  const count = (encap: Encapsulation) =>
    framesOf(result, `${layers(encap, underlay)} ip`) + framesOf(result, `${layers(encap, underlay)} ipv6`);
  const counts = Object.fromEntries(ENCAPSULATIONS.map((encap) => [encap, count(encap)]));
  console.log(`IPv${underlay} underlay, ${frames.length} frames decoded: ${JSON.stringify(counts)}`);
  expect(result.faults).toEqual([]);
  for (const encap of ENCAPSULATIONS) {
    for (const inside of ['ip', 'ipv6']) {
      const found = framesOf(result, `${layers(encap, underlay)} ${inside}`);
      expect(found, `frames of ${encap} with ${inside} inside`).toBeGreaterThan(100);
    }
  }
}

describe.each(HOOKS.flatMap((hook) => FAMILIES.map((underlay) => ({ hook, underlay }))))(
  'hook: $hook, underlay: IPv$underlay',
  ({ hook, underlay }) => {
    beforeAll(async () => {
      const order = underlay === 4 ? ([4, 6] as const) : ([6, 4] as const);
      overlay.node('host-a', order);
      overlay.node('host-b', order);
      await overlay.start(['host-a', 'host-b'], { hook });
    });
    afterAll(() => overlay.down());

    // A flat network knows no underlay family: once is enough.
    test.each(ENCAPSULATIONS.filter((encap) => underlay === 4 || !isFlat(encap)))('%s', (encap) =>
      row(hook, underlay, encap),
    );

    test('tshark decodes every frame that host-a sends, and finds each encapsulation there', () => decoded(underlay));
  },
);

test('what is not applicable is exactly that, and all else was tried', () => {
  const skipped = allCells().filter((cell) => notApplicable(cell) !== undefined);
  const kinds = new Set(skipped.map(({ encap, traffic }) => `${encap} × ${traffic}`));
  expect([...kinds].sort()).toEqual(['lisp × ARP/ND', 'lisp × non-IP', 'vxlan-gpe × ARP/ND', 'vxlan-gpe × non-IP']);
  expect(
    allCells()
      .filter(({ underlay }) => underlay === undefined)
      .map(({ encap }) => encap),
  ).toEqual(expect.arrayContaining(['flat', 'flat-vlan']));
  const rest = allCells().filter((cell) => notApplicable(cell) === undefined);
  expect(rest.filter((cell) => matrix.result(cell) !== 'pass')).toEqual([]);
  expect(tried.size).toBe(rest.length);
});
