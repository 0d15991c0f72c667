/** The outer headers of what comes from the underlay: packet-rules.md rules 3.1 to 3.3. */
import { ipFromBytes, macFromBytes } from '../table/address.ts';
import type { Encap } from '../table/model.ts';
import { read16 } from './bytes.ts';
import { fold, sum16 } from './checksum.ts';
import { isKeyedEthernet } from './encap-gre.ts';
import type { HeaderProblem, TunnelHeader } from './encapsulation.ts';
import { ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_VLAN, type FrameView, PROTOCOL_GRE, PROTOCOL_UDP } from './parse.ts';
import type { Run } from './run.ts';
import { headerOfPort, tunnelHeader } from './tunnel-headers.ts';
import type { Device } from './types.ts';
import type { Family } from './underlay.ts';

const VLAN_ID = 0xfff;
const ETHERNET = 14;
const TAG = 4;
const UDP = 8;
/** A UDP header and the shortest tunnel header. */
const SHORTEST_UDP = 16;
export const PROBE_PORT = 7784;
const LONGEST_LENGTH = 0xffff;

export interface Tunnel {
  readonly kind: 'tunnel';
  readonly encap: Exclude<Encap, 'flat'>;
  readonly ipOnly: boolean;
  readonly source: string;
  readonly ecn: number;
  readonly segment: number;
  /** What the tunnel carries. */
  readonly payload: FrameView;
}

/** Section 9: somebody asks whether this node forwards. Offsets in the frame. */
export interface Probe {
  readonly kind: 'probe';
  readonly family: Family;
  readonly source: string;
  readonly ip: number;
  readonly udp: number;
  readonly udpLength: number;
}

export type OuterResult =
  | Tunnel
  | Probe
  | { readonly kind: 'not-ours'; readonly why: string }
  | { readonly kind: 'problem'; readonly reason: HeaderProblem; readonly why: string }
  | { readonly kind: 'not-in-first-buffer' };

/** The outer packet, when it is one for this node. */
interface Candidate {
  readonly kind: 'candidate';
  readonly family: Family;
  /** Where the IP header begins, and where what it carries does. */
  readonly ip: number;
  readonly carrier: number;
  readonly header: TunnelHeader | 'probe';
}

type OuterProblem = Exclude<OuterResult, Tunnel | Probe>;

const NOT_IN_FIRST_BUFFER = { kind: 'not-in-first-buffer' } as const;

function notOurs(why: string): OuterProblem {
  return { kind: 'not-ours', why };
}

function malformed(why: string): OuterProblem {
  return { kind: 'problem', reason: 'outer-malformed', why };
}

export function parseOuter(run: Run, device: Device): OuterResult {
  const candidate = findTunnel(run, device);
  return candidate.kind === 'candidate' ? openTunnel(run, candidate) : candidate;
}

/** Rule 3.1. */
function findTunnel(run: Run, device: Device): Candidate | OuterProblem {
  const { bytes, start, end, buffered } = run.frame;
  const ethernet = findLayer3(run);
  if (!('at' in ethernet)) return ethernet;
  const { at, etherType } = ethernet;
  const family = etherType === ETHERTYPE_IPV4 ? 4 : etherType === ETHERTYPE_IPV6 ? 6 : undefined;
  if (family === undefined) return notOurs('not IP');
  const fixed = family === 4 ? 20 : 40;
  if (at + fixed > end) return notOurs('too short');
  if (at + fixed > buffered) return NOT_IN_FIRST_BUFFER;
  if (bytes[at]! >>> 4 !== family) return notOurs('not the version of its EtherType');
  const headerLength = family === 4 ? (bytes[at]! & 0xf) * 4 : 40;
  if (headerLength < 20) return notOurs('header length');
  const [first, last] = family === 4 ? [16, 20] : [24, 40];
  const destination = ipFromBytes(bytes.subarray(at + first, at + last));
  const forGroup = isGroup(run, destination);
  if (destination !== run.world.ownAddress(family) && !forGroup) return notOurs('to another address');
  const mac = macFromBytes(bytes, start);
  if (mac !== device.mac && !(forGroup && (bytes[start]! & 1) === 1)) return notOurs('to another MAC');
  if (family === 4 && (read16(bytes, at + 6) & 0x3fff) !== 0) return notOurs('a fragment');
  const header = findHeader(run, bytes[at + (family === 4 ? 9 : 6)]!, at + headerLength);
  if (typeof header === 'object' && 'kind' in header) return header;
  if (header === 'probe' && (forGroup || mac !== device.mac)) return notOurs('a probe for a group');
  return { kind: 'candidate', family, ip: at, carrier: at + headerLength, header };
}

/** Behind the tag of the underlay, where that has one; a packet with another tag, or without it, is not ours. */
function findLayer3(run: Run): { readonly at: number; readonly etherType: number } | OuterProblem {
  const { bytes, start, end, buffered } = run.frame;
  const { underlayVlan } = run.world.environment;
  const payload = start + ETHERNET;
  if (payload > end) return notOurs('too short');
  if (payload > buffered) return NOT_IN_FIRST_BUFFER;
  const etherType = read16(bytes, payload - 2);
  if (underlayVlan === 0) return run.tag === undefined ? { at: payload, etherType } : notOurs('tagged');
  if (run.tag !== undefined) {
    const right = run.tag.etherType === ETHERTYPE_VLAN && (run.tag.tci & VLAN_ID) === underlayVlan;
    return right ? { at: payload, etherType } : notOurs('another tag');
  }
  if (etherType !== ETHERTYPE_VLAN) return notOurs('untagged');
  if (payload + TAG > end) return notOurs('too short');
  if (payload + TAG > buffered) return NOT_IN_FIRST_BUFFER;
  if ((read16(bytes, payload) & VLAN_ID) !== underlayVlan) return notOurs('another tag');
  return { at: payload + TAG, etherType: read16(bytes, payload + 2) };
}

/** A group that a network of this node floods to. A stale entry is none. */
function isGroup(run: Run, address: string): boolean {
  const owner = run.world.ownerOfAddress(address);
  return owner.state === 'found' && owner.value.kind === 'group';
}

function findHeader(run: Run, protocol: number, carrier: number): TunnelHeader | 'probe' | OuterProblem {
  const { bytes, end, buffered } = run.frame;
  const { world } = run;
  const needed = protocol === PROTOCOL_UDP ? UDP : 4;
  if (protocol !== PROTOCOL_UDP && protocol !== PROTOCOL_GRE) return notOurs('neither UDP nor GRE');
  if (carrier + needed > end) return notOurs('too short');
  if (carrier + needed > buffered) return NOT_IN_FIRST_BUFFER;
  if (protocol === PROTOCOL_GRE) {
    const ours = world.hasEncap('gre') && isKeyedEthernet(bytes, carrier);
    return ours ? tunnelHeader('gre') : notOurs('GRE of another kind');
  }
  const port = read16(bytes, carrier + 2);
  const header = headerOfPort(world.environment.ports, port, (encap) => world.hasEncap(encap));
  if (header === undefined && port === PROBE_PORT && world.environment.discriminator !== 0) return 'probe';
  return header ?? notOurs('to another UDP port');
}

/** Rules 3.2 and 3.3. */
function openTunnel(run: Run, { family, ip, carrier, header }: Candidate): OuterResult {
  const { bytes, end, buffered } = run.frame;
  const merged = run.gsoSize > 0 && end - ip > LONGEST_LENGTH;
  if (family === 4 && carrier - ip !== 20) return malformed('IP options');
  const length = merged ? end - ip : family === 4 ? read16(bytes, ip + 2) : 40 + read16(bytes, ip + 4);
  const ipEnd = ip + length;
  if (ipEnd > end) return malformed('length of the IP packet');
  if (family === 4 && fold(sum16(bytes, ip, ip + 20)) !== 0xffff) return malformed('header checksum');
  let at = carrier;
  let payloadEnd = ipEnd;
  const [first, last] = family === 4 ? [12, 16] : [8, 24];
  const source = ipFromBytes(bytes.subarray(ip + first, ip + last));
  if (header === 'probe' || header.carrier === PROTOCOL_UDP) {
    const udpLength = merged ? ipEnd - carrier : read16(bytes, carrier + 4);
    if (udpLength < SHORTEST_UDP || carrier + udpLength > ipEnd) return malformed('UDP length');
    if (header === 'probe') return { kind: 'probe', family, source, ip, udp: carrier, udpLength };
    at = carrier + UDP;
    payloadEnd = carrier + udpLength;
  }
  const read = header.read({ bytes, at, end: payloadEnd, buffered });
  if (read.kind !== 'header') return read;
  const start = at + read.length;
  return {
    kind: 'tunnel',
    encap: header.encap,
    ipOnly: header.ipOnly,
    source,
    ecn: family === 4 ? bytes[ip + 1]! & 3 : (bytes[ip + 1]! >>> 4) & 3,
    segment: read.segment,
    payload: { bytes, start, end: payloadEnd, buffered: Math.min(buffered, payloadEnd) },
  };
}
