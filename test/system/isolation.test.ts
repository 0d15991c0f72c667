/**
 * Ports of two networks are deleted and added again under traffic, with the same ids and the same addresses in both
 * networks: no frame ever crosses from one network to the other.
 */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run } from '../support/process.ts';
import { type PortRecord, ThreeHosts } from '../support/three-hosts.ts';
import { capture, PingStream } from '../support/traffic.ts';

describe.each(['tc', 'xdp'] as const)('hook: %s', (hook) => {
  let hosts: ThreeHosts;
  beforeAll(async () => {
    hosts = await ThreeHosts.build();
    hosts.table.networks.red = { encap: 'vxlan', segment: 6001 };
    for (const [name, n] of [
      ['blue-a', 10],
      ['red-a', 10],
    ] as const) {
      await hosts.guest('a', name, n);
    }
    for (const [name, n] of [
      ['blue-b', 20],
      ['red-b', 20],
    ] as const) {
      await hosts.guest('b', name, n);
    }
    for (const name of ['red-a', 'red-b']) hosts.table.ports[name]!.network = 'red';
    await hosts.writeTable();
    await hosts.start({ hook });
  });
  afterAll(() => hosts?.close());

  test('churn of both networks under traffic', async () => {
    const guest = (name: string) => hosts.lab.existing(`${hosts.lab.prefix}-${name}`);
    // Each network's guests ping with a pattern of their own; what arrives is captured and must carry that pattern.
    const folder = await hosts.lab.folder();
    const captures = await Promise.all(
      ['blue-b', 'red-b'].map((name) => capture(guest(name), 'eth0', join(folder, `${name}.pcap`), 'icmp')),
    );
    const streams = [
      new PingStream(guest('blue-a'), '10.1.0.20', 0.002, 'b1'),
      new PingStream(guest('red-a'), '10.1.0.20', 0.002, 'ed'),
    ];
    for (const stream of streams) await stream.flowing();
    const all: Record<string, PortRecord> = { ...hosts.table.ports };
    const swap = (ports: Record<string, PortRecord>) => {
      hosts.table.ports = ports;
      return hosts.writeTable();
    };
    for (let round = 0; round < 12; round++) {
      const [first, second] = [await hosts.a.applied(), await hosts.b.applied()];
      const gone = round % 3 === 0 ? 'blue' : round % 3 === 1 ? 'red' : '';
      await swap(Object.fromEntries(Object.entries(all).filter(([, port]) => gone !== '' && port.network !== gone)));
      await Promise.all([hosts.a.appliedAfter(first), hosts.b.appliedAfter(second)]);
      const [third, fourth] = [await hosts.a.applied(), await hosts.b.applied()];
      await swap({ ...all });
      await Promise.all([hosts.a.appliedAfter(third), hosts.b.appliedAfter(fourth)]);
    }
    await new Promise((resolve) => setTimeout(resolve, 300));
    const results = await Promise.all(streams.map((stream) => stream.stop()));
    for (const one of captures) await one.stop();
    for (const result of results) expect(result.received).toBeGreaterThan(100);
    for (const [name, own, other] of [
      ['blue-b', 'b1', 'ed'],
      ['red-b', 'ed', 'b1'],
    ] as const) {
      const payloads = await run(['tshark', '-r', join(folder, `${name}.pcap`), '-T', 'fields', '-e', 'data.data']);
      const lines = payloads.stdout.split('\n').filter((line) => line !== '');
      expect(lines.filter((line) => line.includes(own.repeat(8))).length).toBeGreaterThan(100);
      expect(lines.filter((line) => line.includes(other.repeat(8)))).toEqual([]);
    }
  });
});
