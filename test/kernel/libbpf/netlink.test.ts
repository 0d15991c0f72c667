import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  AddressFlag,
  DeviceFlag,
  effectiveCapabilities,
  NeighbourState,
  Netlink,
  probe,
} from '../../../src/libbpf/index.ts';
import { ipBytes, ipFromBytes } from '../../../src/table/address.ts';
import { eventually, run } from '../../support/process.ts';
import { caught, loadEverything, mapwireError, openDescriptors, Pair, uniqueName } from './support.ts';

let pair: Pair;
let netlink: Netlink;
beforeAll(async () => {
  pair = await Pair.create();
  await pair.configure();
  netlink = new Netlink();
});
afterAll(async () => {
  netlink.close();
  await pair[Symbol.asyncDispose]();
});

const ip = async (...args: string[]): Promise<Record<string, unknown>[]> =>
  JSON.parse((await run(['ip', '-j', '-d', ...args])).stdout);
const macText = (mac: Uint8Array | undefined): string =>
  Buffer.from(mac ?? [])
    .toString('hex')
    .replace(/..(?=.)/g, '$&:');
/** Does the kernel have this function? */
const hasSymbol = async (name: string): Promise<boolean> =>
  (await readFile('/proc/kallsyms', 'utf8')).includes(` ${name}\n`);
const there = Uint8Array.of(198, 51, 100, 2);
const nobody = Uint8Array.of(198, 51, 100, 99);

describe('devices', () => {
  test('all of them, as ip(8) has them', async () => {
    const expected = await ip('link', 'show');
    const devices = new Map((await netlink.devices()).map((device) => [device.name, device]));
    for (const one of expected) {
      const device = devices.get(String(one.ifname));
      if (device === undefined) continue; // another test's device, gone meanwhile
      expect(device).toMatchObject({ ifindex: one.ifindex, mtu: one.mtu });
      if (one.link_type === 'ether') expect(macText(device.mac)).toBe(one.address);
      expect(device.kind).toBe((one.linkinfo as { info_kind?: string } | undefined)?.info_kind);
    }
    expect(devices.get('lo')).toMatchObject({ ifindex: 1, hardwareType: 772 });
    expect(devices.get(pair.name)).toMatchObject({ kind: 'veth', up: true, operState: 'up', carrier: true });
  });

  test('one, by index and by name', async () => {
    const byIndex = await netlink.device(pair.ifindex);
    expect(await netlink.device(pair.name)).toEqual(byIndex);
    expect(byIndex).toMatchObject({ name: pair.name, linkNetnsid: expect.any(Number), xdp: { native: 0, generic: 0 } });
    const [peer] = JSON.parse((await run(['ip', '-n', pair.namespace, '-j', 'link', 'show', pair.peer])).stdout);
    expect(byIndex.link).toBe(peer.ifindex);
    expect(await caught(() => netlink.device(0x7ffffff0))).toEqual(
      mapwireError('ERR_MW_NOT_FOUND', { errnoName: 'ENODEV', syscall: 'netlink' }),
    );
    expect(await caught(() => netlink.device('mwlnothing'))).toEqual(mapwireError('ERR_MW_NOT_FOUND'));
  });

  test('taps say what they are', async () => {
    const tap = uniqueName();
    await run(['ip', 'tuntap', 'add', 'dev', tap, 'mode', 'tap', 'vnet_hdr', 'multi_queue']);
    try {
      expect((await netlink.device(tap)).tun).toMatchObject({ mode: 'tap', vnetHeader: true, persistent: true });
    } finally {
      await run(['ip', 'link', 'del', tap]);
    }
  });

  test('MTU, state, promiscuous mode and alias are set', async () => {
    await netlink.changeDevice(pair.ifindex, { mtu: 1400, promisc: true, alias: 'a test' });
    const device = await netlink.device(pair.ifindex);
    expect(device).toMatchObject({ mtu: 1400, alias: 'a test', promiscuity: 1, up: true });
    expect(device.flags & DeviceFlag.PROMISC).not.toBe(0);
    await netlink.changeDevice(pair.ifindex, { up: false, promisc: false, alias: '' });
    expect(await netlink.device(pair.ifindex)).toMatchObject({ up: false, promiscuity: 0, mtu: 1400 });
    expect((await netlink.device(pair.ifindex)).alias).toBeUndefined();
    await netlink.changeDevice(pair.ifindex, { mtu: 1500, up: true });
    expect(await caught(() => netlink.changeDevice(pair.ifindex, { mtu: 10 }))).toEqual(
      mapwireError('ERR_MW_NETLINK', { errnoName: 'EINVAL', kernel: expect.stringContaining('mtu') }),
    );
  });
});

describe('offloads and XDP features', () => {
  test('GRO goes on and off, as ethtool sees it', async () => {
    const shown = async (): Promise<boolean> =>
      /generic-receive-offload: on/.test((await run(['ethtool', '-k', pair.name])).stdout);
    expect(await netlink.setOffloads(pair.ifindex, { 'rx-gro': true })).toEqual([]);
    expect((await netlink.offloads(pair.ifindex)).active.has('rx-gro')).toBe(true);
    expect(await shown()).toBe(true);
    expect(await netlink.setOffloads(pair.ifindex, { 'rx-gro': false })).toEqual([]);
    expect((await netlink.offloads(pair.ifindex)).active.has('rx-gro')).toBe(false);
    expect(await shown()).toBe(false);
  });

  test('a fixed one is named as not done, an unknown one is refused', async () => {
    const { changeable, active } = await netlink.offloads(pair.ifindex);
    expect(changeable.has('rx-gro')).toBe(true);
    expect(changeable.has('loopback') || active.has('loopback')).toBe(false);
    expect(await netlink.setOffloads(pair.ifindex, { loopback: true })).toEqual(['loopback']);
    expect(await caught(() => netlink.setOffloads(pair.ifindex, { nonsense: true }))).toEqual(
      mapwireError('ERR_MW_UNSUPPORTED', { kernel: expect.stringContaining('not found') }),
    );
    expect(await caught(() => netlink.offloads(0x7ffffff0))).toEqual(mapwireError('ERR_MW_NOT_FOUND'));
  });

  test('a veth takes redirected frames once its peer has NAPI', async () => {
    if ((await probe('xdp-features')) === false) {
      expect(await netlink.xdpFeatures(pair.ifindex)).toBeUndefined();
      return;
    }
    expect(await netlink.xdpFeatures(pair.ifindex)).toMatchObject({ basic: true, redirect: true, frags: true });
    expect((await netlink.xdpFeatures(pair.ifindex))!.redirectTarget).toBe(false);
    const { rxMetadata } = (await netlink.xdpFeatures(pair.ifindex))!;
    expect(rxMetadata.vlanTag).toBe(await hasSymbol('bpf_xdp_metadata_rx_vlan_tag'));
    expect((await netlink.xdpFeatures(1))!.rxMetadata).toEqual({ timestamp: false, hash: false, vlanTag: false });
    await run(['ip', 'netns', 'exec', pair.namespace, 'ethtool', '-K', pair.peer, 'gro', 'on']);
    expect((await netlink.xdpFeatures(pair.ifindex))!.redirectTarget).toBe(true);
    expect(await netlink.xdpFeatures(0x7ffffff0)).toBeUndefined();
  });
});

describe('addresses and routes', () => {
  test('addresses of one device and of all', async () => {
    const own = await netlink.addresses(pair.ifindex);
    expect(own).toContainEqual(
      expect.objectContaining({ address: Uint8Array.of(198, 51, 100, 1), prefixLength: 24, scope: 0 }),
    );
    expect(own.some(({ address }) => address.byteLength === 16)).toBe(true);
    const all = await netlink.addresses();
    expect(all).toContainEqual(expect.objectContaining({ ifindex: 1, address: Uint8Array.of(127, 0, 0, 1) }));
    expect(all).toEqual(expect.arrayContaining(own));
  });

  test('routes, also with several next hops and an MTU', async () => {
    const gateway = (last: number): Uint8Array => Uint8Array.of(198, 51, 100, last);
    await run(['ip', 'route', 'add', '203.0.113.0/25', 'via', '198.51.100.2', 'mtu', '1300']);
    await run([
      ...['ip', 'route', 'add', '203.0.113.128/25'],
      ...['nexthop', 'via', '198.51.100.2', 'weight', '3', 'nexthop', 'via', '198.51.100.3', 'weight', '1'],
    ]);
    await run(['ip', 'route', 'add', 'blackhole', '192.0.2.77/32']);
    try {
      const routes = await netlink.routes();
      const to = (...bytes: number[]) =>
        routes.find(
          ({ destination }) => destination?.every((byte, i) => byte === bytes[i]) && destination.length === 4,
        );
      expect(to(203, 0, 113, 0)).toMatchObject({
        type: 'unicast',
        table: 254,
        prefixLength: 25,
        mtu: 1300,
        nextHops: [{ ifindex: pair.ifindex, gateway: gateway(2), weight: 1 }],
      });
      expect(to(203, 0, 113, 128)!.nextHops).toEqual([
        { ifindex: pair.ifindex, gateway: gateway(2), weight: 3 },
        { ifindex: pair.ifindex, gateway: gateway(3), weight: 1 },
      ]);
      expect(to(192, 0, 2, 77)).toMatchObject({ type: 'blackhole', nextHops: [] });
      expect(await netlink.routeTo(Uint8Array.of(203, 0, 113, 5))).toMatchObject({
        type: 'unicast',
        mtu: 1300,
        source: Uint8Array.of(198, 51, 100, 1),
        nextHops: [{ ifindex: pair.ifindex, gateway: gateway(2) }],
      });
    } finally {
      await run(['ip', 'route', 'del', '203.0.113.0/25']);
      await run(['ip', 'route', 'del', '203.0.113.128/25']);
      await run(['ip', 'route', 'del', '192.0.2.77/32']);
    }
  });

  test('a route on the link has no gateway; a local one says so', async () => {
    const onLink = await netlink.routeTo(there);
    expect(onLink).toMatchObject({ type: 'unicast', nextHops: [{ ifindex: pair.ifindex, weight: 1 }] });
    expect(onLink.nextHops[0]).not.toHaveProperty('gateway');
    expect(await netlink.routeTo(Uint8Array.of(127, 0, 0, 1))).toMatchObject({ type: 'local' });
    const six = new Uint8Array(16);
    six.set([1], 15);
    expect(await netlink.routeTo(six)).toMatchObject({ type: 'local', nextHops: [{ ifindex: 1 }] });
  });

  test('the entry of a route has all of its next hops, of both families; a packet takes one', async () => {
    const device = ['dev', pair.name];
    const both = (...hops: string[]) => hops.flatMap((hop) => ['nexthop', 'via', ...hop.split(' '), ...device]);
    const [four, six] = ['203.0.113.9', '2001:db8:9::9'];
    await run(['ip', 'route', 'add', four, ...both('198.51.100.2', 'inet6 fe80::3')]);
    await run(['ip', 'route', 'add', six, ...both('fe80::2', 'fe80::3')]);
    try {
      const hops = async (address: string, entry: boolean): Promise<(string | undefined)[]> => {
        const { type, nextHops } = await netlink.routeTo(ipBytes(address), { entry });
        expect(type).toBe('unicast');
        expect(nextHops.every(({ ifindex }) => ifindex === pair.ifindex)).toBe(true);
        return nextHops.map(({ gateway }) => gateway && ipFromBytes(gateway));
      };
      expect(await hops(four, true)).toEqual(['198.51.100.2', 'fe80::3']);
      // IPv6 begins with the one that a packet would take.
      expect((await hops(six, true)).sort()).toEqual(['fe80::2', 'fe80::3']);
      for (const address of [four, six]) expect(await hops(address, false)).toHaveLength(1);
    } finally {
      await run(['ip', 'route', 'del', four]);
      await run(['ip', '-6', 'route', 'del', six]);
    }
  });

  test('unreachable, and no address', async () => {
    await run(['ip', 'route', 'add', 'unreachable', '192.0.2.78/32']);
    expect(await caught(() => netlink.routeTo(Uint8Array.of(192, 0, 2, 78)))).toEqual(
      mapwireError('ERR_MW_NETLINK', { errnoName: 'EHOSTUNREACH' }),
    );
    await run(['ip', 'route', 'del', '192.0.2.78/32']);
    expect(await caught(() => netlink.routeTo(new Uint8Array(5)))).toEqual(mapwireError('ERR_MW_INVALID_ARGUMENT'));
  });
});

describe('addresses that are added', () => {
  const group4 = Uint8Array.of(239, 1, 2, 3);
  const group6 = Uint8Array.of(0xff, 0x05, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x12, 0x34);
  const joined = async (): Promise<string[]> =>
    ((await ip('maddr', 'show', 'dev', pair.name))[0] as { maddr: { address?: string }[] }).maddr.flatMap(
      ({ address }) => address ?? [],
    );

  test('have the flags, come back in a dump, and go', async () => {
    const place = { ifindex: pair.ifindex, address: Uint8Array.of(203, 0, 113, 9), prefixLength: 24 };
    await netlink.addAddress({ ...place, scope: 253, flags: AddressFlag.NOPREFIXROUTE });
    const found = (await netlink.addresses(pair.ifindex)).find(
      ({ address }) => Buffer.compare(address, place.address) === 0,
    );
    expect(found).toMatchObject({ prefixLength: 24, scope: 253 });
    expect((found?.flags ?? 0) & AddressFlag.NOPREFIXROUTE).not.toBe(0);
    expect((await run(['ip', 'route', 'show', 'dev', pair.name])).stdout).not.toContain('203.0.113.0/24');
    expect(await caught(() => netlink.addAddress(place))).toEqual(
      mapwireError('ERR_MW_NETLINK', { errnoName: 'EEXIST' }),
    );
    await netlink.deleteAddress(place);
    expect(await caught(() => netlink.deleteAddress(place))).toEqual(
      mapwireError('ERR_MW_NOT_FOUND', { errnoName: 'EADDRNOTAVAIL' }),
    );
  });

  test.each([
    ['IPv4', group4, 32, '239.1.2.3'],
    ['IPv6', group6, 128, 'ff05::1234'],
  ])('a group of %s is joined as long as its address is there', async (_, address, prefixLength, text) => {
    const place = { ifindex: pair.ifindex, address, prefixLength };
    expect(await joined()).not.toContain(text);
    await netlink.addAddress({ ...place, scope: 254, flags: AddressFlag.MCAUTOJOIN | AddressFlag.NODAD });
    expect(await joined()).toContain(text);
    const found = (await netlink.addresses(pair.ifindex)).find((one) => Buffer.compare(one.address, address) === 0);
    expect((found?.flags ?? 0) & AddressFlag.MCAUTOJOIN).not.toBe(0);
    await netlink.deleteAddress(place);
    expect(await joined()).not.toContain(text);
  });

  test('what no address is, and no device', async () => {
    const place = { ifindex: pair.ifindex, address: group4, prefixLength: 32 };
    for (const bad of [{ address: new Uint8Array(5) }, { prefixLength: 33 }, { prefixLength: -1 }]) {
      expect(await caught(() => netlink.addAddress({ ...place, ...bad }))).toEqual(
        mapwireError('ERR_MW_INVALID_ARGUMENT'),
      );
    }
    expect(await caught(() => netlink.addAddress({ ...place, ifindex: 0x7ffffff0 }))).toEqual(
      mapwireError('ERR_MW_NOT_FOUND', { errnoName: 'ENODEV' }),
    );
    // a group without the flag, or the flag without a group
    expect(await caught(() => netlink.addAddress({ ...place, address: group6, prefixLength: 128 }))).toEqual(
      expect.objectContaining({ name: 'MapwireError' }),
    );
  });
});

describe('received MACs', () => {
  const mac = Uint8Array.of(2, 0xaa, 0, 0, 0, 7);

  test('are added, listed as bridge(8) has them, and go', async () => {
    await netlink.addReceivedMac(pair.ifindex, mac);
    expect(await netlink.receivedMacs(pair.ifindex)).toContainEqual(mac);
    expect((await run(['bridge', 'fdb', 'show', 'dev', pair.name])).stdout).toMatch(/02:aa:00:00:00:07 self permanent/);
    expect(await caught(() => netlink.addReceivedMac(pair.ifindex, mac))).toEqual(
      mapwireError('ERR_MW_NETLINK', { errnoName: 'EEXIST' }),
    );
    await netlink.deleteReceivedMac(pair.ifindex, mac);
    expect(await netlink.receivedMacs(pair.ifindex)).not.toContainEqual(mac);
    expect(await caught(() => netlink.deleteReceivedMac(pair.ifindex, mac))).toEqual(mapwireError('ERR_MW_NOT_FOUND'));
  });

  test('what no MAC is, and no device', async () => {
    expect(await caught(() => netlink.addReceivedMac(pair.ifindex, new Uint8Array(5)))).toEqual(
      mapwireError('ERR_MW_INVALID_ARGUMENT'),
    );
    expect(await caught(() => netlink.addReceivedMac(0x7ffffff0, mac))).toEqual(mapwireError('ERR_MW_NOT_FOUND'));
    expect(await netlink.receivedMacs(0x7ffffff0)).toEqual([]);
  });
});

describe('veth pairs', () => {
  test('are made, changed and removed', async () => {
    const [name, peer] = [uniqueName(), uniqueName()];
    await netlink.addVeth({ name, peer, mtu: 65535 });
    try {
      const [near, far] = [await netlink.device(name), await netlink.device(peer)];
      expect(near).toMatchObject({ kind: 'veth', mtu: 65535, up: false, link: far.ifindex });
      expect(far).toMatchObject({ kind: 'veth', mtu: 65535, up: false, link: near.ifindex });
      expect(await caught(() => netlink.addVeth({ name, peer: `${peer}x` }))).toEqual(
        mapwireError('ERR_MW_NETLINK', { errnoName: 'EEXIST' }),
      );
      for (const { ifindex } of [near, far]) await netlink.changeDevice(ifindex, { ip6Address: 'none', up: true });
      await eventually('both are up', async () => (await netlink.device(peer)).operState === 'up');
      const addresses = [...(await netlink.addresses(near.ifindex)), ...(await netlink.addresses(far.ifindex))];
      expect(addresses).toEqual([]);
      const { active } = await netlink.offloads(near.ifindex);
      const segmenting = [...active].filter((one) => /^tx-.*segmentation$/.test(one));
      expect(segmenting).toContain('tx-tcp-segmentation');
      const refused = await netlink.setOffloads(
        near.ifindex,
        Object.fromEntries(segmenting.map((one) => [one, false])),
      );
      expect(refused).toEqual([]);
      expect([...(await netlink.offloads(near.ifindex)).active].filter((one) => segmenting.includes(one))).toEqual([]);
      await netlink.deleteDevice(near.ifindex);
      expect(await caught(() => netlink.device(peer))).toEqual(mapwireError('ERR_MW_NOT_FOUND'));
      expect(await caught(() => netlink.deleteDevice(near.ifindex))).toEqual(mapwireError('ERR_MW_NOT_FOUND'));
    } finally {
      await run(['ip', 'link', 'del', name], { check: false });
    }
  });

  test('get the index that is asked for, unless another device has it', async () => {
    const [name, peer] = [uniqueName(), uniqueName()];
    await netlink.addVeth({ name, peer });
    try {
      const { ifindex } = await netlink.device(name);
      expect(await caught(() => netlink.addVeth({ name: uniqueName(), peer: uniqueName(), ifindex }))).toEqual(
        mapwireError('ERR_MW_NETLINK', { errnoName: 'EEXIST' }),
      );
      await netlink.deleteDevice(ifindex);
      await netlink.addVeth({ name, peer, ifindex });
      expect(await netlink.device(name)).toMatchObject({ ifindex, kind: 'veth' });
    } finally {
      await run(['ip', 'link', 'del', name], { check: false });
    }
  });

  test.each(['', 'a/b', 'a b', 'sixteen-bytes-16', '..', 'a:b'])("'%s' is no name", async (name) => {
    expect(await caught(() => netlink.addVeth({ name, peer: 'mwlpeer' }))).toEqual(
      mapwireError('ERR_MW_INVALID_ARGUMENT'),
    );
  });

  test('the loopback device is not removed', async () => {
    expect(await caught(() => netlink.deleteDevice(1))).toEqual(expect.objectContaining({ name: 'MapwireError' }));
  });
});

describe('neighbours', () => {
  test('the kernel keeps one resolved', async () => {
    const place = { ifindex: pair.ifindex, address: there };
    expect(await netlink.manageNeighbour({ ...place, protocol: 77 })).toBe('managed');
    const entry = await eventually('the neighbour is resolved', async () => {
      const neighbour = await netlink.neighbour(place);
      return neighbour.valid && neighbour.mac !== undefined ? neighbour : undefined;
    });
    expect(entry).toMatchObject({ managed: true, protocol: 77, ifindex: pair.ifindex, address: there });
    const [peer] = JSON.parse((await run(['ip', '-n', pair.namespace, '-j', 'link', 'show', pair.peer])).stdout);
    expect(macText(entry.mac)).toBe(peer.address);
    // asking again changes nothing
    expect(await netlink.manageNeighbour({ ...place, protocol: 77 })).toBe('managed');
    expect((await netlink.neighbour(place)).mac).toEqual(entry.mac);
    await netlink.deleteNeighbour(place);
    expect((await netlink.neighbours()).filter(({ address }) => Buffer.compare(address, there) === 0)).toEqual([]);
    expect(await caught(() => netlink.neighbour(place))).toEqual(mapwireError('ERR_MW_NOT_FOUND'));
    expect(await caught(() => netlink.deleteNeighbour(place))).toEqual(mapwireError('ERR_MW_NOT_FOUND'));
  });

  test('one that nobody answers for stays unresolved', async () => {
    const place = { ifindex: pair.ifindex, address: nobody };
    await netlink.manageNeighbour(place);
    const entry = await netlink.neighbour(place);
    expect(entry.valid).toBe(false);
    expect(entry.mac).toBeUndefined();
    await netlink.deleteNeighbour(place);
  });

  test('a permanent one', async () => {
    const mac = Uint8Array.of(2, 0, 0, 0, 0, 9);
    const place = { ifindex: pair.ifindex, address: nobody };
    await netlink.putNeighbour({ ...place, mac });
    expect(await netlink.neighbour(place)).toMatchObject({ mac, state: NeighbourState.PERMANENT, managed: false });
    await netlink.deleteNeighbour(place);
  });

  test('what the kernel refuses', async () => {
    expect(await caught(() => netlink.manageNeighbour({ ifindex: 0x7ffffff0, address: there }))).toEqual(
      mapwireError('ERR_MW_NOT_FOUND', { errnoName: 'ENODEV' }),
    );
    expect(await caught(() => netlink.neighbour({ ifindex: 1, address: new Uint8Array(3) }))).toEqual(
      mapwireError('ERR_MW_INVALID_ARGUMENT'),
    );
  });
});

test('foreign programs are named', async () => {
  using object = await loadEverything();
  using xdp = await object.programs.get('drop')!.attachXdp({ ifindex: pair.ifindex, mode: 'generic' });
  expect(await netlink.attachedPrograms(pair.ifindex)).toEqual([
    { hook: 'xdp-generic', programId: object.programs.get('drop')!.id, programName: 'drop', linkId: xdp.id },
  ]);
  expect(await caught(() => netlink.attachedPrograms(0x7ffffff0))).toEqual(mapwireError('ERR_MW_NOT_FOUND'));
});

test('a dump of several datagrams is whole', async () => {
  // names in one file for ip -batch: a dump of several datagrams
  const names = Array.from({ length: 40 }, (_, i) => `${pair.name}${i}`);
  const batch = (line: (name: string) => string): Promise<unknown> =>
    run(['ip', '-batch', '-'], { input: names.map((name) => line(name)).join('\n') });
  await batch((name) => `link add ${name} type bridge`);
  try {
    const found = new Set((await netlink.devices()).map(({ name }) => name));
    expect(names.filter((name) => !found.has(name))).toEqual([]);
  } finally {
    await batch((name) => `link del ${name}`);
  }
});

test('requests at the same time are answered each with its own', async () => {
  const answers = await Promise.all(
    Array.from({ length: 60 }, (_, i) => (i % 2 === 0 ? netlink.device('lo') : netlink.device(pair.name))),
  );
  expect(answers.map(({ ifindex }) => ifindex)).toEqual(
    Array.from({ length: 60 }, (_, i) => (i % 2 === 0 ? 1 : pair.ifindex)),
  );
});

test('a failed request does not stop the next; after close() there is none', async () => {
  const before = openDescriptors();
  const own = new Netlink();
  const [failed, fine] = await Promise.allSettled([own.device(0x7ffffff0), own.device('lo')]);
  expect([failed.status, fine.status]).toEqual(['rejected', 'fulfilled']);
  await own.offloads(1);
  own.close();
  own.close();
  expect(await caught(() => own.devices())).toEqual(mapwireError('ERR_MW_CLOSED'));
  expect(await caught(() => own.offloads(1))).toEqual(mapwireError('ERR_MW_CLOSED'));
  expect(openDescriptors()).toBe(before);
});

test('this process has the capabilities it needs', () => {
  expect([...effectiveCapabilities()]).toEqual(expect.arrayContaining(['CAP_NET_ADMIN', 'CAP_BPF']));
});
