/**
 * Runs under every kernel of `npm run test:kernels`: two hosts with Mapwire and one that is the kernel's own VXLAN device;
 * ping, TCP with a checked sum and UDP, IPv4 and IPv6 inside, both hooks on the ports.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Guest, ThreeHosts } from '../../support/three-hosts.ts';
import { datagrams, ping, transfer } from '../../support/traffic.ts';

const BYTES = 256 * 1024;

describe.each(['tc', 'xdp'] as const)('hook: %s', (hook) => {
  let hosts: ThreeHosts;
  const guests = new Map<string, Guest>();

  beforeAll(async () => {
    hosts = await ThreeHosts.build();
    const made = [
      await hosts.guest('a', 'socket-a', 10),
      await hosts.guest('a', 'tap-a', 12, 'tap'),
      await hosts.guest('b', 'socket-b', 20),
      await hosts.guest('c', 'kernel-c', 30),
    ];
    for (const guest of made) guests.set(guest.name, guest);
    await hosts.writeTable();
    await hosts.start({ hook });
  });

  afterAll(() => hosts?.close());

  test.each([
    ['socket-a', 'socket-b'],
    ['tap-a', 'socket-b'],
    ['socket-a', 'tap-a'],
    ['socket-b', 'kernel-c'],
  ])('%s and %s: ping, TCP each way, UDP', async (left, right) => {
    const from = guests.get(left) as Guest;
    const to = guests.get(right) as Guest;
    for (const address of [to.ip4, to.ip6]) {
      const { sent, received, output } = await ping(from.namespace, address, { count: 3, interval: 0.1 });
      expect(received, output).toBe(sent);
      await datagrams(from.namespace, to.namespace, address, [0, 1, 1200, 4000]);
      await transfer(from.namespace, to.namespace, address, BYTES);
    }
    await transfer(to.namespace, from.namespace, from.ip4, BYTES);
  });
});
