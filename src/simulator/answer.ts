/** ARP and neighbour solicitations that the map can answer: packet-rules.md rule 2.8. */
import { formatMac, ipBytes, isIpv6Multicast, macBytes, macOfLinkLocal, parseIp } from '../table/address.ts';
import type { TableAddress, TablePort } from '../table/model.ts';
import { write16 } from './bytes.ts';
import { checksum, pseudoHeaderSum } from './checksum.ts';
import { isSolicitedNode } from './guard.ts';
import { type Arp, ETHERTYPE_IPV6, type Ethernet, type Ipv6, type Layer3, PROTOCOL_ICMPV6 } from './parse.ts';
import { NEIGHBOUR_ADVERTISEMENT, NEIGHBOUR_SOLICITATION, TARGET_LINK_LAYER } from './parse-neighbour.ts';
import { answer, copyFrame, type Decision, type Run } from './run.ts';

const ARP_REQUEST = 1;
const ARP_REPLY = 2;
const BROADCAST = 'ff:ff:ff:ff:ff:ff';
const ALL_NODES = 'ff02::1';
const ALL_NODES_MAC = '33:33:00:00:00:01';
const FLAG_ROUTER = 0x80;
const FLAG_SOLICITED = 0x40;
const FLAG_OVERRIDE = 0x20;

/** The answer, or undefined: the frame goes on. */
export function answerFromMap(run: Run, asker: TablePort, ethernet: Ethernet, layer3: Layer3): Decision | undefined {
  if (layer3.kind === 'arp') return answerArp(run, asker, ethernet, layer3);
  if (layer3.kind === 'ipv6') return answerNeighbour(run, asker, ethernet, layer3);
  return undefined;
}

/** To a unicast MAC, in a network that carries IP alone: the question would not get to whom it asks. */
function isAnsweredProbe(run: Run, asker: TablePort, ethernet: Ethernet): boolean {
  return !ethernet.group && run.world.isIpOnly(asker.network);
}

function answerArp(run: Run, asker: TablePort, ethernet: Ethernet, arp: Arp): Decision | undefined {
  if (arp.operation !== ARP_REQUEST) return undefined;
  const balanced = run.world.balancedOfIp(asker.network, arp.targetIp);
  const probe = isAnsweredProbe(run, asker, ethernet) || (balanced.state === 'found' && !ethernet.group);
  if (ethernet.destination !== BROADCAST && !probe) return undefined;
  if (arp.targetIp === arp.senderIp) {
    run.trace.note('2.8', 'a gratuitous ARP request?', 'yes: not answered');
    return undefined;
  }
  const target =
    balanced.state === 'found'
      ? answererOf(run, asker, balanced.value, arp.targetIp, arp.senderIp === '0.0.0.0')
      : findTarget(run, asker, arp.targetIp);
  if (target === undefined) return undefined;
  const frame = copyFrame(run.frame);
  const at = arp.offset - run.frame.start;
  frame.copyWithin(0, 6, 12);
  frame.set(macBytes(target.mac), 6);
  write16(frame, at + 6, ARP_REPLY);
  frame.copyWithin(at + 18, at + 8, at + 18);
  frame.set(macBytes(target.mac), at + 8);
  frame.set(ipBytes(arp.targetIp), at + 14);
  return answer(run, { network: asker.network, ...target.record }, 'none', frame);
}

function answerNeighbour(run: Run, asker: TablePort, ethernet: Ethernet, ip: Ipv6): Decision | undefined {
  const message = ip.layer4?.kind === 'icmpv6' ? ip.layer4.neighbour : undefined;
  if (message?.type !== NEIGHBOUR_SOLICITATION || ip.extended) return undefined;
  const wanted = message.target!;
  const balanced = run.world.balancedOfIp(asker.network, wanted);
  const unicast = isAnsweredProbe(run, asker, ethernet) || (balanced.state === 'found' && !ethernet.group);
  const probe = unicast && ip.source !== '::' && !isIpv6Multicast(ip6(ip.destination));
  if (!probe && !(ethernet.group && isSolicitedNode(ip.destination))) return undefined;
  if (isIpv6Multicast(ip6(wanted))) return undefined;
  const target =
    balanced.state === 'found'
      ? answererOf(run, asker, balanced.value, wanted, ip.source === '::')
      : findTarget(run, asker, wanted);
  if (target === undefined) return undefined;
  const frame = neighbourAdvertisement(target, wanted, ethernet.source, ip.source);
  return answer(run, { network: asker.network, ...target.record }, 'none', frame);
}

function ip6(text: string): readonly [number, number, number, number] {
  return parseIp(text) as readonly [number, number, number, number];
}

/** Whose MAC the answer tells. */
interface Answerer {
  readonly mac: string;
  readonly router: boolean;
  /** The port, in the verdict's record; a balanced address has none. */
  readonly record: { readonly port?: string };
}

/** `searching`: whether somebody has the address already, which a member of it is not told. */
function answererOf(
  run: Run,
  asker: TablePort,
  address: TableAddress,
  ip: string,
  searching: boolean,
): Answerer | undefined {
  const asked = `who has ${ip} in ${asker.network}?`;
  if (searching && run.world.allowed(asker, ip).state === 'found' && run.world.serves(asker, ip)) {
    run.trace.note('2.8', asked, `${address.id}, which the asker serves: not answered`);
    return undefined;
  }
  if (run.world.balance(address.id).state !== 'found') {
    run.trace.note('2.8', asked, `${address.id}, stale: not answered`);
    return undefined;
  }
  run.trace.note('2.8', asked, `${address.id}, which is balanced: answered`);
  return { mac: address.mac, router: false, record: {} };
}

/** The port that owns the address, if it is another one and up. */
function findTarget(run: Run, asker: TablePort, ip: string): Answerer | undefined {
  const { world, trace } = run;
  const asked = `who has ${ip} in ${asker.network}?`;
  const id = ownerOf(run, asker.network, ip);
  if (id === undefined) {
    trace.note('2.8', asked, 'nobody: not answered');
    return undefined;
  }
  const port = world.port(id);
  if (port.state !== 'found') {
    trace.note('2.8', asked, `${id}, ${port.state}: not answered`);
    return undefined;
  }
  if (id === asker.id || port.value.network !== asker.network) {
    trace.note('2.8', asked, 'the asker itself: not answered');
    return undefined;
  }
  const up = world.placeOf(port.value) !== undefined;
  trace.note('2.8', asked, up ? `${id}: answered` : `${id}, which is at no live node: not answered`);
  if (!up) return undefined;
  return { mac: port.value.mac, router: port.value.role === 'router', record: { port: id } };
}

/** By address, or (a link-local of EUI-64 form without an entry) by the MAC in it. */
function ownerOf(run: Run, network: string, ip: string): string | undefined {
  const owner = run.world.portOfIp(network, ip);
  if (owner.state === 'found') return owner.value;
  if (owner.state === 'stale' || !ip.includes(':')) return undefined;
  const mac = macOfLinkLocal(ip6(ip));
  if (mac === undefined) return undefined;
  const byMac = run.world.portOfMac(network, formatMac(mac));
  return byMac.state === 'found' ? byMac.value : undefined;
}

/** A whole neighbour advertisement of 86 bytes (RFC 4861 section 4.4). */
function neighbourAdvertisement(target: Answerer, ip: string, askerMac: string, askerIp: string): Uint8Array {
  const duplicateDetection = askerIp === '::';
  const frame = new Uint8Array(86);
  frame.set(macBytes(duplicateDetection ? ALL_NODES_MAC : askerMac), 0);
  frame.set(macBytes(target.mac), 6);
  write16(frame, 12, ETHERTYPE_IPV6);
  frame[14] = 0x60;
  write16(frame, 18, 32);
  frame[20] = PROTOCOL_ICMPV6;
  frame[21] = 255;
  frame.set(ipBytes(ip), 22);
  frame.set(ipBytes(duplicateDetection ? ALL_NODES : askerIp), 38);
  frame[54] = NEIGHBOUR_ADVERTISEMENT;
  frame[58] = (target.router ? FLAG_ROUTER : 0) | (duplicateDetection ? 0 : FLAG_SOLICITED) | FLAG_OVERRIDE;
  frame.set(ipBytes(ip), 62);
  frame[78] = TARGET_LINK_LAYER;
  frame[79] = 1;
  frame.set(macBytes(target.mac), 80);
  write16(frame, 56, checksum(frame, 54, 86, pseudoHeaderSum(frame.subarray(22, 54), PROTOCOL_ICMPV6, 32)));
  return frame;
}
