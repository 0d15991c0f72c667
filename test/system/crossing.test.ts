/**
 * Ping, TCP and UDP cross between Mapwire and Mapwire, and between Mapwire and the kernel's VXLAN device: every hook, IPv4
 * and IPv6 inside, guests with the offloads they come with: a plain socket, one that forwards into a second
 * namespace, one behind a tap with vnet_hdr. At the far end of the wire no checksum is wrong, inner or outer.
 */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Namespace } from '../support/hosts.ts';
import { type Guest, ThreeHosts } from '../support/three-hosts.ts';
import { badChecksums, capture, datagrams, ping, transfer } from '../support/traffic.ts';

const MIB = 1 << 20;

interface End {
  readonly name: string;
  readonly ip4: string;
  readonly ip6: string;
  readonly namespace: Namespace;
}

describe.each(['tc', 'xdp', 'auto'] as const)('hook: %s', (hook) => {
  let hosts: ThreeHosts;
  const ends = new Map<string, End>();
  const end = (name: string): End => {
    const found = ends.get(name);
    if (!found) throw new Error(`no guest ${name}`);
    return found;
  };

  /** A second namespace behind a guest, which forwards to it: 10.9.0.2 and fd00:9::2. */
  async function behind(router: Guest): Promise<End> {
    const inner = await hosts.lab.namespace('behind');
    await router.namespace.ip(
      `link add inner type veth peer name eth0 netns ${inner.name}`,
      'addr add 10.9.0.1/24 dev inner',
      'addr add fd00:9::1/64 dev inner nodad',
      'link set inner up',
    );
    await inner.ip(
      'addr add 10.9.0.2/24 dev eth0',
      'addr add fd00:9::2/64 dev eth0 nodad',
      'link set eth0 up',
      'route add default via 10.9.0.1',
      'route add default via fd00:9::1',
    );
    await router.namespace.sysctl({ 'net.ipv4.ip_forward': 1, 'net.ipv6.conf.all.forwarding': 1 });
    const port = hosts.table.ports[router.name];
    if (!port) throw new Error(`no port ${router.name}`);
    port.allow = ['10.9.0.0/24', 'fd00:9::/64'];
    return { name: 'behind', ip4: '10.9.0.2', ip6: 'fd00:9::2', namespace: inner };
  }

  beforeAll(async () => {
    hosts = await ThreeHosts.build();
    const socketA = await hosts.guest('a', 'socket-a', 10);
    const router = await hosts.guest('a', 'router-a', 11);
    const tap = await hosts.guest('a', 'tap-a', 12, 'tap');
    const socketB = await hosts.guest('b', 'socket-b', 20);
    const neighbour = await hosts.guest('a', 'neighbour-a', 13);
    const kernel = await hosts.guest('c', 'kernel-c', 30);
    for (const guest of [socketA, router, tap, socketB, neighbour, kernel]) ends.set(guest.name, guest);
    const inner = await behind(router);
    ends.set(inner.name, inner);
    for (const guest of [socketB, kernel, tap]) {
      await guest.namespace.ip(
        `route add 10.9.0.0/24 via ${router.ip4}${guest === kernel ? ' mtu 1450' : ''}`,
        `route add fd00:9::/64 via ${router.ip6}`,
      );
    }
    await hosts.writeTable();
    await hosts.start({ hook });
  });

  afterAll(() => hosts?.close());

  test.each([
    ['socket-a', 'socket-b', 64],
    ['socket-b', 'kernel-c', 16],
    ['socket-a', 'kernel-c', 64],
    ['tap-a', 'socket-b', 64],
    ['tap-a', 'kernel-c', 16],
    ['behind', 'socket-b', 64],
    ['behind', 'kernel-c', 16],
    ['socket-a', 'neighbour-a', 16],
    ['tap-a', 'neighbour-a', 16],
  ] as const)('%s and %s: ping, %i MiB of TCP each way, UDP', async (left, right, mib) => {
    const from = end(left);
    const to = end(right);
    for (const [source, target] of [
      [from, to],
      [to, from],
    ] as const) {
      for (const address of [target.ip4, target.ip6]) {
        const { sent, received, output } = await ping(source.namespace, address, { count: 3, interval: 0.02 });
        expect(received, output).toBe(sent);
      }
    }
    await transfer(from.namespace, to.namespace, to.ip4, mib * MIB);
    await transfer(from.namespace, to.namespace, to.ip6, mib * MIB);
    await transfer(to.namespace, from.namespace, from.ip4, MIB);
    for (const address of [to.ip4, to.ip6]) {
      await datagrams(from.namespace, to.namespace, address, [0, 1, 17, 512, 1200, 4000]);
    }
  });

  test('at the far end of the wire every checksum is right, inner and outer', async () => {
    const folder = await hosts.lab.folder();
    const file = join(folder, `${hook}.pcap`);
    // Without checksum offload on the sending device the stack completes what TC leaves unfinished.
    await hosts.hosts.a.offload('eth0', { tx: 'off' });
    const watch = await capture(hosts.wire, 'p-host-b', file, 'udp port 4789 and src 192.0.2.1');
    for (const name of ['socket-a', 'tap-a', 'behind']) {
      const from = end(name);
      const to = end('socket-b');
      await transfer(from.namespace, to.namespace, to.ip4, MIB);
      await transfer(from.namespace, to.namespace, to.ip6, MIB);
      await datagrams(from.namespace, to.namespace, to.ip4, [0, 1, 333, 1200, 4000]);
      await datagrams(from.namespace, to.namespace, to.ip6, [0, 1, 333, 1200, 4000]);
      await ping(from.namespace, to.ip6);
    }
    await watch.stop();
    await hosts.hosts.a.offload('eth0', { tx: 'on' });
    const { frames, bad } = await badChecksums(file);
    expect(frames).toBeGreaterThan(1000);
    expect(bad).toEqual([]);
  });

  test('IPv6 guests configure themselves: link-local, duplicate detection, solicitation', async () => {
    const guest = end('socket-a').namespace;
    // A fresh address of the port's list goes through duplicate detection and stays.
    await guest.ip(`addr del ${end('socket-a').ip6}/64 dev eth0`, `addr add ${end('socket-a').ip6}/64 dev eth0`);
    const { stdout } = await guest.run(['sh', '-c', 'sleep 2.5; ip -6 -j addr show dev eth0']);
    const [link] = JSON.parse(stdout) as [
      { addr_info: { local: string; scope: string; tentative?: boolean; dadfailed?: boolean }[] },
    ];
    expect(link.addr_info.length).toBe(2);
    for (const address of link.addr_info) {
      expect(address, JSON.stringify(address)).not.toMatchObject({ tentative: true });
      expect(address).not.toMatchObject({ dadfailed: true });
    }
    // Another guest's address is found to be taken.
    const taken = end('socket-b').ip6;
    await guest.ip(`addr add ${taken}/64 dev eth0`);
    const after = await guest.run(['sh', '-c', 'sleep 2; ip -6 addr show dev eth0']);
    expect(after.stdout).toMatch(new RegExp(`inet6 ${taken}/64 .*dadfailed`));
    await guest.ip(`addr del ${taken}/64 dev eth0`);
    const drops = await hosts.a.json<{ reason: string; packets: number }[]>('drops');
    // guard-remote: the bridge of host-c sends multicast of its own, from a MAC that the table does not hold.
    const guarded = drops.filter(
      ({ reason, packets }) => reason.startsWith('guard-') && reason !== 'guard-remote' && packets > 0,
    );
    // Nothing that an honest guest sends is refused.
    expect(guarded.map(({ reason }) => reason)).toEqual([]);
  });
});
