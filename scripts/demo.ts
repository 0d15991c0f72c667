/**
 * The main job as a demonstration: three hosts in network namespaces, two of them running Mapwire, the third nothing but
 * the kernel's bridge and VXLAN device. Traffic crosses between all of them; a port moves from one host to another while
 * a ping runs. Leaves nothing behind, whether it ends well, fails or is interrupted. Needs root and a built checkout.
 */
import { copyFile, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Lab, type Namespace, support, sweepLabs } from '../test/support/hosts.ts';
import { Mapwire } from '../test/support/mapwire.ts';
import { run } from '../test/support/process.ts';
import { datagrams, PingStream, ping, transfer } from '../test/support/traffic.ts';

const MIB = 1 << 20;
const started = performance.now();

function say(text: string): void {
  process.stdout.write(`${((performance.now() - started) / 1_000).toFixed(1).padStart(5)} s  ${text}\n`);
}

function show(text: string): void {
  process.stdout.write(`${text.replace(/^/gm, '         ').trimEnd()}\n`);
}

interface Guest {
  readonly name: string;
  readonly where: string;
  readonly ip4: string;
  readonly ip6: string;
  readonly namespace: Namespace;
}

async function demo(lab: Lab): Promise<void> {
  say('three hosts on one switch: host-a and host-b run Mapwire, host-c the kernel’s own bridge and VXLAN device');
  const wire = await lab.wire();
  const hosts: Namespace[] = [];
  for (const [index, name] of ['host-a', 'host-b', 'host-c'].entries()) {
    const host = await lab.namespace(name);
    await lab.plug(wire, host, name, `192.0.2.${index + 1}`);
    hosts.push(host);
  }
  const [a, b, c] = hosts as [Namespace, Namespace, Namespace];

  const guest = async (host: Namespace, where: string, name: string, device: string, digit: string): Promise<Guest> => {
    const last = Number.parseInt(digit, 16);
    const namespace = await lab.guest(host, name, device, {
      mac: `02:00:00:00:00:0${digit}`,
      addresses: [`10.1.0.${last}/24`, `fd00:1::${digit}/64`],
      ...(where === 'host-c' ? { mtu: 1450 } : {}),
    });
    return { name, where, ip4: `10.1.0.${last}`, ip6: `fd00:1::${digit}`, namespace };
  };
  const webA = await guest(a, 'host-a', 'web-a', 'web-a', 'a');
  const webB = await guest(b, 'host-b', 'web-b', 'web-b', 'b');
  const kernelC = await guest(c, 'host-c', 'kernel-c', 'kernel-c', 'c');
  const mover = await guest(a, 'host-a', 'mover', 'mover', 'd');
  // Where the port will move to: the same MAC and addresses wait on host-b, as after a live migration.
  const moved = await guest(b, 'host-b', 'moved', 'mover', 'd');

  await lab.kernelVtep(c, { vni: 5001, local: '192.0.2.3', peers: ['192.0.2.1', '192.0.2.2'] });
  await c.ip('link set kernel-c master br0');

  const folder = await lab.folder();
  const table = join(folder, 'table.yaml');
  await copyFile(join(support, '../../examples/three-hosts/table.yaml'), table);
  const onA = await Mapwire.start(a, { node: 'host-a', table });
  say(`host-a: ${onA.daemon?.stdout.trim().split('\n').at(-1)}`);
  const onB = await Mapwire.start(b, { node: 'host-b', table });
  say(`host-b: ${onB.daemon?.stdout.trim().split('\n').at(-1)}`);

  say('ping, IPv4 and IPv6, between every two guests');
  const guests = [webA, webB, kernelC, mover];
  for (const from of guests) {
    for (const to of guests) {
      if (from === to) continue;
      for (const address of [to.ip4, to.ip6]) {
        const { received, output } = await ping(from.namespace, address, { count: 2, interval: 0.02 });
        if (received !== 2) throw new Error(`${from.name} does not reach ${to.name} at ${address}\n${output}`);
      }
      show(`${from.name}@${from.where} -> ${to.name}@${to.where}: answered`);
    }
  }

  say('TCP, SHA-256 compared at both ends, 16 MiB there and 16 MiB back; UDP of 1 to 8,000 bytes');
  for (const [from, to] of [
    [webA, webB],
    [webA, kernelC],
    [kernelC, webB],
    [mover, webA],
  ] as const) {
    const { bytes, seconds } = await transfer(from.namespace, to.namespace, to.ip4, 16 * MIB);
    await transfer(from.namespace, to.namespace, to.ip6, 4 * MIB);
    await datagrams(from.namespace, to.namespace, to.ip4, [1, 100, 1400, 8000]);
    show(`${from.name} -> ${to.name}: verified, ${((bytes * 8) / seconds / 1e9).toFixed(2)} Gbit/s`);
  }

  say('the table is edited while a ping every 2 ms runs: the port "mover" moves from host-a to host-b');
  const stream = new PingStream(webB.namespace, mover.ip4);
  await stream.flowing();
  const text = await readFile(table, 'utf8');
  const edited = text.replace('{ node: host-a, interface: mover }', '{ node: host-b, interface: mover }');
  if (edited === text) throw new Error('the example table has no port "mover" on host-a');
  const before = await Promise.all([onA, onB].map((one) => one.applied()));
  await writeFile(`${table}.new`, edited);
  const editedAt = Date.now() / 1_000;
  await rename(`${table}.new`, table);
  await Promise.all([onA, onB].map((one, index) => one.appliedAfter(before[index] ?? 0)));
  const inForce = Date.now() / 1_000;
  await new Promise((resolve) => setTimeout(resolve, 300));
  const result = await stream.stop();
  const lost = stream.lost();
  const late = stream.lostAfter(inForce);
  show(`in force on both hosts ${Math.round((inForce - editedAt) * 1_000)} ms after the file was replaced`);
  show(`${result.sent} requests, ${result.received} answers; the window: ${lost.length} lost (${lost.length * 2} ms)`);
  show(`lost among those sent after both daemons reported the revision: ${late.length}`);
  if (late.length > 0) throw new Error('requests were lost after the move was in force');
  const there = await ping(webA.namespace, mover.ip4, { count: 2 });
  if (there.received !== 2) throw new Error('the moved port does not answer');
  const counters = await moved.namespace.run(['ip', '-s', '-j', 'link', 'show', 'dev', 'eth0']);
  const [link] = JSON.parse(counters.stdout) as [{ stats64: { rx: { packets: number } } }];
  show(`the guest on host-b has received ${link.stats64.rx.packets} packets`);

  say('what host-b’s kernel holds: the pinned maps, read with bpftool');
  for (const path of await onB.pinned()) {
    const name = path
      .split('/')
      .at(-1)
      ?.match(/^mw\d+_(port|ip4|mac)$/)?.[0];
    if (name === undefined) continue;
    const { stdout } = await run(['bpftool', '-j', 'map', 'dump', 'pinned', path]);
    const entries = JSON.parse(stdout) as { formatted?: { key: unknown; value: unknown } }[];
    show(`bpftool map dump pinned ${path}   (${entries.length} entries)`);
    for (const { formatted } of entries.slice(0, 2)) {
      if (formatted) show(`  ${JSON.stringify(formatted.key)} -> ${JSON.stringify(formatted.value).slice(0, 150)}`);
    }
  }
}

if (process.getuid?.() !== 0) {
  process.stderr.write('The demonstration makes network namespaces and loads BPF programs: run it as root.\n');
  process.exit(1);
}
for (const name of await sweepLabs()) say(`removed what an interrupted run had left: ${name}`);
const lab = new Lab();
let interrupted: NodeJS.Signals | undefined;
const stopped = new Promise<never>((_, reject) => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      interrupted ??= signal;
      reject(new Error(`interrupted by ${signal}`));
    });
  }
});
stopped.catch(() => {});
try {
  await Promise.race([demo(lab), stopped]);
  say('done; removing everything');
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = interrupted === undefined ? 1 : 130;
} finally {
  await lab.close();
}
process.exit();
