/** Does the frame's source belong to the port it came from? packet-rules.md rules 2.6 and 2.7. */
import {
  equalIp,
  isIpv4Multicast,
  isIpv6LinkLocal,
  isIpv6Multicast,
  linkLocalOfMac,
  parseIp,
  parseMac,
} from '../table/address.ts';
import type { TablePort } from '../table/model.ts';
import type { Arp, Ethernet, Icmp, Ipv4, Ipv6, Layer3, Ports } from './parse.ts';
import { isNeighbourType } from './parse.ts';
import {
  NEIGHBOUR_ADVERTISEMENT,
  NEIGHBOUR_SOLICITATION,
  type NeighbourMessage,
  REDIRECT,
  ROUTER_ADVERTISEMENT,
  ROUTER_SOLICITATION,
  SOURCE_LINK_LAYER,
  TARGET_LINK_LAYER,
} from './parse-neighbour.ts';
import { isIp, type Run } from './run.ts';
import type { ReasonName } from './types.ts';

/** A reason to drop, or undefined: the frame may go on. */
type Objection = ReasonName | undefined;

const DHCP_SERVER = 67;
const DHCP_CLIENT = 68;
const DHCPV6_CLIENT = 546;
const DHCPV6_SERVER = 547;
const MLD_QUERY = 130;
const MLD_REPORT = 131;
const MLD_DONE = 132;
const MLD2_REPORT = 143;

/** Rule 2.6: nobody speaks with the address of a node. */
export function underlaySource(run: Run, layer3: Layer3): Objection {
  const source = layer3.kind === 'arp' ? layer3.senderIp : isIp(layer3) ? layer3.source : undefined;
  if (source === undefined || !isUnicast(source)) return undefined;
  const owner = run.world.ownerOfAddress(source);
  if (owner.state === 'stale') return 'stale';
  if (owner.state === 'missing' || owner.value.kind === 'group') return undefined;
  run.trace.note('2.6', `is ${source} the underlay address of a node?`, `of ${owner.value.node.id}`);
  return 'underlay-source';
}

/** Neither multicast nor unspecified. */
function isUnicast(text: string): boolean {
  const ip = parseIp(text)!;
  if (typeof ip === 'number') return ip !== 0 && !isIpv4Multicast(ip);
  return text !== '::' && !isIpv6Multicast(ip);
}

/** Rule 2.7. */
export function guard(run: Run, port: TablePort, ethernet: Ethernet, layer3: Layer3): Objection {
  const mode = run.world.environment.guard;
  if (mode === 'off') return undefined;
  const ownsSource = ownsMac(run, port, ethernet.source);
  run.trace.note(
    '2.7',
    `may ${port.id} send from ${ethernet.source}?`,
    ownsSource === true ? 'yes' : String(ownsSource),
  );
  if (ownsSource === 'stale') return 'stale';
  if (!ownsSource) return 'guard-mac';
  if (mode === 'mac') return undefined;
  switch (layer3.kind) {
    case 'ipv4':
      return guardIpv4(run, port, layer3);
    case 'arp':
      return guardArp(run, port, layer3);
    case 'ipv6':
      return guardIpv6(run, port, layer3);
    case 'opaque':
      return undefined;
  }
}

/** The port's `mac` or one of its `macs`. */
function ownsMac(run: Run, port: TablePort, mac: string): boolean | 'stale' {
  if (mac === port.mac) return true;
  if (port.macs.length === 0) return false;
  const shared = run.world.portsOfSourceMac(port.network, mac);
  if (shared.state === 'stale') return 'stale';
  return shared.state === 'found' && shared.value.includes(port.id);
}

/** In `ips` or `allow`, or (but for a `claim` by ARP or neighbour discovery) a balanced address that it serves. */
function ownsIp(run: Run, port: TablePort, ip: string, claim = false): boolean | 'stale' {
  const owner = run.world.portOfIp(port.network, ip);
  if (owner.state === 'stale') return 'stale';
  if (owner.state === 'found' && owner.value === port.id) {
    run.trace.note('2.7', `is ${ip} in the ips of ${port.id}?`, 'yes');
    return true;
  }
  const allowed = run.world.allowed(port, ip);
  if (allowed.state === 'stale') return 'stale';
  const found = allowed.state === 'found' ? `in ${allowed.value}` : 'no';
  run.trace.note('2.7', `is ${ip} in the ips or allow of ${port.id}?`, found);
  if (allowed.state === 'found' && claim && run.world.serves(port, ip)) {
    run.trace.note('2.7', `may ${port.id} claim ${ip}?`, 'no: it is balanced');
    return false;
  }
  return allowed.state === 'found';
}

function unless(owns: boolean | 'stale', reason: ReasonName): Objection {
  if (owns === 'stale') return 'stale';
  return owns ? undefined : reason;
}

function isUdp(ip: Ipv4 | Ipv6, sourcePort: number, destinationPort: number): boolean {
  const ports = ip.layer4 as Ports | undefined;
  return ports?.kind === 'udp' && ports.sourcePort === sourcePort && ports.destinationPort === destinationPort;
}

function guardIpv4(run: Run, port: TablePort, ip: Ipv4): Objection {
  if (ip.source === '0.0.0.0' && isUdp(ip, DHCP_CLIENT, DHCP_SERVER)) {
    run.trace.note('2.7', 'a DHCP client without an address?', 'yes');
    return undefined;
  }
  if (isUdp(ip, DHCP_SERVER, DHCP_CLIENT) && port.role !== 'dhcp') {
    run.trace.note('2.7', `may ${port.id} be a DHCP server?`, 'no');
    return 'guard-dhcp';
  }
  return unless(ownsIp(run, port, ip.source), 'guard-ip');
}

function guardArp(run: Run, port: TablePort, arp: Arp): Objection {
  const mac = unless(ownsMac(run, port, arp.senderMac), 'guard-arp');
  if (mac !== undefined) return mac;
  if (arp.senderIp === '0.0.0.0' && arp.operation === 1) {
    run.trace.note('2.7', 'an ARP probe?', 'yes');
    return undefined;
  }
  return unless(ownsIp(run, port, arp.senderIp, true), 'guard-arp');
}

function icmpv6Type(ip: Ipv6): number | undefined {
  return ip.layer4?.kind === 'icmpv6' ? (ip.layer4 as Icmp).type : undefined;
}

function guardIpv6(run: Run, port: TablePort, ip: Ipv6): Objection {
  const type = icmpv6Type(ip);
  if (ip.fragment && type !== undefined && isNeighbourType(type)) {
    run.trace.note('2.7', 'neighbour discovery in a fragment?', 'yes');
    return 'guard-nd';
  }
  if ((type === ROUTER_ADVERTISEMENT || type === REDIRECT) && port.role !== 'router') {
    run.trace.note('2.7', `may ${port.id} be a router?`, 'no');
    return 'guard-router';
  }
  if (isUdp(ip, DHCPV6_SERVER, DHCPV6_CLIENT) && port.role !== 'dhcp') {
    run.trace.note('2.7', `may ${port.id} be a DHCPv6 server?`, 'no');
    return 'guard-dhcp';
  }
  const source = guardIpv6Source(run, port, ip, type);
  if (source !== undefined) return source;
  const neighbour = ip.layer4?.kind === 'icmpv6' ? (ip.layer4 as Icmp).neighbour : undefined;
  if (neighbour === undefined) return undefined;
  if (run.world.serves(port, ip.source)) {
    run.trace.note('2.7', `neighbour discovery from ${ip.source}, which is balanced?`, 'yes');
    return 'guard-nd';
  }
  return guardNeighbour(run, port, neighbour);
}

function guardIpv6Source(run: Run, port: TablePort, ip: Ipv6, type: number | undefined): Objection {
  if (ip.source === '::') {
    const duplicateDetection = type === NEIGHBOUR_SOLICITATION && isSolicitedNode(ip.destination);
    const listener = type === MLD_REPORT || type === MLD_DONE || type === MLD2_REPORT;
    run.trace.note('2.7', 'duplicate detection or MLD from ::?', duplicateDetection || listener ? 'yes' : 'no');
    return duplicateDetection || listener ? undefined : 'guard-ip';
  }
  const address = parseIp(ip.source)!;
  if (typeof address === 'number' || !isIpv6LinkLocal(address)) return unless(ownsIp(run, port, ip.source), 'guard-ip');
  const mayUse = ownsLinkLocal(run, port, ip.source);
  if (mayUse !== false) return unless(mayUse, 'guard-ip');
  const exempt =
    isAnyLinkLocalMessage(type) || isUdp(ip, DHCPV6_CLIENT, DHCPV6_SERVER) || isUdp(ip, DHCPV6_SERVER, DHCPV6_CLIENT);
  const any = anyLinkLocal(run, port);
  run.trace.note('2.7', `link-local of any form, for ICMPv6 130–137, 143 or DHCPv6?`, any && exempt ? 'yes' : 'no');
  return any && exempt ? undefined : 'guard-ip';
}

/** ICMPv6 for which `link-local: any` accepts any link-local source (137 needs role router, checked before). */
function isAnyLinkLocalMessage(type: number | undefined): boolean {
  return type !== undefined && ((type >= MLD_QUERY && type <= REDIRECT) || type === MLD2_REPORT);
}

function anyLinkLocal(run: Run, port: TablePort): boolean {
  return run.world.table.networks.get(port.network)?.linkLocal === 'any';
}

/** The EUI-64 form of the port's own MAC, or listed in `ips` or `allow`. */
function ownsLinkLocal(run: Run, port: TablePort, ip: string): boolean | 'stale' {
  const own = linkLocalOfMac(parseMac(port.mac)!);
  if (equalIp(own, parseIp(ip)!)) {
    run.trace.note('2.7', `is ${ip} the EUI-64 link-local of ${port.mac}?`, 'yes');
    return true;
  }
  return ownsIp(run, port, ip);
}

/** ff02::1:ff00:0/104. */
export function isSolicitedNode(ip: string): boolean {
  const address = parseIp(ip)!;
  if (typeof address === 'number') return false;
  return address[0] === 0xff02_0000 && address[1] === 0 && address[2] === 1 && address[3] >>> 24 === 0xff;
}

/** Link-layer options and the target of an advertisement. */
function guardNeighbour(run: Run, port: TablePort, message: NeighbourMessage): Objection {
  const { type } = message;
  const sourceOptions =
    type === ROUTER_SOLICITATION || type === NEIGHBOUR_SOLICITATION || type === ROUTER_ADVERTISEMENT;
  const checked = sourceOptions ? SOURCE_LINK_LAYER : type === NEIGHBOUR_ADVERTISEMENT ? TARGET_LINK_LAYER : 0;
  for (const option of message.linkLayer) {
    if (option.type !== checked) continue;
    const owns = option.mac === undefined ? false : ownsMac(run, port, option.mac);
    run.trace.note(
      '2.7',
      `is the link-layer option ${option.mac ?? '(wrong length)'} a MAC of ${port.id}?`,
      String(owns),
    );
    const objection = unless(owns, 'guard-nd');
    if (objection !== undefined) return objection;
  }
  if (type !== NEIGHBOUR_ADVERTISEMENT) return undefined;
  const target = message.target!;
  const address = parseIp(target)!;
  if (typeof address === 'number' || !isIpv6LinkLocal(address)) {
    return unless(ownsIp(run, port, target, true), 'guard-nd');
  }
  if (anyLinkLocal(run, port)) return undefined;
  return unless(ownsLinkLocal(run, port, target), 'guard-nd');
}
