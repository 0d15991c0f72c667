import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { DataplaneOptions, NextHopStatus } from '../../../src/dataplane/index.ts';
import { LinkFlags, NODE_WIRE, NodeFlags } from '../../../src/generated/layout.ts';
import type { Plane } from '../../support/plane.ts';
import { eventually } from '../../support/process.ts';
import type { TableObject } from '../../support/table-object.ts';
import { type Report, Scene } from './scene.ts';

/** `eth0` of the scene, a second uplink `eth1` between the same two hosts, and addresses of both families on both. */
let scene: Scene;
const PEER0 = [2, 0xfe, 0, 0, 0, 2];
const PEER1 = [2, 0xfe, 0, 0, 1, 2];
const OWN0 = [2, 0xfe, 0, 0, 0, 1];
const OWN1 = [2, 0xfe, 0, 0, 1, 1];
/** Far addresses are on the peer's loopback: only a route leads there. */
const FAR4 = '198.51.100.2';
const FAR6 = '2001:db8:99::2';
const index: Record<string, number> = {};

beforeAll(async () => {
  scene = await Scene.create();
  const { host, peer } = scene;
  await host.ip(`link add eth1 address 02:fe:00:00:01:01 type veth peer name eth1 netns ${peer.name}`);
  await host.ip('addr add 203.0.113.1/24 dev eth1', 'link set eth1 up');
  await peer.ip(
    'link set eth1 address 02:fe:00:00:01:02',
    'addr add 203.0.113.2/24 dev eth1',
    `addr add ${FAR4}/32 dev lo`,
    `addr add ${FAR6}/128 dev lo nodad`,
    'link set eth1 up',
  );
  const { stdout } = await host.run(['ip', '-j', 'link']);
  for (const { ifname, ifindex } of JSON.parse(stdout) as { ifname: string; ifindex: number }[])
    index[ifname] = ifindex;
});

afterAll(async () => {
  await scene.close();
});

/** Routes to the far addresses; gone with the next test. */
async function routes(...lines: string[]): Promise<void> {
  await scene.host.ip(...lines.map((line) => `route add ${line}`));
}

beforeEach(async () => {
  await scene.reset();
  const { host, peer } = scene;
  for (const device of ['eth0', 'eth1']) {
    await peer.ip(`link set ${device} up`);
    await host.ip(`link set ${device} up`);
  }
  // A device that goes down loses its IPv6 addresses.
  for (const [namespace, last, low] of [
    [host, 1, 'a'],
    [peer, 2, 'b'],
  ] as const) {
    await namespace.ip(
      `addr replace 2001:db8::${last}/64 dev eth0 nodad`,
      `addr replace 2001:db8:1::${last}/64 dev eth1 nodad`,
      `addr replace fe80::${low}/64 dev eth0 nodad`,
      `addr replace fe80::${low}/64 dev eth1 nodad`,
    );
  }
  await host.run(['ip', 'nexthop', 'flush'], { check: false });
  for (const family of ['-4', '-6'])
    await host.run(['ip', family, 'route', 'flush', 'proto', 'boot'], { check: false });
});

const BOTH: Partial<DataplaneOptions> = { underlay: ['eth1', 'eth0'] };

/** A network of the two hosts. */
function table(underlay: { a: string | string[]; b: string | string[] }, network: object = {}): TableObject {
  return {
    mapwire: 1,
    nodes: { a: { underlay: underlay.a }, b: { underlay: underlay.b } },
    networks: { blue: { segment: 5001, ...network } },
    ports: {
      near: { network: 'blue', mac: '02:00:00:00:00:01', ips: ['10.1.0.1'], at: [{ node: 'a', interface: 'p1' }] },
      far: { network: 'blue', mac: '02:00:00:00:00:02', ips: ['10.1.0.2'], at: [{ node: 'b' }] },
    },
  } as TableObject;
}

const FAR = table({ a: '192.0.2.1', b: FAR4 });

interface NodeValue {
  readonly node: number;
  readonly flags: number;
  readonly remote: number[];
  readonly local: number[];
  readonly mtu: number;
  readonly nexthop: readonly { ifindex: number; dmac: number[]; smac: number[]; vlan: number; slot: number }[];
}

/** Entries of `node` as bpftool shows them, but that of this node, which nothing is sent to. */
async function nodes(): Promise<NodeValue[]> {
  const all = (await scene.dumpMap('node')).map((text) => JSON.parse(text).formatted.value as NodeValue);
  return all.filter(({ node, remote }) => node === NODE_WIRE || remote.some((byte) => byte !== 0));
}

/** What is in use of the only node: `[device, MAC it goes to]` each. */
async function hops(): Promise<[string | undefined, number[]][]> {
  const [node] = await nodes();
  const name = (ifindex: number): string | undefined => Object.keys(index).find((one) => index[one] === ifindex);
  return (node?.nexthop ?? []).filter(({ ifindex }) => ifindex !== 0).map(({ ifindex, dmac }) => [name(ifindex), dmac]);
}

async function awaitHops(what: string, expected: [string, number[]][]): Promise<void> {
  await eventually(what, async () => JSON.stringify(await hops()) === JSON.stringify(expected));
}

async function start(tableObject: TableObject, options: Partial<DataplaneOptions> = BOTH): Promise<Plane> {
  const plane = scene.worker();
  await plane.open({ ...scene.options, ...options });
  await plane.ask('apply', { table: tableObject });
  expect(await plane.ask('hops', { ms: 10_000 })).toEqual([]);
  return plane;
}

async function status(plane: Plane): Promise<NextHopStatus[]> {
  return (await plane.ask<{ nextHops: NextHopStatus[] }>('status')).nextHops;
}

/** Neighbour entries that the kernel was asked to keep. */
async function managed(): Promise<string[]> {
  const lines = await Promise.all(
    ['-4', '-6'].map(async (family) => (await scene.host.run(['ip', family, 'neigh', 'show'])).stdout.split('\n')),
  );
  return lines
    .flat()
    .filter((line) => line.includes('managed'))
    .map((line) => line.split(' ').slice(0, 3).join(' '))
    .sort();
}

/** A second process finds everything as it should be, and `down` leaves none of it. */
async function settled(tableObject: TableObject, options: Partial<DataplaneOptions> = BOTH): Promise<void> {
  const before = await scene.dumpAll();
  expect(await scene.settle(tableObject, options)).toMatchObject<Partial<Report>>({ total: 0, generation: 1 });
  expect(await scene.dumpAll()).toEqual(before);
  await scene.down();
  expect(await managed()).toEqual([]);
}

const BY0: [string, number[]] = ['eth0', PEER0];
const BY1: [string, number[]] = ['eth1', PEER1];
const TWO_WAYS = `${FAR4} nexthop via 203.0.113.2 dev eth1 weight 9 nexthop via 192.0.2.2 dev eth0`;

describe('a peer', () => {
  it('over IPv6, on the link', async () => {
    const both = table({ a: ['2001:db8::1', '192.0.2.1'], b: ['2001:db8::2', '192.0.2.2'] });
    const plane = await start(both);
    const [node] = await nodes();
    expect(node).toMatchObject({
      flags: NodeFlags.IP6,
      remote: [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2],
      local: [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
    });
    expect(node?.nexthop[0]).toMatchObject({ ifindex: index.eth0, dmac: PEER0, smac: OWN0, vlan: 0 });
    expect(node?.nexthop[1]?.ifindex).toBe(0);
    expect(await managed()).toEqual(['2001:db8::2 dev eth0']);
    expect(await status(plane)).toMatchObject([{ node: 'b', family: 6, address: '2001:db8::2', mtu: 1500 }]);
    await plane.close();
    await settled(both);
  });

  it('over IPv6 through a link-local gateway', async () => {
    const six = table({ a: '2001:db8::1', b: FAR6 });
    await routes(`${FAR6} via fe80::b dev eth1`);
    const plane = await start(six);
    expect(await hops()).toEqual([BY1]);
    expect(await managed()).toEqual(['fe80::b dev eth1']);
    await plane.close();
    await settled(six);
  });

  it('over IPv4 through an IPv6 gateway', async () => {
    await routes(`${FAR4} via inet6 fe80::b dev eth0`);
    const plane = await start(FAR);
    expect(await hops()).toEqual([BY0]);
    expect(await status(plane)).toMatchObject([{ family: 4, via: 'fe80::b', device: 'eth0' }]);
    await plane.close();
    await settled(FAR);
  });

  it('without a route, or with one that leads nowhere, has no next hop', async () => {
    const plane = scene.worker();
    await plane.open({ ...scene.options, ...BOTH });
    await plane.ask('apply', { table: FAR });
    const why = async () => (await plane.ask<NextHopStatus[]>('hops', { ms: 0 })).map((one) => one.why);
    expect(await why()).toEqual([`no route to ${FAR4}`]);
    await routes(`blackhole ${FAR4}`);
    expect(await why()).toEqual([`no route to ${FAR4}`]);
    await scene.host.ip(`route del ${FAR4}`, `route add ${FAR4} via 192.0.2.2`);
    await awaitHops('the route is found', [BY0]);
    await plane.close();
  });
});

describe('two uplinks', () => {
  it('share the flows, in the order of the devices and whatever their weights; a restart changes nothing', async () => {
    await routes(TWO_WAYS);
    const plane = await start(FAR);
    await awaitHops('both are resolved', [BY0, BY1]);
    const [node] = await nodes();
    expect(node?.nexthop.map(({ smac }) => smac)).toEqual([OWN0, OWN1]);
    expect(new Set(node?.nexthop.map(({ slot }) => slot)).size).toBe(2);
    expect(await managed()).toEqual(['192.0.2.2 dev eth0', '203.0.113.2 dev eth1']);
    expect((await status(plane))[0]?.ways).toMatchObject([
      { device: 'eth0', via: '192.0.2.2', used: true },
      { device: 'eth1', via: '203.0.113.2', used: true },
    ]);
    await plane.close();
    await settled(FAR);
  });

  it('are written with the next plan when they change while that is being made', async () => {
    await routes(TWO_WAYS);
    const plane = await start(FAR);
    await awaitHops('both are resolved', [BY0, BY1]);
    const changed = { ...FAR, networks: { blue: { segment: 5001, mtu: 1400 } } };
    await plane.ask('replan', { table: changed });
    await scene.host.ip('link set eth1 down');
    await eventually('the change was seen', async () => (await status(plane))[0]?.ways[1]?.used === false);
    expect(await hops()).toEqual([BY0, BY1]);
    expect((await plane.ask<Report>('finish')).writes).toMatchObject({ network: 1, node: 1 });
    expect(await hops()).toEqual([BY0]);
    await plane.close();
  });

  it('over IPv6 as well', async () => {
    await routes(`${FAR6} nexthop via fe80::b dev eth1 nexthop via 2001:db8::2 dev eth0`);
    const six = table({ a: '2001:db8::1', b: FAR6 });
    const plane = await start(six);
    await awaitHops('both are resolved', [BY0, BY1]);
    await plane.close();
    await settled(six);
  });

  it.each(['eth0', 'eth1'])('lose %s when it goes down or has no carrier, and get it back', async (device) => {
    await routes(TWO_WAYS);
    const plane = await start(FAR);
    await awaitHops('both are resolved', [BY0, BY1]);
    const left = device === 'eth0' ? BY1 : BY0;
    const { host, peer } = scene;
    await peer.ip(`link set ${device} down`);
    await awaitHops('the one without carrier is gone', [left]);
    const ways = (await status(plane))[0]?.ways;
    expect(ways?.find((way) => way.device === device)).toMatchObject({ used: false, why: `${device} has no carrier` });
    await peer.ip(`link set ${device} up`);
    await awaitHops('both are back', [BY0, BY1]);
    await host.ip(`link set ${device} down`);
    await awaitHops('the one that is down is gone', [left]);
    await host.ip(`link set ${device} up`);
    await awaitHops('both are back again', [BY0, BY1]);
    await plane.close();
    await settled(FAR);
  });

  it('lose the one whose neighbour does not answer any more, and get it back', async () => {
    // What takes minutes by default.
    await scene.host.sysctl({
      'net.ipv4.neigh.eth1.base_reachable_time_ms': 1000,
      'net.ipv4.neigh.eth1.delay_first_probe_time': 1,
      'net.ipv4.neigh.eth1.interval_probe_time_ms': 1000,
      'net.ipv4.neigh.eth1.retrans_time_ms': 200,
    });
    await routes(TWO_WAYS);
    const plane = await start(FAR);
    await awaitHops('both are resolved', [BY0, BY1]);
    await scene.peer.ip('addr del 203.0.113.2/24 dev eth1');
    try {
      await awaitHops('the silent one is gone', [BY0]);
    } finally {
      await scene.peer.ip('addr add 203.0.113.2/24 dev eth1');
    }
    await awaitHops('it answers again', [BY0, BY1]);
    await plane.close();
  });

  it('as a group of next-hop objects, followed when it changes', async () => {
    const { host } = scene;
    await host.ip(
      'nexthop add id 1 via 192.0.2.2 dev eth0',
      'nexthop add id 2 via inet6 fe80::b dev eth1',
      'nexthop add id 10 group 1/2',
      `route add ${FAR4} nhid 10`,
    );
    const plane = await start(FAR);
    await awaitHops('both are resolved', [BY0, BY1]);
    await host.ip('nexthop replace id 10 group 2');
    await awaitHops('one is left', [BY1]);
    await host.ip('nexthop replace id 10 group 1/2');
    await awaitHops('both again', [BY0, BY1]);
    await host.ip('nexthop del id 1');
    await awaitHops('one was deleted', [BY1]);
    await plane.close();
    await host.ip('nexthop flush');
  });

  it('of two routes the kernel uses one, and so do we; while it has no carrier the other one helps out', async () => {
    await routes(`${FAR4} via 192.0.2.2 dev eth0`, `${FAR4} via 203.0.113.2 dev eth1 metric 500`);
    const plane = await start(FAR);
    await awaitHops('the better one', [BY0]);
    await scene.peer.ip('link set eth0 down');
    await awaitHops('the other one', [BY1]);
    await scene.peer.ip('link set eth0 up');
    await awaitHops('the better one again', [BY0]);
    await plane.close();
  });
});

describe('groups and the wire', () => {
  const local = table({ a: ['192.0.2.1', '2001:db8::1'], b: ['192.0.2.2', '2001:db8::2'] });
  const everything = {
    ...local,
    networks: {
      four: { segment: 1, flood: 'multicast', group: '239.129.1.2' },
      six: { segment: 2, flood: 'multicast', group: 'ff05::1:2:3' },
      flat: { encap: 'flat', segment: 7 },
    },
    ports: Object.fromEntries(
      ['four', 'six', 'flat'].map((network, i) => [
        network,
        { network, mac: `02:00:00:00:00:1${i}`, ips: [`10.1.0.${i + 1}`], at: [{ node: 'a', interface: `p${i + 1}` }] },
      ]),
    ),
  } as TableObject;
  const four = (one: NodeValue) => one.remote.join() === '0,0,0,0,0,0,0,0,0,0,255,255,239,129,1,2';
  const six = (one: NodeValue) => one.remote[0] === 0xff;
  const wire = (one: NodeValue) => one.node === NODE_WIRE;
  const NONE = [0, 0, 0, 0, 0, 0];

  it('leave by the first underlay device that is up', async () => {
    const plane = await start(everything);
    const found = await nodes();
    const first = (which: (one: NodeValue) => boolean) => found.find(which)?.nexthop[0];
    expect(first(four)).toMatchObject({ ifindex: index.eth1, dmac: [1, 0, 0x5e, 1, 1, 2], smac: OWN1, vlan: 0 });
    expect(first(six)).toMatchObject({ ifindex: index.eth1, dmac: [0x33, 0x33, 0, 2, 0, 3], smac: OWN1, vlan: 0 });
    expect(first(wire)).toMatchObject({ ifindex: index.eth1, dmac: NONE, smac: NONE, vlan: 0 });
    for (const one of found) expect(one.nexthop[1]?.ifindex).toBe(0);
    const { groups } = await plane.ask<{ groups: object[] }>('status');
    expect(groups).toContainEqual({
      group: '239.129.1.2',
      networks: ['four'],
      device: 'eth1',
      vlan: 0,
      mac: '01:00:5e:01:01:02',
    });
    await scene.host.ip('link set eth1 down');
    await eventually('all leave by eth0', async () =>
      (await nodes()).every((one) => one.nexthop[0]?.ifindex === index.eth0),
    );
    expect((await nodes()).find(four)?.nexthop[0]).toMatchObject({ smac: OWN0, dmac: [1, 0, 0x5e, 1, 1, 2] });
    await scene.host.ip('link set eth1 up');
    await eventually('all leave by eth1', async () =>
      (await nodes()).every((one) => one.nexthop[0]?.ifindex === index.eth1),
    );
    await plane.close();
    await settled(everything);
  });

  it('have their next hops in the entry that an edit adds', async () => {
    const plane = await start(local);
    expect((await nodes()).filter((one) => four(one) || six(one) || wire(one))).toEqual([]);
    expect((await plane.ask<Report>('edit', { table: everything })).writes.node).toBe(4);
    const found = await nodes();
    for (const which of [four, six, wire]) expect(found.find(which)?.nexthop[0]?.ifindex).toBe(index.eth1);
    await plane.close();
  });

  it('a flat network alone: the wire leaves without the tag of the tunnels', async () => {
    const plane = await start(everything, { underlay: [{ device: 'eth0', vlan: 30 }] });
    const found = await nodes();
    expect(found.find(wire)?.nexthop[0]).toMatchObject({ ifindex: index.eth0, vlan: 0 });
    expect(found.find(four)?.nexthop[0]).toMatchObject({ ifindex: index.eth0, vlan: 30, smac: OWN0 });
    await plane.close();
  });
});

describe('a tagged underlay', () => {
  // This kernel may have no VLAN devices: neighbours are what somebody else knows.
  const options = { underlay: [{ device: 'eth0', vlan: 30 }] };
  const onLink = table({ a: '192.0.2.1', b: '192.0.2.77' });

  it('has its tag in next hops and link; permanent neighbours are used, and left as they are', async () => {
    await scene.host.ip('neigh replace 192.0.2.77 lladdr 02:fe:00:00:00:77 dev eth0 nud permanent');
    try {
      const plane = await start(onLink, options);
      const [node] = await nodes();
      expect(node?.nexthop[0]).toMatchObject({ ifindex: index.eth0, vlan: 30, dmac: [2, 0xfe, 0, 0, 0, 0x77] });
      const links = (await scene.dumpMap('link')).map((text) => JSON.parse(text).formatted.value);
      expect(links.find(({ ifindex }) => ifindex === index.eth0)).toMatchObject({ vlan: 30, mac: OWN0 });
      expect(links.find(({ ifindex }) => ifindex === index.p1)).toMatchObject({ vlan: 0 });
      await plane.close();
      await settled(onLink, options);
      const { stdout } = await scene.host.run(['ip', 'neigh', 'show', '192.0.2.77']);
      expect(stdout).toContain('02:fe:00:00:00:77 PERMANENT');
    } finally {
      await scene.host.ip('neigh del 192.0.2.77 dev eth0');
    }
  });

  it('a neighbour that is made permanent later is not ours to remove any more', async () => {
    const plain = table({ a: '192.0.2.1', b: '192.0.2.2' });
    const plane = await start(plain);
    expect(await managed()).toEqual(['192.0.2.2 dev eth0']);
    await scene.host.ip('neigh replace 192.0.2.2 lladdr 02:fe:00:00:00:99 dev eth0 nud permanent');
    try {
      await awaitHops('the new MAC', [['eth0', [2, 0xfe, 0, 0, 0, 0x99]]]);
      await plane.close();
      await scene.down();
      expect((await scene.host.run(['ip', 'neigh', 'show', '192.0.2.2'])).stdout).toContain('PERMANENT');
    } finally {
      await scene.host.ip('neigh del 192.0.2.2 dev eth0');
    }
  });
});

describe('links of ports', () => {
  it('say what their network is', async () => {
    const kinds = table({ a: '192.0.2.1', b: '192.0.2.2' });
    const plane = await start({
      ...kinds,
      networks: { tags: { segment: 1, vlan: 'transparent' }, packets: { encap: 'lisp', segment: 2 } },
      ports: {
        tags: { network: 'tags', mac: '02:00:00:00:00:01', at: [{ node: 'a', interface: 'p1' }] },
        packets: {
          network: 'packets',
          mac: '02:00:00:00:00:02',
          ips: ['10.0.0.1'],
          at: [{ node: 'a', interface: 'p2' }],
        },
      },
    } as TableObject);
    const links = (await scene.dumpMap('link')).map((text) => JSON.parse(text).formatted.value);
    const flags = (device: string): number => links.find(({ ifindex }) => ifindex === index[device])?.flags;
    expect(flags('p1') & (LinkFlags.TRANSPARENT | LinkFlags.IP)).toBe(LinkFlags.TRANSPARENT);
    expect(flags('p2') & (LinkFlags.TRANSPARENT | LinkFlags.IP)).toBe(LinkFlags.IP);
    await plane.close();
  });
});

describe('the path MTU', () => {
  const plain = table({ a: '192.0.2.1', b: '192.0.2.2' });
  const mtu = async (): Promise<number | undefined> => (await nodes())[0]?.mtu;

  it('that a router told is in the entry by one write, shown, and outlives the daemon', async () => {
    const plane = await start(plain);
    expect(await mtu()).toBe(0);
    const before = await scene.dumpAll();
    const tell = (address: string, told: number) => plane.ask<boolean>('pathMtu', { address, mtu: told });
    expect(await tell('192.0.2.2', 1500)).toBe(false);
    expect(await tell('192.0.2.2', 500)).toBe(false);
    expect(await tell('192.0.2.1', 1400)).toBe(false);
    expect(await tell('192.0.2.9', 1400)).toBe(false);
    expect(await scene.dumpAll()).toEqual(before);
    expect(await tell('192.0.2.2', 1400)).toBe(true);
    expect(await mtu()).toBe(1400);
    expect(await tell('192.0.2.2', 1450)).toBe(false);
    expect(await mtu()).toBe(1400);
    expect(await status(plane)).toMatchObject([{ mtu: 1400, pathMtu: 1400 }]);
    await plane.close();

    const again = scene.worker();
    await again.open({ ...scene.options, ...BOTH });
    expect(await again.ask('apply', { table: plain })).toMatchObject({ total: 0 });
    expect(await status(again)).toMatchObject([{ mtu: 1400, pathMtu: 1400 }]);
    expect(await again.ask('pathMtu', { address: '192.0.2.2', mtu: 1300 })).toBe(true);
    expect(await mtu()).toBe(1300);
    await again.close();
    expect(await scene.settle(plain, BOTH)).toMatchObject({ total: 0 });
    expect(await mtu()).toBe(1300);
  });
});
