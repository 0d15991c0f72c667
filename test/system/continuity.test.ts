/** Nothing that happens to the daemon, its programs or its maps loses a packet of a port that did not change. */
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { LAYOUT_VERSION } from '../../src/generated/layout.ts';
import { support } from '../support/hosts.ts';
import { run } from '../support/process.ts';
import { addresses, type Guest, ThreeHosts } from '../support/three-hosts.ts';
import { PingStream, ping } from '../support/traffic.ts';

const root = join(support, '../..');

describe.each(['tc', 'xdp'] as const)('hook: %s, a ping every 2 ms from host-a to host-b', (hook) => {
  let hosts: ThreeHosts;
  let a: Guest;
  let b: Guest;
  let stream: PingStream;

  beforeAll(async () => {
    hosts = await ThreeHosts.build();
    a = await hosts.guest('a', 'ga', 10);
    b = await hosts.guest('b', 'gb', 20);
    await hosts.guest('b', 'other', 21);
    await hosts.writeTable();
    await hosts.start({ hook });
  });
  afterAll(() => hosts?.close());

  beforeEach(async () => {
    stream = new PingStream(a.namespace, b.ip4);
    await stream.flowing();
  });
  afterEach(() => stream.stop());

  const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
  async function nothingLost(): Promise<void> {
    await pause(200);
    const { sent, received } = await stream.stop();
    expect(stream.lost()).toEqual([]);
    expect(received).toBe(sent);
    expect(sent).toBeGreaterThan(50);
  }

  test('an unrelated port changes', async () => {
    const [before, beforeB] = [await hosts.a.applied(), await hosts.b.applied()];
    hosts.table.ports.other!.ips = [addresses(77).ip4];
    await hosts.writeTable();
    await Promise.all([hosts.a.appliedAfter(before), hosts.b.appliedAfter(beforeB)]);
    await nothingLost();
  });

  test('the daemons restart', async () => {
    for (const one of [hosts.a, hosts.b]) {
      expect(await one.stop('SIGTERM')).toBe(0);
      await pause(100);
      await one.run();
    }
    await nothingLost();
  });

  test('the daemons are killed and started again', async () => {
    for (const one of [hosts.a, hosts.b]) {
      await one.stop('SIGKILL');
      await pause(100);
      await one.run();
    }
    await nothingLost();
  });

  test('the programs are replaced: another specialisation', async () => {
    for (const one of [hosts.a, hosts.b]) {
      const before = await one.attachedPrograms();
      await one.stop();
      const config = await readFile(one.config, 'utf8');
      await writeFile(one.config, `${config}unknown-segment: stack\n`);
      await one.run();
      const after = await one.attachedPrograms();
      expect([...after.keys()]).toEqual([...before.keys()]);
      for (const [name, id] of after) expect(id).not.toBe(before.get(name));
    }
    await nothingLost();
  });

  // With XDP it stays so: what follows grows and replaces tables of buckets.
  test('the layout of the address mappings changes', async () => {
    for (const layout of hook === 'xdp' ? ['compact'] : ['compact', 'hash']) {
      for (const one of [hosts.a, hosts.b]) {
        await one.stop();
        const config = (await readFile(one.config, 'utf8')).replace(/^layout: .*\n/m, '');
        await writeFile(one.config, `${config}layout: ${layout}\n`);
        await one.run();
        const { dataplane } = await one.json<{ dataplane: { tableLayout: string } }>('status');
        expect(dataplane.tableLayout).toBe(layout);
      }
    }
    await nothingLost();
  });

  test('the maps grow past their capacity', async () => {
    const generation = async () =>
      (await hosts.a.json<{ dataplane: { generation: number } }>('status')).dataplane.generation;
    const before = await generation();
    const [revisionA, revisionB] = [await hosts.a.applied(), await hosts.b.applied()];
    for (let n = 0; n < 5_000; n++) {
      const low = `${(n >> 8).toString(16).padStart(2, '0')}:${(n & 255).toString(16).padStart(2, '0')}`;
      hosts.table.ports[`bulk-${n}`] = {
        network: 'blue',
        mac: `02:00:00:01:${low}`,
        ips: [`10.2.${n >> 8}.${n & 255}`],
        at: [{ node: 'host-c' }],
      };
    }
    await hosts.writeTable();
    await Promise.all([hosts.a.appliedAfter(revisionA, 60_000), hosts.b.appliedAfter(revisionB, 60_000)]);
    expect(await generation()).toBeGreaterThan(before);
    await nothingLost();
  });

  test('the moved port itself: no request sent after both daemons report the revision is lost', async () => {
    // The same guest waits on host-a as well: its other place after a live migration.
    const { mac, ip4, ip6 } = addresses(20);
    const twin = await hosts.lab.guest(hosts.hosts.a, 'twin', 'gb', { mac, addresses: [`${ip4}/24`, `${ip6}/64`] });
    const [beforeA, beforeB] = [await hosts.a.applied(), await hosts.b.applied()];
    hosts.table.ports.gb!.at = [{ node: 'host-a', interface: 'gb' }];
    await hosts.writeTable();
    await Promise.all([hosts.a.appliedAfter(beforeA), hosts.b.appliedAfter(beforeB)]);
    const inForce = Date.now() / 1_000;
    const received = async () => {
      const { stdout } = await twin.run(['ip', '-s', '-j', 'link', 'show', 'dev', 'eth0']);
      return (JSON.parse(stdout) as [{ stats64: { rx: { packets: number } } }])[0].stats64.rx.packets;
    };
    await expect.poll(received, { timeout: 30_000 }).toBeGreaterThan(100);
    await stream.stop();
    expect(stream.lostAfter(inForce)).toEqual([]);
    // And back.
    const [againA, againB] = [await hosts.a.applied(), await hosts.b.applied()];
    hosts.table.ports.gb!.at = [{ node: 'host-b', interface: 'gb' }];
    await hosts.writeTable();
    await Promise.all([hosts.a.appliedAfter(againA), hosts.b.appliedAfter(againB)]);
    expect(await ping(a.namespace, b.ip4)).toMatchObject({ sent: 3, received: 3 });
  });

  test('a build with another layout version takes over', async () => {
    const copy = await mkdtemp(join(tmpdir(), `${hosts.lab.prefix}-layout-`));
    try {
      await otherLayout(copy);
      for (const one of [hosts.a, hosts.b]) {
        await one.stop();
        // The copy has this checkout's addon, whose tables of buckets are made for this checkout's struct mw_port.
        const config = await readFile(one.config, 'utf8');
        await writeFile(one.config, config.replace(/^layout: .*$/m, 'layout: hash'));
        one.launcher = join(copy, 'bin/mapwire');
        await one.run();
        expect((await one.pinned()).some((path) => path.includes(`/mw${LAYOUT_VERSION + 1}_port`))).toBe(true);
        expect((await one.pinned()).some((path) => path.includes(`/mw${LAYOUT_VERSION}_port`))).toBe(false);
      }
      await pause(100);
      for (const one of [hosts.a, hosts.b]) {
        await one.stop();
        one.launcher = undefined;
        await one.run();
        expect((await one.pinned()).some((path) => path.includes(`/mw${LAYOUT_VERSION + 1}_port`))).toBe(false);
      }
      await nothingLost();
    } finally {
      await rm(copy, { recursive: true, force: true });
    }
  });
});

/** Builds this checkout with layout version 2, in which a port's entry has grown, into `folder`. */
async function otherLayout(folder: string): Promise<void> {
  for (const part of ['package.json', 'tsconfig.json', 'src', 'bpf', 'bin']) {
    await cp(join(root, part), join(folder, part), { recursive: true });
  }
  for (const part of ['node_modules', 'build']) await symlink(join(root, part), join(folder, part));
  const types = join(folder, 'bpf/types.h');
  const text = await readFile(types, 'utf8');
  const changed = text
    .replace(`#define MW_LAYOUT_VERSION ${LAYOUT_VERSION}`, `#define MW_LAYOUT_VERSION ${LAYOUT_VERSION + 1}`)
    .replace('struct mw_port {\n', 'struct mw_port {\n\t__u64 pad_epoch;\n');
  expect(changed.match(new RegExp(`pad_epoch|VERSION ${LAYOUT_VERSION + 1}`, 'g'))).toHaveLength(2);
  await writeFile(types, changed);
  const tsconfig = join(folder, 'tsconfig.json');
  await writeFile(tsconfig, (await readFile(tsconfig, 'utf8')).replace(/"include": \[[^\]]*\]/, '"include": ["src"]'));
  const tsc = [process.execPath, join(root, 'node_modules/typescript/bin/tsc'), '-p', folder];
  await run(tsc, { cwd: folder, timeout: 120_000 });
  await run([process.execPath, join(folder, 'dist/src/bintools/main.js'), 'generate'], { cwd: folder });
  await run(tsc, { cwd: folder, timeout: 120_000, check: false });
}
