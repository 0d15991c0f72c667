/** Random frames for a random world: built from its table, so that they get somewhere, and then often damaged. */

import type { Tag } from '../../src/simulator/types.ts';
import {
  formatIp,
  formatMac,
  linkLocalOfMac,
  macOfMulticast,
  parseIp,
  parseMac,
  solicitedNode,
} from '../../src/table/address.ts';
import type { TablePort } from '../../src/table/model.ts';
import { concat, frame } from './packet.ts';
import type { RandomWorld } from './packet-random.ts';
import { fromUnderlay } from './packet-random-underlay.ts';
import type { Random } from './random.ts';

export interface RandomPacket {
  readonly device: string;
  readonly program: 'port' | 'underlay';
  readonly frame: Uint8Array;
  /** TC. */
  readonly gsoSize: number;
  /** XDP: bytes in the first buffer; undefined: as many as fit. */
  readonly firstBuffer: number | undefined;
  /** TC: a tag beside the frame; XDP sees no such packet. */
  readonly metadataTag: Tag | undefined;
}

const BROADCAST = 'ff:ff:ff:ff:ff:ff';
const ZERO = '00:00:00:00:00:00';

export function randomPacket(random: Random, world: RandomWorld): RandomPacket {
  const underlay = random.chance(0.5);
  const device = underlay ? random.pick(['u0', 'u0', 'u1']) : randomPortDevice(random, world);
  if (!underlay && random.chance(0.08)) {
    const whole = superPacket(random, world, device);
    if (whole !== undefined) return whole;
  }
  let bytes = underlay ? fromUnderlay(random, world, device) : frame(fromPort(random, world, device));
  if (random.chance(0.22)) bytes = damage(random, bytes);
  const gsoSize = bytes.length > 600 && random.chance(0.2) ? random.pick([200, 548, 1240, 1400, 1500]) : 0;
  // outer headers and the longest options of a tunnel are in the first buffer of any driver
  const least = underlay ? 400 : 120;
  const firstBuffer =
    random.chance(0.04) && bytes.length > least + 80 ? random.between(least, bytes.length - 1) : undefined;
  return {
    device,
    program: underlay ? 'underlay' : 'port',
    frame: bytes,
    gsoSize,
    firstBuffer,
    metadataTag: metadataTag(random, world, device),
  };
}

/** A sound super-packet for a port elsewhere, the sooner the more its node asks for. */
function superPacket(random: Random, { scene, table }: RandomWorld, device: string): RandomPacket | undefined {
  const port = table.port(scene.devices[device]?.is ?? '');
  const source = port?.ips.find((ip) => !ip.includes(':'));
  if (port === undefined || source === undefined) return undefined;
  const others = [...table.ports()].filter(({ network, at }) => network === port.network && at[0]!.node !== 'a');
  const checking = others.filter(({ at }) => table.nodes.get(at[0]!.node)!.udp6Checksum !== 'zero');
  if (others.length === 0) return undefined;
  const target = random.pick(checking.length > 0 ? checking : others);
  const sum = random.chance(0.5) ? 'sum=partial' : '';
  const text = `eth ${port.mac}>${target.mac} | ip4 ${source}>10.9.9.9 df | tcp 1000>80 ${sum} | data ${random.between(700, 3300)}`;
  return {
    device,
    program: 'port',
    frame: frame(text),
    gsoSize: random.between(200, 548),
    firstBuffer: undefined,
    metadataTag: undefined,
  };
}

function metadataTag(random: Random, { scene, table }: RandomWorld, device: string): Tag | undefined {
  const port = table.port(scene.devices[device]?.is ?? '');
  const transparent = port !== undefined && table.networks.get(port.network)!.vlan === 'transparent';
  if (!random.chance(transparent ? 0.15 : 0.015)) return undefined;
  return { etherType: random.chance(0.7) ? 0x8100 : 0x88a8, tci: random.below(0x10000) };
}

function randomPortDevice(random: Random, { scene }: RandomWorld): string {
  const devices = Object.entries(scene.devices).filter(([, { is }]) => is !== undefined && is !== 'underlay');
  if (devices.length === 0 || random.chance(0.01)) return 'spare';
  return random.pick(devices)[0];
}

function fromPort(random: Random, world: RandomWorld, device: string): string {
  const port = world.table.port(world.scene.devices[device]?.is ?? '') ?? random.pick([...world.table.ports()]);
  const text = layers(random, world, port);
  const transparent = world.table.networks.get(port.network)!.vlan === 'transparent';
  return random.chance(transparent ? 0.35 : 0.03) ? tagged(random, text) : text;
}

/** One tag or more behind the MACs. */
export function tagged(random: Random, text: string): string {
  const tags = Array.from({ length: random.pick([1, 1, 1, 2, 2, 3]) }, () => tagLayer(random)).join(' | ');
  return text.replace(/^(eth \S+)([^|]*)/, (_, macs: string, words: string) => {
    const type = /type=(\S+)/.exec(words)?.[1];
    // an 802.3 length has no place behind a tag in the builder's text
    return `${macs} | ${tags}${type === undefined || type === 'len' ? ' ' : ` type=${type} `}`;
  });
}

function tagLayer(random: Random): string {
  return `vlan ${random.chance(0.5) ? random.below(4096) : random.below(0x10000)}${random.chance(0.3) ? ' tpid=0x88a8' : ''}`;
}

/** The balanced addresses of a network, as if they were ports. */
function balancedIn(world: RandomWorld, network: string): TablePort[] {
  const found = [...world.table.addresses.values()].filter((address) => address.network === network);
  return found.map(({ id, mac, ips }) => ({ id, network, mac, macs: [], ips, allow: [], at: [] }));
}

function inNetwork(world: RandomWorld, network: string): TablePort[] {
  return [...world.table.ports()].filter((port) => port.network === network);
}

/** A frame such as this port might send, or pretend to; `toHere`: to a port of this node, if possible. */
export function layers(random: Random, world: RandomWorld, port: TablePort, toHere = false): string {
  const others = inNetwork(world, port.network);
  const likely = others.filter(({ id, at }) => id !== port.id && (!toHere || at.some(({ node }) => node === 'a')));
  const balanced = balancedIn(world, port.network);
  const target =
    balanced.length > 0 && random.chance(0.25)
      ? random.pick(balanced)
      : likely.length > 0 && random.chance(0.92)
        ? random.pick(likely)
        : random.pick([...world.table.ports()]);
  const source = random.chance(0.93)
    ? port.mac
    : random.pick([
        ...port.macs,
        ...balanced.map(({ mac }) => mac),
        random.pick(others).mac,
        '02:00:00:00:00:fe',
        '03:00:00:00:00:01',
      ]);
  const kind = random.below(100);
  if (kind < 3)
    return `eth ${source}>${control(random)} ${random.pick(['type=len', 'type=0x88cc', 'type=0x8808'])} | data 46`;
  if (kind < 8)
    return `eth ${source}>${destination(random, target)} ${random.pick(['type=0x8035', 'type=0x88b5', 'type=len', 'type=0x9100'])} | data ${random.between(1, 80)}`;
  if (kind < 25) return arp(random, world, port, source, target);
  if (kind < 45) return neighbour(random, world, port, source, target);
  const macs = `eth ${source}>${destination(random, target)}`;
  return `${macs} | ${packet(random, world, port, target)}${random.chance(0.15) ? ` | pad ${random.between(1, 30)}` : ''}`;
}

function control(random: Random): string {
  return random.pick(['01:80:c2:00:00:00', '01:80:c2:00:00:0f', '01:80:c2:00:00:10', '02:00:00:00:00:01']);
}

function destination(random: Random, target: TablePort): string {
  if (random.chance(0.82)) return target.mac;
  return random.pick([BROADCAST, '01:00:5e:00:00:05', '33:33:00:00:00:01', '02:00:00:00:00:fd', ...target.macs]);
}

function ipOf(random: Random, port: TablePort, family: 4 | 6): string {
  const own = port.ips.filter((ip) => ip.includes(':') === (family === 6));
  if (own.length > 0 && random.chance(0.97)) return random.pick(own);
  if (family === 4)
    return random.pick(['10.0.0.7', '10.9.3.1', '10.9.200.1', '0.0.0.0', '224.0.0.5', '255.255.255.255']);
  const ownLinkLocal = formatIp(linkLocalOfMac(parseMac(port.mac)!));
  return random.pick([ownLinkLocal, ownLinkLocal, 'fd99::7', 'fe80::77', 'fd00::1', '::', 'ff02::fb', 'fe80::1']);
}

/** The source address: mostly the port's own. */
function sourceIp(random: Random, world: RandomWorld, port: TablePort, family: 4 | 6): string {
  const serves = (id: string) => world.table.addresses.get(id)!.members.some((member) => member.port === port.id);
  const balanced = balancedIn(world, port.network).filter(({ id }) => serves(id) || random.chance(0.1));
  if (balanced.length > 0 && random.chance(0.12)) return ipOf(random, random.pick(balanced), family);
  if (random.chance(0.9)) return ipOf(random, port, family);
  const node = random.pick([...world.table.nodes.values()]).underlay.find((ip) => ip.includes(':') === (family === 6));
  return random.pick([
    node ?? (family === 4 ? '0.0.0.0' : '::'),
    ipOf(random, random.pick([...world.table.ports()]), family),
  ]);
}

function packet(random: Random, world: RandomWorld, port: TablePort, target: TablePort): string {
  const lean = world.loadClass.lean === true;
  const family = random.chance(lean ? 0.8 : 0.5) ? 4 : 6;
  const source = sourceIp(random, world, port, family);
  const to = ipOf(random, target, family);
  const dhcp = random.chance(0.06);
  const mark = random.below(256);
  if (family === 4) {
    const options = random.chance(0.08) ? ` opts=${random.pick(['01010101', '94040000', '01'.repeat(40)])}` : '';
    const fragment = random.chance(0.08) ? random.pick([' mf', ' off=3', ' mf off=9']) : '';
    const client = dhcp && random.chance(0.4);
    return `ip4 ${client ? '0.0.0.0' : source}>${to} tos=${mark} ttl=${random.between(1, 64)} id=${random.below(65536)}${random.chance(0.5) ? ' df' : ''}${options}${fragment} | ${layer4(random, 4, dhcp ? (client ? 'udp 68>67' : 'udp 67>68') : undefined)}`;
  }
  const extensions = random.chance(0.12)
    ? `${Array.from({ length: random.between(1, 4) }, () => random.pick(['hbh', 'dstopt', 'rh', 'dstopt units=2', 'ah'])).join(' | ')} | `
    : '';
  const fragment = random.chance(0.08)
    ? `frag ${random.pick(['', 'm', 'off=3', 'm off=7'])} next=${random.pick([6, 17, 58, 60])} | `
    : '';
  const udp = dhcp ? random.pick(['udp 546>547', 'udp 547>546']) : undefined;
  return `ip6 ${source}>${to} tc=${mark} flow=${random.below(0x100000)} | ${extensions}${fragment}${layer4(random, 6, udp)}`;
}

function layer4(random: Random, family: 4 | 6, udp: string | undefined): string {
  const data = `data ${size(random)}`;
  const sum = random.chance(0.25) ? ' sum=partial' : random.chance(0.05) ? ' sum=bad' : '';
  if (udp !== undefined) return `${udp}${sum} | ${data}`;
  const ports = `${random.between(1, 65535)}>${random.pick([53, 80, 443, 4789, 6081])}`;
  switch (random.below(6)) {
    case 0:
    case 1:
      return `tcp ${ports} off=${random.pick([5, 5, 8, 15])}${sum} | ${data}`;
    case 2:
    case 3:
      return `udp ${ports}${sum} | ${data}`;
    case 4:
      return family === 4
        ? `icmp type=${random.pick([0, 3, 4, 5, 8, 11, 12, 13])} | ${data}`
        : `icmp6 type=${random.pick([1, 2, 127, 128, 129, 130, 131, 132, 143, 144])} | ${data}`;
    default:
      return data;
  }
}

function size(random: Random): number {
  if (random.chance(0.8)) return random.between(0, 120);
  return random.chance(0.7) ? random.between(480, 1700) : random.between(1700, 3300);
}

function arp(random: Random, world: RandomWorld, port: TablePort, source: string, target: TablePort): string {
  const sender = random.chance(0.85) ? ipOf(random, port, 4) : sourceIp(random, world, port, 4);
  const hardware = random.chance(0.95) ? source : target.mac;
  const wanted = random.chance(0.8) ? ipOf(random, target, 4) : sender;
  const to = random.chance(0.8) ? BROADCAST : target.mac;
  const kind = random.chance(0.8) ? 'request' : 'reply';
  const from = random.chance(0.1) ? '0.0.0.0' : sender;
  return `eth ${source}>${to} | arp ${kind} ${hardware} ${from} > ${ZERO} ${wanted}${random.chance(0.4) ? ' | pad 18' : ''}`;
}

/** Neighbour and router discovery. */
function neighbour(random: Random, world: RandomWorld, port: TablePort, source: string, target: TablePort): string {
  const from = random.chance(0.12) ? '::' : sourceIp(random, world, port, 6);
  const wanted = random.chance(0.2) ? formatIp(linkLocalOfMac(parseMac(target.mac)!)) : ipOf(random, target, 6);
  const group = solicitedNode(parseIp(wanted) as readonly [number, number, number, number]);
  const option = (type: number) => {
    if (random.chance(0.25)) return '';
    const mac = random.chance(0.9) ? source : random.pick([target.mac, ...port.macs]);
    return ` | opt ${random.chance(0.9) ? type : random.below(20)} ${mac}${random.chance(0.05) ? ` units=${random.below(3)}` : ''}`;
  };
  const hop = random.chance(0.03) ? ' hop=64' : '';
  const wrap = random.chance(0.05) ? random.pick(['hbh | ', 'frag | ', 'frag m | ', 'dstopt | ']) : '';
  switch (random.below(10)) {
    case 0:
      return `eth ${source}>33:33:00:00:00:02 | ip6 ${from}>ff02::2${hop} | ${wrap}rs${option(1)}`;
    case 1:
      return `eth ${source}>${target.mac} | ip6 ${from}>ff02::1${hop} | ${wrap}ra${option(1)}`;
    case 2:
      return `eth ${source}>${target.mac} | ip6 ${from}>${wanted}${hop} | ${wrap}redirect ${wanted} fd00::9${option(2)}`;
    case 3:
    case 4: {
      const own = random.chance(0.8) ? sourceIp(random, world, port, 6) : wanted;
      const to = random.chance(0.5) ? target.mac : '33:33:00:00:00:01';
      return `eth ${source}>${to} | ip6 ${from}>ff02::1${hop} | ${wrap}na ${own} flags=${random.pick(['0x60', '0x20', '0xa0'])}${option(2)}`;
    }
    default: {
      const to = random.chance(0.85) ? formatMac(macOfMulticast(group)) : target.mac;
      const ip = random.chance(0.95) ? formatIp(group) : wanted;
      return `eth ${source}>${to} | ip6 ${from}>${ip}${hop} | ${wrap}ns ${wanted}${option(1)}`;
    }
  }
}

/** One to three injuries: bytes, lengths, ends. Most of them to the headers. */
export function damage(random: Random, intact: Uint8Array): Uint8Array {
  let bytes: Uint8Array = intact.slice();
  for (let i = random.between(1, 3); i > 0; i--) {
    const at = random.chance(0.8) ? random.below(Math.min(bytes.length, 130)) : random.below(bytes.length);
    switch (random.below(6)) {
      case 0:
        bytes[at] = random.below(256);
        break;
      case 1:
        bytes[at] = bytes[at]! ^ (1 << random.below(8));
        break;
      case 2:
        bytes[at] = random.pick([0, 1, 0xff, 0x40, 44, 60]);
        break;
      case 3:
        bytes = bytes.slice(0, Math.max(15, random.between(Math.max(15, at), bytes.length)));
        break;
      case 4:
        bytes = concat(bytes, new Uint8Array(random.between(1, 50)).fill(random.below(256)));
        break;
      default: {
        // one field of the frame over another
        const from = random.below(Math.max(1, bytes.length - 6));
        bytes.copyWithin(at, from, from + random.pick([1, 2, 4, 6]));
      }
    }
  }
  return bytes;
}
