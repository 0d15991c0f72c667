/**
 * TCP that comes in frames of the wire's size is merged before the TC program sees it, and gets whole into guests of every kind:
 * sockets and a virtual machine's tap. Where a guest may forward, nothing is merged.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { addresses, type Guest, ThreeHosts } from '../support/three-hosts.ts';
import { transfer } from '../support/traffic.ts';

const MIB = 1 << 20;
let hosts: ThreeHosts;
let sender: Guest;
let veth: Guest;
let tap: Guest;

beforeAll(async () => {
  hosts = await ThreeHosts.build();
  sender = await hosts.guest('a', 'web-a', 1);
  veth = await hosts.guest('b', 'web-b', 2);
  tap = await hosts.guest('b', 'vm-b', 3, 'tap');
  for (const guest of [sender, veth, tap]) await guest.namespace.ip('link set eth0 mtu 1450');
  await hosts.writeTable();
  await hosts.start({ hook: 'tc' });
  // A wire that carries frames of its own size and no more. A veth merges only what comes from an end without TSO.
  for (const port of ['p-host-a', 'p-host-b']) await hosts.wire.offload(port, { tso: 'off' });
  for (const host of [hosts.hosts.a, hosts.hosts.b]) {
    await host.offload('eth0', { tso: 'off', gso: 'off', 'tx-udp_tnl-segmentation': 'off' });
  }
});

afterAll(() => hosts?.close());

/** Packets that the program on host-b's underlay saw, and bytes in them. */
async function seen(): Promise<{ packets: number; bytes: number }> {
  const { text } = await hosts.b.api('GET', '/v1/traffic');
  const rows = JSON.parse(text) as { device: string; rxPackets: number; rxBytes: number }[];
  const row = rows.find(({ device }) => device === 'eth0')!;
  return { packets: row.rxPackets, bytes: row.rxBytes };
}

/** Bytes of a frame on host-a's wire, on average. */
async function sent(): Promise<{ packets: number; bytes: number }> {
  const { stdout } = await hosts.hosts.a.run(['ip', '-j', '-s', 'link', 'show', 'eth0']);
  return (JSON.parse(stdout) as { stats64: { tx: { packets: number; bytes: number } } }[])[0]!.stats64.tx;
}

/** TCP to a guest on host-b, checked at its end; gives bytes a packet on the wire and in the program. */
async function through(to: Guest, family: 4 | 6): Promise<{ wire: number; program: number }> {
  const [wire, program] = [await sent(), await seen()];
  await transfer(sender.namespace, to.namespace, family === 4 ? to.ip4 : to.ip6, 24 * MIB);
  const [wireAfter, programAfter] = [await sent(), await seen()];
  return {
    wire: (wireAfter.bytes - wire.bytes) / (wireAfter.packets - wire.packets),
    program: (programAfter.bytes - program.bytes) / (programAfter.packets - program.packets),
  };
}

test.each([4, 6] as const)('into a socket, IPv%i', async (family) => {
  const { wire, program } = await through(veth, family);
  expect(wire).toBeLessThan(1520);
  expect(program).toBeGreaterThan(3000);
});

test.each([4, 6] as const)('into a tap, IPv%i', async (family) => {
  const { wire, program } = await through(tap, family);
  expect(wire).toBeLessThan(1520);
  expect(program).toBeGreaterThan(2000);
});

test('not for a guest that may forward', async () => {
  const behind = await hosts.lab.namespace('behind');
  const { ip4 } = addresses(9);
  await veth.namespace.ip(
    `link add inside mtu 1450 type veth peer name eth0 netns ${behind.name}`,
    'addr add 10.1.0.254/32 dev inside',
    'link set inside up',
    `route add ${ip4}/32 dev inside`,
  );
  await veth.namespace.offload('inside', { tso: 'off', gso: 'off' });
  await veth.namespace.sysctl({ 'net.ipv4.ip_forward': 1 });
  await behind.ip(
    'link set eth0 mtu 1450',
    `addr add ${ip4}/32 dev eth0`,
    'link set eth0 up',
    'route add 10.1.0.254/32 dev eth0',
    'route add default via 10.1.0.254',
  );
  await sender.namespace.ip(`route add ${ip4}/32 via ${veth.ip4}`);
  hosts.table.ports[veth.name]!.allow = [`${ip4}/32`];
  const before = await hosts.b.applied();
  await hosts.writeTable();
  await hosts.b.appliedAfter(before);
  const { program } = await through({ ...veth, namespace: behind, ip4 }, 4);
  expect(program).toBeLessThan(1520);
});
