/** Random tables of a load class. Node a is this one. */
import { formatIp, formatMac, linkLocalOfMac, parseMac } from '../../src/table/address.ts';
import type { LoadClass } from './packet-random-classes.ts';
import type { Random } from './random.ts';
import type { AddressObject, NetworkObject, NodeObject, PortObject, TableObject } from './table-object.ts';

const NODE_NAMES = ['a', 'b', 'c', 'd', 'e'] as const;
/** The table asks for it where it has IPv6. */
const SMALLEST_IPV6_MTU = 1280;
const REGIONS = ['north', 'south'] as const;
const IP_ONLY: readonly (string | undefined)[] = ['vxlan-gpe', 'lisp'];
const CARRY_TAGS: readonly (string | undefined)[] = ['vxlan', 'geneve', 'gre'];

export function macOf(n: number): string {
  return formatMac(0x0200_0000_0000 + n);
}

export function randomTableObject(random: Random, loadClass: LoadClass): TableObject {
  const nodes = randomNodes(random, loadClass);
  const networks = randomNetworks(random, loadClass);
  const ports = randomPorts(random, loadClass, nodes, networks);
  return { nodes, networks, ports, addresses: randomAddresses(random, loadClass, networks, ports) };
}

function randomNodes(random: Random, { underlay, lean }: LoadClass): Record<string, NodeObject> {
  const count = random.between(2, NODE_NAMES.length);
  const nodes: Record<string, NodeObject> = {
    a: { underlay, mtu: random.pick([1500, 9000]), ...randomState(random), region: random.pick(REGIONS) },
  };
  for (let i = 1; i < count; i++) {
    const [ip4, ip6] = [`192.0.2.${i + 1}`, `2001:db8::${i + 1}`];
    const lists = lean === true ? [[ip4]] : [[ip4], [ip6], [ip4, ip6], [ip6, ip4]];
    const foreign = random.chance(0.35);
    nodes[NODE_NAMES[i]!] = {
      // what this node cannot reach is of no use to it
      underlay: random.pick(lists.filter((list) => list.some((ip) => underlay.some((own) => isV6(own) === isV6(ip))))),
      ...(random.chance(0.5) && { mtu: random.pick([1400, 1500, 9000]) }),
      ...(foreign && { kind: 'foreign', guard: random.pick(['full', 'open', 'off'] as const) }),
      ...(lean !== true &&
        random.chance(0.4) && { 'udp6-checksum': random.pick(['auto', 'zero', 'computed', 'computed'] as const) }),
      ...randomState(random),
      ...(random.chance(0.5) && { region: random.pick(REGIONS) }),
    };
  }
  return nodes;
}

/** What the table says; an environment may say something else. */
function randomState(random: Random): Pick<NodeObject, 'state'> {
  return random.chance(0.2) ? { state: random.pick(['up', 'down', 'drain'] as const) } : {};
}

function isV6(address: string): boolean {
  return address.includes(':');
}

function randomNetworks(random: Random, loadClass: LoadClass): Record<string, NetworkObject> {
  const { encaps, lean } = loadClass;
  const networks: Record<string, NetworkObject> = {};
  const more = lean === true ? random.below(3) : random.below(2);
  const list = [...encaps, ...Array.from({ length: more }, () => random.pick(encaps))];
  let transparent = loadClass.transparent;
  let group = loadClass.group;
  for (const [i, encap] of list.entries()) {
    const segment = 100 * (i + 1) + random.below(50);
    const canCarryTags = loadClass.transparent && CARRY_TAGS.includes(encap);
    const canHaveGroup = loadClass.group !== undefined && encap !== 'flat';
    const multicast = canHaveGroup && (group !== undefined || random.chance(0.3));
    const vlan = canCarryTags && (transparent || random.chance(0.4)) ? 'transparent' : 'drop';
    if (canCarryTags) transparent = false;
    if (canHaveGroup) group = undefined;
    networks[`n${i}`] = {
      encap,
      // a second flat network is another VLAN
      ...(encap === 'flat'
        ? i < encaps.length && random.chance(0.5)
          ? {}
          : { segment }
        : { segment: encap === 'gre' && random.chance(0.5) ? 0xf000_0000 + segment : segment }),
      ...(random.chance(0.7) && { mtu: random.pick([600, 1280, 1320, 1330, 3000]) }),
      flood: multicast ? 'multicast' : random.chance(0.78) ? 'replicate' : 'none',
      ...(multicast && {
        group: loadClass.group === 4 ? `239.1.1.${random.between(1, 3)}` : `ff05::${random.between(1, 3)}`,
      }),
      unknown: lean !== true && !IP_ONLY.includes(encap) && random.chance(0.3) ? 'flood' : 'drop',
      vlan,
      'link-local': random.chance(0.6) ? 'any' : 'eui64',
    };
  }
  return networks;
}

/** Nodes that a network may be on: they all reach each other, and its group. */
function nodesFor(random: Random, nodes: Readonly<Record<string, NodeObject>>, network: NetworkObject): string[] {
  const has = (id: string, v6: boolean) => [nodes[id]!.underlay].flat().some((ip) => isV6(ip) === v6);
  const families = [false, true].filter(
    (v6) => has('a', v6) && (network.group === undefined || isV6(network.group) === v6),
  );
  const v6 = random.pick(families);
  return Object.keys(nodes).filter((id) => network.encap === 'flat' || has(id, v6));
}

function randomPorts(
  random: Random,
  { lean }: LoadClass,
  nodes: Readonly<Record<string, NodeObject>>,
  definitions: Readonly<Record<string, NetworkObject>>,
): Record<string, PortObject> {
  const networks = Object.keys(definitions);
  const places = new Map(networks.map((id) => [id, nodesFor(random, nodes, definitions[id]!)]));
  const ports: Record<string, PortObject> = {};
  const taken = new Set<string>();
  const shared = new Map<string, number>();
  // one segment for each network and node
  const overrides = new Map<string, number>();
  for (const [i, network] of networks.entries()) {
    if (definitions[network]!.encap === 'flat') continue;
    for (const [j, node] of Object.keys(nodes).entries())
      if (random.chance(0.2)) overrides.set(`${network} ${node}`, 1000 + 10 * i + j);
  }
  const count = networks.length + random.between(3, 10);
  for (let i = 0; i < count; i++) {
    // one port here in every network, then anything
    const network = networks[i < networks.length ? i : random.below(networks.length)]!;
    const definition = definitions[network]!;
    const ipOnly = IP_ONLY.includes(definition.encap);
    const mac = freeName(taken, network, () => macOf(random.below(24)));
    const ips: string[] = [];
    while ((ipOnly && ips.length === 0) || (random.chance(0.8) && ips.length < 3))
      ips.push(freeName(taken, network, () => `10.0.${networks.indexOf(network)}.${random.between(1, 120)}`));
    const ip6 = lean !== true && (definition.mtu ?? SMALLEST_IPV6_MTU) >= SMALLEST_IPV6_MTU;
    while (ip6 && random.chance(0.6) && ips.length < 5) ips.push(freeName(taken, network, () => randomIp6(random)));
    const macs: string[] = [];
    while (lean !== true && random.chance(0.2) && macs.length < 2) {
      const other = macOf(64 + random.below(6));
      const sharers = shared.get(`${network} ${other}`) ?? 0;
      if (sharers >= 4 || macs.includes(other)) break;
      shared.set(`${network} ${other}`, sharers + 1);
      macs.push(other);
    }
    const allow = ['10.9.0.0/16', '10.9.3.0/24', '0.0.0.0/0', 'fd99::/64', 'fe80::/10', '::/0'].filter(
      (prefix) => lean !== true && !ipOnly && (ip6 || !isV6(prefix)) && random.chance(0.08),
    );
    const role = random.pick(['router', 'dhcp', undefined, undefined] as const);
    const at = randomLocators(
      random,
      i < networks.length ? ['a'] : places.get(network)!,
      network,
      overrides,
      nodes.a!.region!,
    );
    const target =
      lean === true || definition.encap === 'flat' ? undefined : random.pick([...places.get(network)!, 'a']);
    const announced = definition.flood !== 'none' && !ipOnly;
    const segment = overrides.get(`${network} ${target}`);
    const moves =
      target !== undefined && at.length < 4 && at.every(({ node }) => node !== target) && random.chance(0.6);
    ports[`p${i}`] = {
      network,
      mac,
      macs,
      ips,
      allow,
      ...(role !== undefined && { role }),
      ...(random.chance(0.12) && { state: random.pick(['down', 'drain'] as const) }),
      ...((moves || (lean !== true && random.chance(0.2))) && { sequence: random.between(1, 9) }),
      at,
      ...(moves && {
        move: {
          to: { node: target, ...(segment !== undefined && { segment }) },
          send: random.pick(['old', 'new', 'both', 'both'] as const),
          activate: announced && random.chance(0.7) ? 'announcement' : 'table',
        },
      }),
    };
  }
  return ports;
}

/** Balanced addresses of some of the networks that carry Ethernet. */
function randomAddresses(
  random: Random,
  { lean }: LoadClass,
  networks: Readonly<Record<string, NetworkObject>>,
  ports: Readonly<Record<string, PortObject>>,
): Record<string, AddressObject> {
  const addresses: Record<string, AddressObject> = {};
  for (const [i, network] of Object.keys(networks).entries()) {
    const { encap, mtu } = networks[network]!;
    if (lean === true || IP_ONLY.includes(encap)) continue;
    for (let j = 0; j < 2 && random.chance(0.55); j++) {
      const left = Object.keys(ports).filter((id) => ports[id]!.network === network);
      const members: AddressObject['members'][number][] = [];
      const count = random.between(1, 5);
      while (members.length < count && left.length > 0) {
        const [port] = left.splice(random.below(left.length), 1) as [string];
        members.push({
          port,
          weight: random.pick([1, 1, 1, 2, 7]),
          priority: random.pick([1, 1, 1, 2, 3]),
          state: random.chance(0.12) ? 'down' : 'up',
        });
      }
      const ip6 = (mtu ?? SMALLEST_IPV6_MTU) >= SMALLEST_IPV6_MTU;
      addresses[`b${i}${j}`] = {
        network,
        mac: macOf(0xa0 + 2 * i + j),
        ips: [`10.0.${i}.${200 + j}`, ...(ip6 ? [`fd00::b${j}`] : [])].filter(() => random.chance(0.85)),
        affinity: random.chance(0.6) ? 'flow' : 'source',
        prefer: random.pick(['none', 'local', 'region'] as const),
        members,
      };
    }
  }
  return addresses;
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
  region: string,
): PortObject['at'] {
  const left = [...nodes];
  // The region of this node, which is somebody's always.
  const names = [...nodes, 'a', `region:${region}`];
  const at: PortObject['at'][number][] = [];
  const count = random.chance(0.75) ? 1 : random.between(2, 4);
  while (at.length < count && left.length > 0) {
    const [node] = left.splice(random.below(left.length), 1) as [string];
    const segment = overrides.get(`${network} ${node}`);
    at.push({
      node,
      priority: random.pick([1, 1, 1, 2, 2, 3, 255]),
      ...(segment !== undefined && { segment }),
      ...(random.chance(0.15) && { for: [random.pick(names)] }),
      ...(random.chance(0.2) && { prefer: [random.pick(names)] }),
    });
  }
  return at;
}
