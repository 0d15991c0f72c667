/**
 * What the programs cost a packet: nanoseconds by kernel.bpf_stats_enabled (which adds about 20 of its own), and packets a second
 * along veth -> HERE -> veth -> XDP drop, of live frames through a real, pinned data plane. Variants are measured in turn, in one run.
 *
 *   node dist/bench/program-cost.js [--entries 1,1000000] [--hook xdp,tc] [--rounds 7] [--frames 300000] [--direction encap,decap] [NAME=CHECKOUT[,KEY=VALUE…] …]
 *
 * CHECKOUT is a built checkout with this tool in it ('.' by default); KEY=VALUE are options of its data plane. Root.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { packageRoot } from '../src/bintools/package-root.ts';
import { compileBpf } from '../src/bintools/tools/llvm.ts';
import { Link, Program } from '../src/libbpf/index.ts';
import { Lab, type Namespace } from '../test/support/hosts.ts';
import type { Background } from '../test/support/process.ts';
import { run } from '../test/support/process.ts';
import type { EndCommand } from './program-cost-end.ts';
import { inward, NODES, outward } from './program-cost-frames.ts';

interface Variant {
  readonly name: string;
  readonly root: string;
  readonly options: Record<string, string>;
}

type Direction = 'encap' | 'decap';

/** A process that answers JSON lines. */
class Worker {
  readonly #process: Background;
  #seen = 0;

  constructor(host: Namespace, root: string, file: string) {
    this.#process = host.start([process.execPath, join(root, 'dist', 'bench', file)], { cwd: root });
  }

  async ask<T>(command: unknown): Promise<T> {
    this.#process.child.stdin!.write(`${JSON.stringify(command)}\n`);
    for (let i = 0; i < 40_000; i++) {
      const end = this.#process.stdout.indexOf('\n', this.#seen);
      if (end >= 0) {
        const line = this.#process.stdout.slice(this.#seen, end);
        this.#seen = end + 1;
        return JSON.parse(line) as T;
      }
      if (!this.#process.running) break;
      await new Promise((done) => setTimeout(done, 5));
    }
    throw new Error(`no answer: ${this.#process.stderr}`);
  }

  /** Waits for its end. */
  async close(): Promise<void> {
    this.#process.child.stdin!.end();
    await this.#process.exit();
  }
}

interface Sample {
  readonly ns: number;
  readonly mpps: number;
  /** Runs of the program for each frame sent. */
  readonly runs: number;
}

/** A host between a guest and another node. */
class Scene {
  readonly title: string;
  readonly #pinDir: string;
  readonly #ends: Record<Direction, Worker>;
  readonly #devices: Record<Direction, string>;
  readonly #hook: string;
  readonly #plane: Worker | undefined;

  private constructor(
    title: string,
    pinDir: string,
    ends: Record<Direction, Worker>,
    devices: Record<Direction, string>,
    hook: string,
    plane: Worker | undefined,
  ) {
    this.title = title;
    this.#pinDir = pinDir;
    this.#ends = ends;
    this.#devices = devices;
    this.#hook = hook;
    this.#plane = plane;
  }

  static async build(lab: Lab, object: string, hook: string, entries: number, variant?: Variant): Promise<Scene> {
    const tag = `${hook}${entries}${variant?.name ?? ''}`;
    const [host, guest, peer] = [
      await lab.namespace(`${tag}h`),
      await lab.namespace(`${tag}g`),
      await lab.namespace(`${tag}p`),
    ];
    await host.ip(`link add p1 type veth peer name g1 netns ${guest.name}`, 'link set p1 up');
    await guest.ip('link set g1 up');
    await host.ip(
      `link add eth0 address ${NODES.a.mac} type veth peer name eth0 address ${NODES.b.mac} netns ${peer.name}`,
      `addr add ${NODES.a.ip}/24 dev eth0`,
      'link set eth0 up',
    );
    await peer.ip(`addr add ${NODES.b.ip}/24 dev eth0`, 'link set eth0 up');
    for (const device of ['p1', 'eth0']) await host.offload(device, { gro: 'on' });
    const root = packageRoot();
    const ends = {
      encap: new Worker(guest, root, 'program-cost-end.js'),
      decap: new Worker(peer, root, 'program-cost-end.js'),
    };
    for (const [direction, namespace, device] of [
      ['encap', guest, 'g1'],
      ['decap', peer, 'eth0'],
    ] as const) {
      const ifindex = await indexOf(namespace, device);
      const end = ends[direction];
      const { macAt, ipAt } = direction === 'encap' ? outward() : inward();
      const load: EndCommand = { op: 'load', object, ifindex, macAt, ipAt, entries };
      await end.ask({ op: 'drop', object, ifindex } satisfies EndCommand);
      await end.ask(load);
    }
    const pinDir = `/sys/fs/bpf/${lab.prefix}${tag}`;
    const devices = { encap: `${await indexOf(host, 'p1')}`, decap: `${await indexOf(host, 'eth0')}` };
    if (variant === undefined) {
      const forward = new Worker(host, root, 'program-cost-end.js');
      const [from, to] = [Number(devices.encap), Number(devices.decap)];
      await forward.ask({ op: 'forward', object, from, to } satisfies EndCommand);
      await forward.ask({ op: 'forward', object, from: to, to: from } satisfies EndCommand);
      return new Scene('redirect alone', '', ends, devices, 'xdp', undefined);
    }
    const plane = new Worker(host, variant.root, 'program-cost-plane.js');
    const stateDir = await lab.folder();
    const options = { pinDir, stateDir, underlay: ['eth0'], hook, ...variant.options };
    lab.atClose(async () => {
      await plane.close();
      const down = 'import(process.argv[1]).then((m) => m.Dataplane.down(JSON.parse(process.argv[2])))';
      const index = join(variant.root, 'dist/src/dataplane/index.js');
      await host.run([process.execPath, '-e', down, index, JSON.stringify({ pinDir, stateDir })]);
    });
    await plane.ask({ options, entries });
    return new Scene(`${variant.name} ${hook} ${entries}`, pinDir, ends, devices, hook, plane);
  }

  /** The program of one direction: its id may change. */
  #program(direction: Direction): Program {
    const links = join(this.#pinDir, 'links');
    const name = readdirSync(links).find((one) => one === `${this.#hook}-${this.#devices[direction]}`);
    if (name === undefined) throw new Error(`no link of ${this.#hook} in ${links}: ${readdirSync(links)}`);
    using link = Link.openPinned(join(links, name));
    return Program.fromId(link.info().programId);
  }

  async measure(direction: Direction, frames: number): Promise<Sample> {
    const frame = Buffer.from((direction === 'encap' ? outward() : inward()).bytes).toString('hex');
    const program = this.#plane === undefined ? undefined : this.#program(direction);
    const before = program?.info();
    const { seconds } = await this.#ends[direction].ask<{ seconds: number }>({ op: 'send', frame, count: frames });
    const after = program?.info();
    program?.close();
    const runs = Number((after?.runCount ?? 0n) - (before?.runCount ?? 0n));
    const time = Number((after?.runTimeNs ?? 0n) - (before?.runTimeNs ?? 0n));
    return { ns: time / runs, mpps: frames / seconds / 1e6, runs: runs / frames };
  }

  /** Instructions of the program, as the verifier made it and as the processor runs it. */
  async size(direction: Direction): Promise<string> {
    if (this.#plane === undefined) return '';
    using program = this.#program(direction);
    const { stdout } = await run(['bpftool', '-j', 'prog', 'show', 'id', `${program.id}`]);
    const { bytes_xlated, bytes_jited } = JSON.parse(stdout) as { bytes_xlated: number; bytes_jited: number };
    return `${bytes_xlated / 8} instructions, ${bytes_jited} bytes`;
  }
}

async function indexOf(host: Namespace, device: string): Promise<number> {
  const { stdout } = await host.run(['ip', '-j', 'link', 'show', device]);
  return (JSON.parse(stdout) as { ifindex: number }[])[0]!.ifindex;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1]!;
}

function variantOf(text: string): Variant {
  const [name, rest = '.'] =
    text.split('=', 2).length === 2 ? [text.slice(0, text.indexOf('=')), text.slice(text.indexOf('=') + 1)] : [text];
  const [root = '.', ...options] = rest.split(',');
  return { name: name!, root: resolve(root), options: Object.fromEntries(options.map((one) => one.split('='))) };
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    entries: { type: 'string', default: '1' },
    hook: { type: 'string', default: 'xdp,tc' },
    rounds: { type: 'string', default: '7' },
    frames: { type: 'string', default: '300000' },
    direction: { type: 'string', default: 'encap,decap' },
  },
});
const directions = values.direction.split(',') as Direction[];
const variants = (positionals.length > 0 ? positionals : ['here=.']).map(variantOf);
const lab = new Lab('mwcost');
const folder = mkdtempSync(join(tmpdir(), 'mapwire-cost-'));
const STATS = '/proc/sys/kernel/bpf_stats_enabled';
const stats = readFileSync(STATS, 'utf8');
try {
  const object = join(folder, 'cost.o');
  await compileBpf({ root: packageRoot(), source: 'bench/program-cost.bpf.c', output: object });
  const scenes: Scene[] = [await Scene.build(lab, object, 'xdp', 1)];
  for (const entries of values.entries.split(',').map(Number)) {
    for (const hook of values.hook.split(',')) {
      for (const variant of variants) scenes.push(await Scene.build(lab, object, hook, entries, variant));
    }
  }
  const costs = new Map<string, Sample[]>();
  const rates = new Map<string, Sample[]>();
  const frames = Number(values.frames);
  const add = (to: Map<string, Sample[]>, key: string, sample: Sample): void => {
    to.set(key, [...(to.get(key) ?? []), sample]);
  };
  for (let round = 0; round <= Number(values.rounds); round++) {
    for (const direction of directions) {
      for (const enabled of ['1', '0']) {
        writeFileSync(STATS, enabled);
        for (const scene of scenes) {
          const sample = await scene.measure(direction, frames);
          // The first round warms up.
          if (round > 0) add(enabled === '1' ? costs : rates, `${direction} ${scene.title}`, sample);
        }
      }
    }
  }
  console.log(
    '| path | ns a packet (spread) | Mpps (spread) | share of the ceiling | program |\n|---|---|---|---|---|',
  );
  for (const direction of directions) {
    let ceiling = 0;
    for (const scene of scenes) {
      const key = `${direction} ${scene.title}`;
      const ns = costs.get(key)!.map((one) => one.ns);
      const mpps = rates.get(key)!.map((one) => one.mpps);
      const runs = median(costs.get(key)!.map((one) => one.runs));
      if (ceiling === 0) ceiling = median(mpps);
      const spread = (list: readonly number[], digits: number): string =>
        `${median(list).toFixed(digits)} (${Math.min(...list).toFixed(digits)}–${Math.max(...list).toFixed(digits)})`;
      const share = ((100 * median(mpps)) / ceiling).toFixed(0);
      const odd =
        Number.isNaN(runs) || Math.abs(runs - 1) < 0.02 || runs === 0 ? '' : ` ${runs.toFixed(2)} runs a frame`;
      console.log(
        `| ${key} | ${ns.some(Number.isNaN) ? '' : spread(ns, 0)} | ${spread(mpps, 3)} | ${share} % | ${await scene.size(direction)}${odd} |`,
      );
    }
  }
} finally {
  writeFileSync(STATS, stats);
  await lab.close();
  rmSync(folder, { recursive: true, force: true });
}
