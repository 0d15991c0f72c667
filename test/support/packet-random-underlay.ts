/** Random frames from the underlay: tunnel packets of every kind for ports of this node, frames of the wire, and others. */
import { formatMac, macOfMulticast, parseIp } from '../../src/table/address.ts';
import type { TableNetwork, TablePort } from '../../src/table/model.ts';
import { concat, frame } from './packet.ts';
import { type RandomWorld, segmentHere } from './packet-random.ts';
import { layers, tagged } from './packet-random-frame.ts';
import type { Random } from './random.ts';

const ROUTER = '02:00:00:00:bb:01';
const BROADCAST = 'ff:ff:ff:ff:ff:ff';

export function fromUnderlay(random: Random, world: RandomWorld, device: string): Uint8Array {
  const mac = world.scene.devices[device]!.mac;
  if (random.chance(0.05)) return frame(`eth ${ROUTER}>${mac} | ${random.pick(NOT_TUNNELS)}`);
  if (random.chance(0.04)) return frame(probe(random, world, mac));
  const ports = [...world.table.ports()];
  const remote = ports.filter((port) => port.at.some(({ node }) => node !== 'a'));
  const port = random.pick(remote.length > 0 && random.chance(0.95) ? remote : ports);
  const network = world.table.networks.get(port.network)!;
  const text =
    network.encap === 'flat' ? onWire(random, world, port, network) : tunnel(random, world, mac, port, network);
  return random.chance(0.1) ? concat(frame(text), new Uint8Array(random.between(1, 40))) : frame(text);
}

/** A probe (section 9), mostly right. */
function probe(random: Random, world: RandomWorld, mac: string): string {
  const { table, environment } = world;
  const node = random.pick([...table.nodes.values()]);
  const here = table.nodes.get('a')!.underlay;
  const stranger = random.chance(0.1);
  const source = stranger ? '192.0.2.200' : random.pick(node.underlay);
  const v6 = isV6(source);
  const destination = here.find((ip) => isV6(ip) === v6) ?? (v6 ? '2001:db8::1' : '192.0.2.1');
  const ttl = random.chance(0.85) ? 255 : random.between(250, 254);
  const ip = v6 ? `ip6 ${source}>${destination} hop=${ttl}` : `ip4 ${source}>${destination} ttl=${ttl}`;
  const word = (value: number) => (value >>> 0).toString(16).padStart(8, '0');
  const bfd = [
    `${random.chance(0.95) ? '20' : random.pick(['00', '2f', '40'])}${random.pick(['42', '62', 'c2', 'c2', 'ca', '02', 'c8', 'c6', 'c3'])}`,
    `${random.chance(0.95) ? '03' : '00'}${random.chance(0.95) ? '18' : '19'}`,
    word(random.chance(0.95) ? random.below(0xffffffff) : 0),
    word(random.chance(0.85) ? environment.discriminator : random.below(0xffffffff)),
    ...[0, 1, 2].map(() => word(random.pick([0, 10_000, random.below(0xffffffff)]))),
  ].join('');
  const port = random.chance(0.95) ? random.between(49_152, 65_535) : 7784;
  const words = random.pick(['', '', ' sum=0', ' sum=0x1234', ' sum=partial']);
  const size = random.chance(0.9) ? '' : random.pick([' | hex 00', ' | data 8', ' | cut 60']);
  const vlan = underlayTag(random, environment.underlayVlan);
  return `eth ${ROUTER}>${random.chance(0.97) ? mac : BROADCAST}${vlan} | ${ip} | udp ${port}>7784${words} | hex ${bfd}${size}`;
}

/** A frame of a flat network, mostly with its tag. */
function onWire(random: Random, world: RandomWorld, port: TablePort, network: TableNetwork): string {
  const text = layers(random, world, port, true);
  if (random.chance(0.04)) return tagged(random, text);
  const id = random.chance(0.95) ? network.segment : random.pick([0, 1, 30, 100, 4095]);
  if (id === 0 && random.chance(0.98)) return text;
  const tci = id | (random.chance(0.2) ? 0xe000 : 0);
  return text.replace(/^(eth \S+)([^|]*)/, (_, macs: string, words: string) => {
    const type = /type=(0x\S+)/.exec(words)?.[1];
    return `${macs} | vlan ${tci}${type === undefined ? ' ' : ` type=${type} `}`;
  });
}

/** Where the sender is, and by which addresses the packet comes. */
function outerEnds(random: Random, world: RandomWorld, mac: string, port: TablePort, network: TableNetwork) {
  const { table, environment } = world;
  const nodes = [...table.nodes.values()];
  const at = port.at.filter(({ node }) => node !== 'a');
  const former = environment.former.get(port.id)?.node;
  const place = random.chance(0.85) && at.length > 0 ? random.pick(at).node : (former ?? random.pick(nodes).id);
  const here = table.nodes.get('a')!.underlay;
  const sources = table.nodes.get(place)!.underlay.filter((ip) => here.some((own) => isV6(own) === isV6(ip)));
  let source = sources.length === 0 ? here[0]! : random.pick(sources);
  const v6 = isV6(source);
  if (random.chance(0.03)) {
    source = random.pick(
      v6 ? ['2001:db8::77', '2001:db8::1', '::ffff:192.0.2.2'] : ['198.51.100.1', '192.0.2.1', '192.0.2.200'],
    );
  }
  let destination = here.find((ip) => isV6(ip) === v6)!;
  let toMac = random.chance(0.97) ? mac : random.pick([BROADCAST, '33:33:00:00:00:05', '02:00:00:00:aa:07']);
  const { group } = network;
  if (group !== undefined && isV6(group) === v6 && random.chance(0.4)) {
    destination = random.chance(0.93) ? group : v6 ? 'ff05::77' : '239.7.7.7';
    if (random.chance(0.93)) toMac = formatMac(macOfMulticast(parseIp(group)!));
  }
  if (random.chance(0.01)) destination = v6 ? '2001:db8::99' : '192.0.2.99';
  return { source, destination, toMac, v6 };
}

function tunnel(random: Random, world: RandomWorld, mac: string, port: TablePort, network: TableNetwork): string {
  const { table, environment } = world;
  const { source, destination, toMac, v6 } = outerEnds(random, world, mac, port, network);
  const from = random.chance(0.97) ? port : random.pick([...table.ports()]);
  let inner = layers(random, world, from, true);
  const transparent = network.vlan === 'transparent';
  if (random.chance(transparent ? 0.35 : 0.04)) inner = tagged(random, inner);
  const segment = random.chance(0.96) ? segmentHere(table, port) : random.pick([4242, 0, 1000, 0xffffff]);
  const words = v6 ? words6(random) : words4(random);
  const extension = v6 && random.chance(0.02) ? random.pick([' | hbh', ' | dstopt', ' | frag', ' | rh', ' | ah']) : '';
  const vlan = underlayTag(random, environment.underlayVlan);
  return `eth ${ROUTER}>${toMac}${vlan} | ${v6 ? 'ip6' : 'ip4'} ${source}>${destination}${words}${extension} | ${header(random, world, network, segment, inner)}`;
}

function underlayTag(random: Random, id: number): string {
  if (id === 0) return random.chance(0.02) ? ` | vlan ${random.pick([0, 7, 30])}` : '';
  if (random.chance(0.03)) return random.pick(['', ' | vlan 7', ` | vlan ${id} tpid=0x88a8`, ` | vlan ${id} | vlan 7`]);
  return ` | vlan ${id | (random.chance(0.2) ? 0x6000 : 0)}`;
}

function words4(random: Random): string {
  const fragment = random.chance(0.02) ? random.pick([' mf', ' off=3']) : ' df';
  const damage = random.chance(0.03) ? random.pick([' opts=01010101', ' sum=bad']) : '';
  return ` tos=${random.below(256)}${fragment}${damage}${random.chance(0.01) ? ` len=${random.below(200)}` : ''}`;
}

function words6(random: Random): string {
  const length = random.chance(0.02) ? ` len=${random.below(200)}` : '';
  return ` tc=${random.below(256)} flow=${random.below(0x100000)}${length}`;
}

function header(
  random: Random,
  { environment }: RandomWorld,
  network: TableNetwork,
  segment: number,
  inner: string,
): string {
  const packet = inner.replace(/^eth [^|]*\| /, '');
  const udp = (port: number) =>
    `udp ${random.between(1, 65535)}>${random.chance(0.98) ? port : port - 1}${random.pick([' sum=0', ' sum=0', '', ' sum=0x1234'])}${random.chance(0.02) ? ` len=${random.between(0, 120)}` : ''}`;
  const flags = (usual: number) =>
    random.chance(0.06) ? ` flags=${random.chance(0.5) ? usual ^ (1 << random.below(8)) : random.below(256)}` : '';
  const { ports } = environment;
  switch (network.encap) {
    case 'vxlan':
      return `${udp(ports.vxlan)} | vxlan ${segment}${flags(8)} | ${inner}`;
    case 'vxlan-gpe': {
      const next = random.chance(0.05) ? ` next=${random.below(6)}` : '';
      return `${udp(ports['vxlan-gpe'])} | gpe ${segment}${flags(0x0c)}${next} | ${packet}`;
    }
    case 'lisp':
      return `${udp(ports.lisp)} | lisp ${segment}${flags(8)} | ${packet}`;
    case 'geneve':
      return `${udp(ports.geneve)} | geneve ${segment}${flags(0)}${geneveWords(random)} | ${inner}`;
    default:
      return `gre${greWords(random, segment)} | ${inner}`;
  }
}

function geneveWords(random: Random): string {
  const odd = random.chance(0.04) ? random.pick([' version=1', ' proto=0x0800', ' optlen=63', ' optlen=1']) : '';
  if (!random.chance(0.3)) return odd;
  const option = () => {
    const units = random.below(4);
    const critical = random.chance(0.15) ? 0x80 : 0;
    // now and then longer than it is
    const told = random.chance(0.04) ? units + 1 : units;
    return `0102${hex(critical | random.below(0x80))}${hex(told)}${'5a'.repeat(4 * units)}`;
  };
  return `${odd} opts=${Array.from({ length: random.between(1, 4) }, option).join('')}`;
}

function greWords(random: Random, segment: number): string {
  const flags = ['c', 's'].filter(() => random.chance(0.15)).join(' ');
  const odd = random.chance(0.05)
    ? random.pick([
        ' nokey',
        ' proto=0x0800',
        ' flags=0x6000',
        ' flags=0x2001',
        ' flags=0x2800',
        ' flags=0x20f8',
        ' flags=0x3000',
      ])
    : '';
  return ` ${segment} ${flags}${odd}`;
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, '0');
}

function isV6(address: string): boolean {
  return address.includes(':');
}

const NOT_TUNNELS: readonly string[] = [
  'arp request 02:00:00:00:bb:01 192.0.2.2 > 00:00:00:00:00:00 192.0.2.1',
  'ip6 2001:db8::2>2001:db8::1 | udp 1>4788 | data 40',
  'ip6 2001:db8::2>2001:db8::1 | icmp6 type=2 word=1400 | ip6 2001:db8::1>2001:db8::2 len=300 | udp 50000>4789 len=300 sum=0 | data 60',
  'ip4 192.0.2.2>192.0.2.1 | icmp type=3 code=4 word=1400 | ip4 192.0.2.1>192.0.2.2 len=300 | udp 50000>4789 len=280 sum=0 | data 8',
  'ip4 192.0.2.2>192.0.2.1 | tcp 1>4789 | data 40',
  'ip4 192.0.2.2>192.0.2.1 | icmp | data 40',
  'ip4 192.0.2.2>192.0.2.9 | udp 1>4789 | data 40',
  'ip4 192.0.2.2>192.0.2.1 off=5 | udp 1>4789 | data 40',
  'ip4 192.0.2.2>192.0.2.1 proto=47 | hex 0000655800000000',
  'vlan 7 | ip4 192.0.2.2>192.0.2.1 | udp 1>4789 | data 40',
];
