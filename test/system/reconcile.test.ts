/**
 * The daemon writes what differs and nothing else: counted from outside, with strace on bpf(2) and with bpftool; what
 * bpftool reads back is the table; what the API acknowledged survives a kill.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { mapWrites, underStrace } from '../support/bpf-trace.ts';
import { bytesOf, dumpMap, ip4Of, ip6Of, macOf, pinnedMap } from '../support/pinned-maps.ts';
import { run } from '../support/process.ts';
import { type Guest, ThreeHosts } from '../support/three-hosts.ts';
import { ping } from '../support/traffic.ts';

/** What is counted here are calls that write entries, and bpftool alters some: buckets are written without. */
const HASHES = { extra: 'layout: hash' };

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe('a table of three hosts', () => {
  let hosts: ThreeHosts;
  beforeAll(async () => {
    hosts = await ThreeHosts.build();
    await hosts.guest('a', 'ga', 10);
    await hosts.guest('b', 'gb', 20);
    await hosts.guest('c', 'gc', 30);
    await hosts.writeTable();
    await hosts.start(HASHES);
  });
  afterAll(() => hosts?.close());

  test('bpftool reads the table back from the address maps', async () => {
    const ports = await dumpMap(hosts.a, 'port');
    const nodes = new Map(
      (await dumpMap(hosts.a, 'vtep')).map(({ formatted: f }) => [
        f.value.node,
        bytesOf(f.key.addr).slice(12).join('.'),
      ]),
    );
    const located = new Map<unknown, { mac: string; at: unknown[] }>();
    for (const { formatted: f } of ports) {
      expect(f.value.port).toBe(f.key);
      const at = (f.value.at as { node: number; segment: number }[]).filter(({ node }) => node !== 0);
      located.set(f.key, {
        mac: macOf(f.value.mac),
        at: at.map(({ node, segment }) => `${nodes.get(node)} ${segment}`),
      });
    }
    const read: Record<string, { ips: string[]; mac: string; at: unknown[] }> = {};
    for (const { formatted: f } of await dumpMap(hosts.a, 'mac')) {
      const place = located.get(f.value.port);
      expect(place?.mac).toBe(macOf(f.key.mac));
      read[macOf(f.key.mac)] = { mac: macOf(f.key.mac), ips: [], at: place?.at ?? [] };
    }
    for (const [name, text] of [
      ['ip4', ip4Of],
      ['ip6', ip6Of],
    ] as const) {
      for (const { formatted: f } of await dumpMap(hosts.a, name)) {
        const key = name === 'ip4' ? f.key.addr_be : f.key.addr;
        read[located.get(f.value.port)!.mac]!.ips.push(text(key));
      }
    }
    const wanted: typeof read = {};
    for (const port of Object.values(hosts.table.ports)) {
      const underlay = hosts.table.nodes[port.at[0]!.node]!.underlay;
      wanted[port.mac] = { mac: port.mac, ips: [...port.ips], at: [`${underlay} 5001`] };
    }
    expect(read).toEqual(wanted);
  });

  test('a restart with nothing to change writes no map entry', async () => {
    await hosts.a.stop();
    const trace = join(await hosts.lab.folder(), 'restart');
    await hosts.a.run(true, underStrace(trace));
    await pause(500);
    const { lines } = await mapWrites(trace);
    expect(lines).toEqual([]);
    await hosts.a.stop();
    await hosts.a.run();
  });

  test('an entry deleted, one altered and one added while the daemon is down are repaired by exactly three writes', async () => {
    await hosts.a.stop();
    const map = await pinnedMap(hosts.a, 'mac');
    const raw = JSON.parse((await run(['bpftool', '-j', 'map', 'dump', 'pinned', map])).stdout) as {
      key: string[];
      value: string[];
    }[];
    expect(raw.length).toBe(3);
    const [first, second] = raw as [(typeof raw)[0], (typeof raw)[0]];
    const tool = (verb: string, key: string[], value?: string[]) =>
      run(['bpftool', 'map', verb, 'pinned', map, 'key', ...key, ...(value ? ['value', ...value] : [])]);
    await tool('delete', first.key);
    await tool('update', second.key, ['0x63', ...second.value.slice(1)]);
    const stranger = [...second.key.slice(0, 9), '0xee', ...second.key.slice(10)];
    await tool('update', stranger, second.value);
    const trace = join(await hosts.lab.folder(), 'repair');
    await hosts.a.run(true, underStrace(trace));
    await pause(300);
    const writes = await mapWrites(trace);
    expect(writes.single + writes.batched, writes.lines.join('\n')).toBe(3);
    const after = JSON.parse((await run(['bpftool', '-j', 'map', 'dump', 'pinned', map])).stdout) as typeof raw;
    const order = (list: typeof raw) => list.map((entry) => JSON.stringify([entry.key, entry.value])).sort();
    expect(order(after)).toEqual(order(raw));
    await hosts.a.stop();
    await hosts.a.run();
  });

  test('a table with an error leaves the running mapping in force, and status says so', async () => {
    const before = await dumpMap(hosts.a, 'port');
    await writeFile(hosts.tablePath, 'mapwire: 1\nports: { x: { network: nowhere } }\n');
    await pause(500);
    const status = await hosts.a.json('status');
    expect(JSON.stringify(status)).toMatch(/MW\d{3}/);
    expect(await dumpMap(hosts.a, 'port')).toEqual(before);
    await hosts.writeTable();
    await pause(500);
    expect(JSON.stringify(await hosts.a.json('status'))).not.toMatch(/MW\d{3}/);
  });
});

describe('a table of 10,000 ports', () => {
  let hosts: ThreeHosts;
  let ga: Guest;
  beforeAll(async () => {
    hosts = await ThreeHosts.build();
    ga = await hosts.guest('a', 'ga', 10);
    await hosts.guest('b', 'gb', 20);
    await hosts.guest('c', 'gc', 30);
    for (let n = 0; n < 10_000; n++) {
      const low = `${(n >> 8).toString(16).padStart(2, '0')}:${(n & 255).toString(16).padStart(2, '0')}`;
      hosts.table.ports[`bulk-${n}`] = {
        network: 'blue',
        mac: `02:00:00:01:${low}`,
        ips: [`10.2.${n >> 8}.${n & 255}`],
        at: [{ node: 'host-b', interface: `bulk${n}` }],
      };
    }
    await hosts.writeTable();
    await hosts.start(HASHES);
  });
  afterAll(() => hosts?.close());

  test('one edit writes only that port’s entries', async () => {
    await hosts.a.stop();
    const trace = join(await hosts.lab.folder(), 'edit');
    await hosts.a.run(true, underStrace(trace));
    await pause(300);
    expect((await mapWrites(trace)).lines).toEqual([]);
    const before = await hosts.a.applied();
    // A move is one write, whatever number of addresses the port has.
    hosts.table.ports['bulk-777']!.at = [{ node: 'host-c' }];
    await hosts.writeTable();
    const moved = await hosts.a.appliedAfter(before);
    const afterMove = await mapWrites(trace);
    expect(afterMove.lines.length, afterMove.lines.join('\n')).toBe(1);
    // A new address is one write more, and it belongs to that port.
    hosts.table.ports['bulk-778']!.ips.push('10.3.0.1');
    await hosts.writeTable();
    await hosts.a.appliedAfter(moved);
    const afterAddress = await mapWrites(trace);
    expect(afterAddress.single + afterAddress.batched, afterAddress.lines.join('\n')).toBe(2);
    await hosts.a.stop();
    await hosts.a.run();
  });

  test('1,000 edits through the API and a kill in the middle: everything acknowledged is there', async () => {
    const acknowledged: number[] = [];
    let killed = false;
    for (let start = 0; start < 1_000 && !killed; start += 20) {
      const batch = Array.from({ length: 20 }, async (_, i) => {
        const n = start + i;
        const record = {
          port: `api-${n}`,
          network: 'blue',
          mac: `02:00:00:02:${(n >> 8).toString(16).padStart(2, '0')}:${(n & 255).toString(16).padStart(2, '0')}`,
          ips: [`10.4.${n >> 8}.${n & 255}`],
          at: [{ node: 'host-b' }],
        };
        const { status, text } = await hosts.a.api('PATCH', '/v1/table', `${JSON.stringify(record)}\n`);
        expect(status, text).toBe(200);
        acknowledged.push(n);
      });
      if (start === 500) {
        setTimeout(() => hosts.a.daemon?.child.kill('SIGKILL'), 5);
        killed = true;
      }
      const results = await Promise.allSettled(batch);
      if (!killed) for (const result of results) expect(result.status).toBe('fulfilled');
    }
    expect(acknowledged.length).toBeGreaterThanOrEqual(500);
    await hosts.a.stop('SIGKILL');
    await hosts.a.run();
    const there = new Set((await dumpMap(hosts.a, 'mac')).map(({ formatted: f }) => macOf(f.key.mac)));
    const missing = acknowledged.filter(
      (n) =>
        !there.has(`02:00:00:02:${(n >> 8).toString(16).padStart(2, '0')}:${(n & 255).toString(16).padStart(2, '0')}`),
    );
    expect(missing).toEqual([]);
    // And the second half goes on.
    for (let n = 520; n < 1_000; n += 40) {
      const lines = Array.from({ length: 40 }, (_, i) => n + i).map((m) =>
        JSON.stringify({
          port: `api-${m}`,
          network: 'blue',
          mac: `02:00:00:02:${(m >> 8).toString(16).padStart(2, '0')}:${(m & 255).toString(16).padStart(2, '0')}`,
          ips: [`10.4.${m >> 8}.${m & 255}`],
          at: [{ node: 'host-b' }],
        }),
      );
      expect((await hosts.a.api('PATCH', '/v1/table', lines.join('\n'))).status).toBe(200);
    }
    expect((await dumpMap(hosts.a, 'mac')).length).toBeGreaterThanOrEqual(10_002 + 980);
  });

  test('a wrong revision is refused and changes nothing', async () => {
    const revision = await hosts.a.applied();
    const refused = await hosts.a.api(
      'PATCH',
      `/v1/table?revision=${revision + 7}`,
      '{"delete":"port","id":"api-0"}\n',
    );
    expect(refused.status).toBe(412);
    expect(JSON.parse(refused.text)).toMatchObject({ error: { code: 'ERR_MW_REVISION' } });
    expect(await hosts.a.applied()).toBe(revision);
    // A port of the file is not the API's to change.
    const clash = await hosts.a.api('PATCH', '/v1/table', '{"delete":"port","id":"ga"}\n');
    expect(clash.status).toBeGreaterThanOrEqual(400);
    const guest = hosts.table.ports.gb!;
    expect(guest.ips.length).toBe(2);
  });

  test('traffic still crosses', async () => {
    expect(await ping(ga.namespace, '10.1.0.20')).toMatchObject({ sent: 3, received: 3 });
  });
});
