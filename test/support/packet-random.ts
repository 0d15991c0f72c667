/** Random tables, environments and frames for the differential test. Everything follows from a seed. */

import type { Fault } from '../../src/simulator/types.ts';
import { formatIp, formatMac, linkLocalOfMac, parseMac } from '../../src/table/address.ts';
import type { Table, TablePort } from '../../src/table/model.ts';
import { environmentOf, type Scene, type SceneDevice } from './scene.ts';
import { type TableObject, tableOf } from './table-object.ts';

/** A stream of numbers from a text seed: FNV-1a into xorshift. */
export class Random {
  #state: number;

  constructor(seed: string) {
    let hash = 0x811c9dc5;
    for (const character of seed) hash = Math.imul(hash ^ character.codePointAt(0)!, 0x01000193);
    this.#state = hash | 1;
    for (let i = 0; i < 8; i++) this.#next();
  }

  #next(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return x >>> 0;
  }

  /** 0 ≤ n < limit */
  below(limit: number): number {
    return Math.floor((this.#next() / 0x1_0000_0000) * limit);
  }

  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  chance(probability: number): boolean {
    return this.#next() / 0x1_0000_0000 < probability;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }
}

/** Which constants the programs are loaded with: few sets, because a load takes long. */
export const LOAD_CLASSES = ['full', 'open', 'lean'] as const;
export type LoadClass = (typeof LOAD_CLASSES)[number];

/** What the frames of one table are run in. */
export interface RandomWorld {
  readonly scene: Scene;
  readonly table: Table;
  readonly environment: ReturnType<typeof environmentOf>;
  readonly loadClass: LoadClass;
}

export const DEVICES = 12;
/** The table asks for it where it has IPv6. */
const SMALLEST_IPV6_MTU = 1280;
const SELF_MAC = '02:00:00:00:aa:00';
const OTHER_MAC = '02:00:00:00:aa:01';
const NODE_NAMES = ['a', 'b', 'c', 'd', 'e'] as const;

function macOf(n: number): string {
  return formatMac(0x0200_0000_0000 + n);
}

/** A table with `lean` has nothing that a feature switch could take out. */
function randomTableObject(random: Random, lean: boolean): TableObject {
  const nodeCount = random.between(2, NODE_NAMES.length);
  const nodes: Record<string, { underlay: string[]; mtu?: number }> = {};
  for (let i = 0; i < nodeCount; i++) {
    // this node's own addresses are constants of the programs: the same in every table
    const ip6 = !lean && i > 0 && random.chance(0.25) ? [`2001:db8::${i + 1}`] : [];
    nodes[NODE_NAMES[i]!] = {
      underlay: [`192.0.2.${i + 1}`, ...ip6],
      ...(random.chance(0.5) && { mtu: random.pick([1400, 1500, 9000]) }),
    };
  }
  const networks: Record<string, TableObject['networks'][string]> = {};
  const networkCount = random.between(1, 3);
  for (let i = 0; i < networkCount; i++) {
    networks[`n${i}`] = {
      segment: 100 * (i + 1) + random.below(50),
      ...(random.chance(0.7) && { mtu: random.pick([600, 1280, 1400, 1450, 3000]) }),
      flood: random.chance(0.75) ? 'replicate' : 'none',
      unknown: !lean && random.chance(0.3) ? 'flood' : 'drop',
      'link-local': random.chance(0.6) ? 'any' : 'eui64',
    };
  }
  return { nodes, networks, ports: randomPorts(random, lean, Object.keys(nodes), networks) };
}

function randomPorts(
  random: Random,
  lean: boolean,
  nodes: readonly string[],
  definitions: TableObject['networks'],
): TableObject['ports'] {
  const networks = Object.keys(definitions);
  const ports: Record<string, TableObject['ports'][string]> = {};
  const taken = new Set<string>();
  const shared = new Map<string, number>();
  // one segment for each network and node
  const overrides = new Map<string, number>();
  for (const [i, network] of networks.entries()) {
    for (const [j, node] of nodes.entries())
      if (random.chance(0.2)) overrides.set(`${network} ${node}`, 1000 + 10 * i + j);
  }
  const count = random.between(4, 14);
  for (let i = 0; i < count; i++) {
    // one port here and one elsewhere in every network, then anything
    const network = networks[i % networks.length]!;
    const mac = freeName(taken, network, () => macOf(random.below(24)));
    const ips: string[] = [];
    while (random.chance(0.8) && ips.length < 3)
      ips.push(freeName(taken, network, () => `10.0.${networks.indexOf(network)}.${random.between(1, 120)}`));
    const ip6 = !lean && (definitions[network]!.mtu ?? SMALLEST_IPV6_MTU) >= SMALLEST_IPV6_MTU;
    while (ip6 && random.chance(0.6) && ips.length < 5) ips.push(freeName(taken, network, () => randomIp6(random)));
    const macs: string[] = [];
    while (!lean && random.chance(0.2) && macs.length < 2) {
      const other = macOf(64 + random.below(6));
      const sharers = shared.get(`${network} ${other}`) ?? 0;
      if (sharers >= 4 || macs.includes(other)) break;
      shared.set(`${network} ${other}`, sharers + 1);
      macs.push(other);
    }
    const allow = lean
      ? []
      : ['10.9.0.0/16', '10.9.3.0/24', '0.0.0.0/0', 'fd99::/64', 'fe80::/10', '::/0'].filter(
          (prefix) => (ip6 || !prefix.includes(':')) && random.chance(0.08),
        );
    const role = random.pick(['router', 'dhcp', undefined, undefined] as const);
    ports[`p${i}`] = {
      network,
      mac,
      macs,
      ips,
      allow,
      ...(role !== undefined && { role }),
      at: randomLocators(random, i < networks.length ? ['a'] : nodes, network, overrides),
    };
  }
  return ports;
}

function freeName(taken: Set<string>, network: string, make: () => string): string {
  for (;;) {
    const name = make();
    if (taken.has(`${network} ${name}`)) continue;
    taken.add(`${network} ${name}`);
    return name;
  }
}

function randomIp6(random: Random): string {
  const kind = random.below(4);
  if (kind === 0) return formatIp(linkLocalOfMac(parseMac(macOf(random.below(40)))!));
  if (kind === 1) return `fe80::${random.between(1, 40)}`;
  return `fd00::${random.between(1, 120).toString(16)}`;
}

function randomLocators(
  random: Random,
  nodes: readonly string[],
  network: string,
  overrides: ReadonlyMap<string, number>,
) {
  const left = [...nodes];
  const at: TableObject['ports'][string]['at'][number][] = [];
  const count = random.chance(0.75) ? 1 : random.between(2, 4);
  while (at.length < count && left.length > 0) {
    const [node] = left.splice(random.below(left.length), 1) as [string];
    const segment = overrides.get(`${network} ${node}`);
    at.push({ node, priority: random.pick([1, 1, 1, 2, 2, 3, 255]), ...(segment !== undefined && { segment }) });
  }
  return at;
}

export function randomWorld(seed: string, index: number): RandomWorld {
  const random = new Random(`${seed} table ${index}`);
  const loadClass = LOAD_CLASSES[index % LOAD_CLASSES.length]!;
  const table = tableOf(randomTableObject(random, loadClass === 'lean'));
  const devices: Record<string, SceneDevice> = {
    u0: { ...randomDevice(random), mac: SELF_MAC, is: 'underlay', mtu: 9000 },
    u1: { ...randomDevice(random), mac: OTHER_MAC, is: 'underlay', mtu: 9000 },
    spare: { ...randomDevice(random), mac: macOf(0xcc00) },
  };
  for (const port of table.ports()) {
    if (!port.at.some(({ node }) => node === 'a') || !random.chance(0.85)) continue;
    if (Object.keys(devices).length === DEVICES) break;
    devices[`d${port.id}`] = { ...randomDevice(random), mac: macOf(0xcc10), is: port.id };
  }
  const nextHops = Object.fromEntries(
    [...table.nodes.keys()].filter((node) => node !== 'a').map((node) => [node, randomHops(random)]),
  );
  const scene: Scene = { name: `random ${index}`, table, node: 'a', devices, nextHops };
  const environment = environmentOf(scene, {
    guard: loadClass === 'open' ? 'off' : random.chance(0.85) ? 'full' : 'mac',
    unknownSegment: loadClass === 'open' ? 'stack' : 'drop',
    ports: { vxlan: loadClass === 'open' ? 8472 : 4789 },
    down: [...table.nodes.keys()].filter((node) => node !== 'a' && random.chance(0.12)),
    former: randomFormers(random, table),
    faults: random.chance(0.25) ? randomFaults(random, table, devices) : [],
  });
  return { scene, table, environment, loadClass };
}

function randomDevice(random: Random): Omit<SceneDevice, 'mac'> {
  return {
    mtu: random.pick([500, 1000, 1400, 1500, 1500, 9000]),
    xdpRedirect: random.chance(0.85),
    xdpFrags: random.chance(0.7),
    partialChecksum: random.chance(0.5),
  };
}

function randomHops(random: Random): string[] {
  const hop = (): string =>
    random.chance(0.15)
      ? 'unresolved'
      : `${macOf(0xbb00 + random.below(9))}>${macOf(0xaa00)}@${random.pick(['u0', 'u1'])}`;
  return random.chance(0.2) ? [hop(), hop()] : [hop()];
}

function randomFormers(random: Random, table: Table): Record<string, { node: string; past: boolean }> {
  const formers: Record<string, { node: string; past: boolean }> = {};
  const others = [...table.nodes.keys()].filter((node) => node !== 'a');
  for (const port of table.ports()) {
    if (random.chance(0.15) && isKnown(table, port))
      formers[port.id] = { node: random.pick(others), past: random.chance(0.3) };
  }
  return formers;
}

/** Is the port in a network of which node a holds anything? */
function isKnown(table: Table, port: TablePort): boolean {
  for (const other of table.ports()) {
    if (other.network === port.network && other.at.some(({ node }) => node === 'a')) return true;
  }
  return false;
}

/** Faults of entries that are there. */
function randomFaults(random: Random, table: Table, devices: Readonly<Record<string, SceneDevice>>): Fault[] {
  const ports = [...table.ports()].filter((port) => isKnown(table, port));
  const faults: Fault[] = [];
  for (let i = random.between(1, 3); i > 0 && ports.length > 0; i--) {
    const port = random.pick(ports);
    const effect = random.pick(['missing', 'stale'] as const);
    const nodes = new Set(ports.flatMap(({ at }) => at.map(({ node }) => node)).filter((node) => node !== 'a'));
    const local = Object.entries(devices).find(([, device]) => device.is === port.id);
    const choices: Fault[] = [
      { target: 'port', key: port.id, effect: random.chance(0.3) ? 'foreign' : effect },
      { target: 'mac', key: `${port.network} ${port.mac}`, effect },
      { target: 'network', key: port.network, effect },
      ...port.ips.map((ip): Fault => ({ target: 'ip', key: `${port.network} ${ip}`, effect })),
      ...port.macs.map((mac): Fault => ({ target: 'source-mac', key: `${port.network} ${mac}`, effect })),
      ...[...nodes].map((node): Fault => ({ target: 'node', key: node, effect })),
      ...[...table.nodes.values()].map(({ underlay }): Fault => ({ target: 'vtep', key: underlay[0]!, effect })),
    ];
    if (local !== undefined) {
      choices.push({ target: 'local', key: port.id, effect: random.chance(0.3) ? 'foreign' : effect });
      choices.push({ target: 'link', key: local[0], effect });
      for (const prefix of port.allow) choices.push({ target: 'allow', key: `${port.id} ${prefix}`, effect });
    }
    const fault = random.pick(choices);
    if (!faults.some(({ target, key }) => target === fault.target && key === fault.key)) faults.push(fault);
  }
  return faults;
}
