import { describe, expect, it } from 'vitest';
import type { HostLink, HostNeighbour, HostPath } from '../../../src/dataplane/host-netlink.ts';
import { PathMtus } from '../../../src/dataplane/path-mtu.ts';
import { outage, underlayDevices, uplinks } from '../../../src/dataplane/underlay.ts';
import { isKept, neighbourOf, resolve, waysOf } from '../../../src/dataplane/ways.ts';

const mac = (last: number) => Uint8Array.of(2, 0, 0, 0, 0, last);

function link(ifindex: number, name: string, more: Partial<HostLink> = {}): HostLink {
  const made = { ifindex, name, mac: mac(ifindex), up: true, carrier: true, mtu: 1500, vlan: undefined };
  return { ...made, xdpProgramId: undefined, ...more };
}

const path = (ifindex: number, gateway?: string, dead = false): HostPath => ({ ifindex, gateway, dead });
const byIndex = (...links: HostLink[]) => new Map(links.map((one) => [one.ifindex, one]));

const neighbour = (ifindex: number, address: string, more: Partial<HostNeighbour> = {}): HostNeighbour => ({
  ifindex,
  address,
  mac: mac(99),
  state: 0x02,
  managed: true,
  ...more,
});

describe('underlay devices', () => {
  it('are names, or devices with a tag', () => {
    expect(underlayDevices(['eth0', { device: 'eth1' }, { device: 'eth2', vlan: 30 }])).toEqual([
      { device: 'eth0', vlan: 0 },
      { device: 'eth1', vlan: 0 },
      { device: 'eth2', vlan: 30 },
    ]);
  });

  it('keep the order of the list; the VLAN device of the tag is the face of a tagged one', () => {
    const tagged = link(9, 'blue', { vlan: { of: 3, id: 30 } });
    const other = link(8, 'red', { vlan: { of: 3, id: 31 } });
    const elsewhere = link(7, 'green', { vlan: { of: 4, id: 30 } });
    const found = uplinks(
      underlayDevices([{ device: 'eth1', vlan: 30 }, 'eth0', 'absent']),
      byIndex(link(2, 'eth0'), link(3, 'eth1'), elsewhere, other, tagged),
    );
    expect(found.map(({ link, face, vlan }) => [link.name, face.name, vlan])).toEqual([
      ['eth1', 'blue', 30],
      ['eth0', 'eth0', 0],
    ]);
  });

  it('are out when they, or their VLAN device, are down or without carrier', () => {
    const up = link(3, 'eth1');
    const face = (more: Partial<HostLink>) => link(9, 'eth1.30', more);
    expect(outage({ link: up, face: up, vlan: 0 })).toBeUndefined();
    expect(outage({ link: link(3, 'eth1', { up: false }), face: face({}), vlan: 30 })).toBe('eth1 is down');
    expect(outage({ link: up, face: face({ up: false }), vlan: 30 })).toBe('eth1.30 is down');
    expect(outage({ link: up, face: face({ carrier: false }), vlan: 30 })).toBe('eth1.30 has no carrier');
  });
});

describe('the ways of a route', () => {
  const [eth0, eth1, tap] = [link(2, 'eth0'), link(3, 'eth1'), link(4, 'tap0')];
  const vlan = link(9, 'eth1.30', { vlan: { of: 3, id: 30 } });
  const links = byIndex(eth0, eth1, tap, vlan);
  const plain = uplinks(underlayDevices(['eth1', 'eth0']), links);
  const tagged = uplinks(underlayDevices([{ device: 'eth1', vlan: 30 }]), links);

  it('have an order that does not depend on that of the route', () => {
    const paths = [path(3, '10.0.1.1'), path(2, '10.0.0.9'), path(2, '10.0.0.1')];
    const order = (some: HostPath[]) =>
      waysOf('192.0.2.2', some, links, plain).map(({ uplink, via }) => [uplink?.link.ifindex, via]);
    expect(order(paths)).toEqual([
      [2, '10.0.0.1'],
      [2, '10.0.0.9'],
      [3, '10.0.1.1'],
    ]);
    expect(order(paths.reverse())).toEqual(order(paths));
  });

  it('lead to the gateway of either family, or to the node itself', () => {
    const [first] = waysOf('192.0.2.2', [path(2)], links, plain);
    expect(neighbourOf(first as never)).toEqual({ ifindex: 2, address: '192.0.2.2' });
    const [second] = waysOf('192.0.2.2', [path(2, 'fe80::1')], links, plain);
    expect(neighbourOf(second as never)).toEqual({ ifindex: 2, address: 'fe80::1' });
  });

  it('say why they cannot be used: no underlay device, down, the kernel says so', () => {
    const down = link(3, 'eth1', { up: false });
    const some = byIndex(eth0, down, tap);
    const ways = waysOf(
      '192.0.2.2',
      [path(2, '10.0.0.1', true), path(3, '10.0.1.1'), path(4)],
      some,
      uplinks(underlayDevices(['eth0', 'eth1']), some),
    );
    expect(ways.map(({ why }) => why)).toEqual([
      'the route to 192.0.2.2 leaves by tap0, which is no underlay device',
      'the route by eth0 is down',
      'eth1 is down',
    ]);
    expect(ways.map(neighbourOf)).toEqual([undefined, undefined, undefined]);
  });

  it('on a tagged underlay: by the VLAN device or by the device itself; the MAC and the neighbour are its', () => {
    for (const [paths, face] of [
      [[path(9, '10.0.0.1')], 9],
      [[path(3, '10.0.0.1')], 3],
    ] as const) {
      const [way] = waysOf('192.0.2.2', paths, links, tagged);
      expect(neighbourOf(way as never)).toEqual({ ifindex: face, address: '10.0.0.1' });
      expect(resolve(way as never, neighbour(face, '10.0.0.1')).hop).toEqual({
        ifindex: 3,
        vlan: 30,
        smac: mac(face),
        dmac: mac(99),
      });
    }
  });

  it('by a VLAN device whose tag nobody named, with the words to name it', () => {
    const [way] = waysOf('192.0.2.2', [path(9)], links, plain);
    expect(way).toMatchObject({
      uplink: undefined,
      why: 'the route to 192.0.2.2 leaves by eth1.30, which is no underlay device (it would be {device: eth1, vlan: 30})',
    });
  });

  it('need a neighbour whose MAC is known', () => {
    const [way] = waysOf('192.0.2.2', [path(2)], links, plain);
    const why = (one: HostNeighbour | undefined) => resolve(way as never, one).why;
    expect(why(undefined)).toBe('192.0.2.2 is being resolved');
    expect(why(neighbour(2, '192.0.2.2', { state: 0x01, mac: undefined }))).toBe('192.0.2.2 is being resolved');
    expect(why(neighbour(2, '192.0.2.2', { state: 0x20 }))).toBe('192.0.2.2 does not answer');
    for (const state of [0x02, 0x04, 0x08, 0x10, 0x40, 0x80]) {
      expect(why(neighbour(2, '192.0.2.2', { state })), String(state)).toBeUndefined();
    }
  });

  it('leave entries alone that somebody made for good, and those that are kept already', () => {
    expect(isKept(undefined)).toBe(false);
    expect(isKept(neighbour(2, '192.0.2.2', { managed: false }))).toBe(false);
    expect(isKept(neighbour(2, '192.0.2.2'))).toBe(true);
    expect(isKept(neighbour(2, '192.0.2.2', { managed: false, state: 0x80 }))).toBe(true);
    expect(isKept(neighbour(2, '192.0.2.2', { managed: false, state: 0x40 }))).toBe(true);
  });
});

describe('the path MTU', () => {
  it('is lowered, never raised, and never below what the family can have', () => {
    const store = new PathMtus();
    expect(store.tell('192.0.2.2', 1400, 1500)).toBe(true);
    expect(store.tell('192.0.2.2', 1450, 1500)).toBe(false);
    expect(store.tell('192.0.2.2', 1400, 1500)).toBe(false);
    expect(store.of('192.0.2.2')).toBe(1400);
    expect(store.tell('192.0.2.2', 575, 1500)).toBe(false);
    expect(store.tell('192.0.2.2', 0, 1500)).toBe(false);
    expect(store.tell('192.0.2.2', 576, 1500)).toBe(true);
    expect(store.tell('2001:db8::2', 1279, 1500)).toBe(false);
    expect(store.tell('2001:db8::2', 1280, 1500)).toBe(true);
    expect(store.of('192.0.2.9')).toBeUndefined();
  });

  it('that the uplinks do not take anyway is no news', () => {
    const store = new PathMtus();
    expect(store.tell('192.0.2.2', 1500, 1500)).toBe(false);
    expect(store.tell('192.0.2.2', 9000, 1500)).toBe(false);
    expect(store.tell('192.0.2.2', 1499, 1500)).toBe(true);
  });

  it('is forgotten ten minutes after it was told last', () => {
    let now = 0;
    const store = new PathMtus({ now: () => now });
    store.tell('192.0.2.2', 1400, 1500);
    now = 300_000;
    store.tell('192.0.2.2', 1300, 1500);
    store.tell('192.0.2.3', 1400, 1500);
    now = 600_000;
    expect(store.expire()).toEqual([]);
    now = 900_000;
    expect(store.expire()).toEqual(['192.0.2.2', '192.0.2.3']);
    expect(store.of('192.0.2.2')).toBeUndefined();
    expect(store.tell('192.0.2.2', 1400, 1500)).toBe(true);
  });
});
