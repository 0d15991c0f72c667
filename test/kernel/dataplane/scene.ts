import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { DataplaneOptions } from '../../../src/dataplane/index.ts';
import { LAYOUT_VERSION } from '../../../src/generated/layout.ts';
import { Link } from '../../../src/libbpf/index.ts';
import { Lab, type Namespace } from '../../support/hosts.ts';
import { Plane } from '../../support/plane.ts';
import { run } from '../../support/process.ts';
import type { TableObject } from '../../support/table-object.ts';

/** Host `a` of the table in its own namespace with two guests, a neighbour `b` at the other end of the underlay. */
export class Scene {
  readonly lab: Lab;
  readonly host: Namespace;
  readonly peer: Namespace;
  readonly pinDir: string;
  readonly stateDir: string;
  readonly #workers: Plane[] = [];

  private constructor(lab: Lab, host: Namespace, peer: Namespace, stateDir: string) {
    this.lab = lab;
    this.host = host;
    this.peer = peer;
    this.stateDir = stateDir;
    this.pinDir = `/sys/fs/bpf/${lab.prefix}`;
  }

  static async create(): Promise<Scene> {
    const lab = new Lab('mwdp');
    const host = await lab.namespace('a');
    const peer = await lab.namespace('b');
    await host.ip(`link add eth0 address 02:fe:00:00:00:01 type veth peer name eth0 netns ${peer.name}`);
    await host.ip('addr add 192.0.2.1/24 dev eth0', 'link set eth0 up');
    await peer.ip('link set eth0 address 02:fe:00:00:00:02', 'addr add 192.0.2.2/24 dev eth0', 'link set eth0 up');
    const scene = new Scene(lab, host, peer, await lab.folder());
    lab.atClose(() => scene.clear());
    await scene.guest('p1');
    await scene.guest('p2');
    return scene;
  }

  /** A veth whose other end is with the peer, where it says nothing of its own accord (no solicitation of routers). */
  async guest(device: string): Promise<void> {
    await this.host.ip(`link add ${device} type veth peer name g-${device} netns ${this.peer.name}`);
    await this.peer.sysctl({ [`net.ipv6.conf.g-${device}.disable_ipv6`]: 1 });
    await this.peer.ip(`link set g-${device} up`);
    await this.host.ip(`link set ${device} up`);
  }

  get options(): DataplaneOptions {
    return { pinDir: this.pinDir, stateDir: this.stateDir, underlay: ['eth0'] };
  }

  /** A worker in the host's namespace; ends with the test at the latest. */
  worker(through?: readonly string[]): Plane {
    const plane = new Plane(this.host, through);
    this.#workers.push(plane);
    return plane;
  }

  /** Ends what a failed test left running, and takes the instance down. */
  async reset(): Promise<void> {
    for (const { process } of this.#workers.splice(0)) if (process.running) await process.stop();
    await this.down();
  }

  /** Opens, applies, waits for next hops, closes. Returns the report of `apply`. */
  async settle(table: TableObject, options: Partial<DataplaneOptions> = {}): Promise<Report> {
    const plane = this.worker();
    await plane.open({ ...this.options, ...options });
    const report = await plane.ask<Report>('apply', { table });
    await plane.ask('hops');
    await plane.close();
    return report;
  }

  async down(): Promise<Record<string, number>> {
    const plane = this.worker();
    const report = await plane.ask<Record<string, number>>('down', { options: this.options });
    plane.process.child.stdin?.end();
    await plane.ended();
    return report;
  }

  /** Generation folders, rising. */
  generations(): string[] {
    return existsSync(this.pinDir)
      ? readdirSync(this.pinDir)
          .filter((name) => /^g\d+$/.test(name))
          .sort()
      : [];
  }

  mapPath(map: string, generation = this.generations().at(-1)): string {
    return join(this.pinDir, generation ?? 'none', 'maps', `mw${LAYOUT_VERSION}_${map}`);
  }

  /** A dump by bpftool: entries as text, sorted. */
  async dumpMap(map: string): Promise<string[]> {
    const { stdout } = await run(['bpftool', '-j', 'map', 'dump', 'pinned', this.mapPath(map)]);
    return (JSON.parse(stdout) as unknown[]).map((entry) => JSON.stringify(entry)).sort();
  }

  /** All maps that apply writes, as bpftool sees them. */
  async dumpAll(): Promise<Record<string, string[]>> {
    const maps: Record<string, string[]> = {};
    for (const map of ENTRY_MAPS) maps[map] = await this.dumpMap(map);
    return maps;
  }

  /** What the pinned links hold: program id by `xdp p1` or `tc eth0`. */
  async attached(): Promise<Record<string, number>> {
    const names = new Map(
      (JSON.parse((await this.host.run(['ip', '-j', 'link'])).stdout) as { ifindex: number; ifname: string }[]).map(
        (link) => [link.ifindex, link.ifname],
      ),
    );
    const found: Record<string, number> = {};
    for (const name of existsSync(`${this.pinDir}/links`) ? readdirSync(`${this.pinDir}/links`) : []) {
      using link = Link.openPinned(`${this.pinDir}/links/${name}`);
      const { ifindex, programId, kind } = link.info();
      found[`${kind === 'tcx' ? 'tc' : kind} ${names.get(ifindex)}`] = programId;
    }
    return found;
  }

  /** Ids of the kernel objects that the pin directory holds. */
  held(): { links: number[]; programs: number[] } {
    const links = readdirSync(`${this.pinDir}/links`).map((name) => {
      using link = Link.openPinned(`${this.pinDir}/links/${name}`);
      return link.info();
    });
    return { links: links.map((link) => link.id), programs: links.map((link) => link.programId) };
  }

  /** Whatever a test left. */
  async clear(): Promise<void> {
    if (!existsSync(this.pinDir)) return;
    await this.reset();
  }

  async close(): Promise<void> {
    await this.lab.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

export interface Report {
  readonly writes: Record<string, number>;
  readonly total: number;
  readonly generation: number;
  readonly switched?: string;
}

export const ENTRY_MAPS = [
  'ip4',
  'ip6',
  'mac',
  'source_mac',
  'allow4',
  'allow6',
  'port',
  'network',
  'segment',
  'vtep',
  'node',
  'link',
  'local',
  'dev',
  'flood',
  'balance',
  'meta',
];

/** Two local ports, `count` ports on host b, one network. */
export function twoHosts(count = 3): TableObject & { mapwire: 1 } {
  const ports: Record<string, TableObject['ports'][string]> = {
    'web-1': {
      network: 'blue',
      mac: '02:00:00:00:00:01',
      ips: ['10.1.0.1', 'fd00:1::1'],
      allow: ['10.9.0.0/24'],
      at: [{ node: 'a', interface: 'p1' }],
    },
    'web-2': {
      network: 'blue',
      mac: '02:00:00:00:00:02',
      macs: ['02:00:00:00:aa:01'],
      ips: ['10.1.0.2'],
      at: [{ node: 'a', interface: 'p2' }],
    },
  };
  for (let i = 0; i < count; i++) {
    const [high, low] = [(i >> 8) & 255, i & 255];
    const hex = (byte: number): string => byte.toString(16).padStart(2, '0');
    ports[`far-${i}`] = {
      network: 'blue',
      mac: `02:00:00:01:${hex(high)}:${hex(low)}`,
      ips: [`10.2.${high}.${low}`],
      at: [{ node: 'b' }],
    };
  }
  return {
    mapwire: 1,
    nodes: { a: { underlay: '192.0.2.1' }, b: { underlay: '192.0.2.2' } },
    networks: { blue: { segment: 5001 } },
    ports,
  };
}
