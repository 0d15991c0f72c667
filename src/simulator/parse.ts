/**
 * From bytes to headers: packet-rules.md §1. Nothing here decides what happens to a packet; it says what the packet is,
 * that it is malformed, or (XDP) that a header lies behind the first buffer.
 */
import { ipFromBytes, macFromBytes } from '../table/address.ts';
import { read16, read32 } from './bytes.ts';
import { type NeighbourMessage, parseNeighbour } from './parse-neighbour.ts';

export const ETHERTYPE_IPV4 = 0x0800;
export const ETHERTYPE_ARP = 0x0806;
export const ETHERTYPE_VLAN = 0x8100;
export const ETHERTYPE_IPV6 = 0x86dd;
export const ETHERTYPE_PAUSE = 0x8808;
export const ETHERTYPE_QINQ = 0x88a8;

export const PROTOCOL_ICMP = 1;
export const PROTOCOL_TCP = 6;
export const PROTOCOL_UDP = 17;
export const PROTOCOL_GRE = 47;
export const PROTOCOL_ICMPV6 = 58;

const NEXT_HOP_BY_HOP = 0;
const NEXT_ROUTING = 43;
const NEXT_FRAGMENT = 44;
const NEXT_AUTHENTICATION = 51;
const NEXT_DESTINATION_OPTIONS = 60;
const MAX_EXTENSION_HEADERS = 8;
const MAX_TAGS = 2;
/** The last byte of a frame at which a header may begin. */
const LAST_HEADER = 4095;

/** A frame in memory: `bytes[start, end)`; only `bytes[start, buffered)` can be read before the program asks for more. */
export interface FrameView {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
  /** End of the first buffer; equal to `end` but for multi-buffer XDP. */
  readonly buffered: number;
}

/** Why there are no headers. */
export type ParseProblem = 'malformed' | 'not-in-first-buffer';

export interface Ethernet {
  readonly offset: number;
  readonly destination: string;
  readonly source: string;
  /** The first EtherType, as in the frame; below 0x600 it is an 802.3 length. */
  readonly etherType: number;
  /** A tag in the frame. */
  readonly tagged: boolean;
  /** Tags in the frame that were skipped to find the layer 3. */
  readonly tagsInFrame: number;
  /** Tags that the network carries: those skipped, and one beside the frame. */
  readonly tags: number;
  /** Where layer 3 begins, and its EtherType. */
  readonly payload: number;
  readonly payloadType: number;
  /** Destination has the group bit (broadcast included). */
  readonly group: boolean;
  /** Source has the group bit. */
  readonly groupSource: boolean;
}

interface IpCommon {
  readonly offset: number;
  /** Canonical text. */
  readonly source: string;
  readonly destination: string;
  /** Bytes of the whole packet, from the IP header on. */
  readonly length: number;
  /** Bytes of the IP header with its options or extension headers. */
  readonly headerLength: number;
  /** Not the whole datagram, or (IPv6) with a fragment header that says it is. */
  readonly fragment: boolean;
  /** A fragment that is not the first. */
  readonly laterFragment: boolean;
  /** The two ECN bits. */
  readonly ecn: number;
  /** The six bits above them. */
  readonly dscp: number;
  /** The protocol that goes into the flow hash. */
  readonly flowProtocol: number;
  readonly layer4: Layer4 | undefined;
}

export interface Ipv4 extends IpCommon {
  readonly kind: 'ipv4';
}

export interface Ipv6 extends IpCommon {
  readonly kind: 'ipv6';
  /** There is at least one extension header. */
  readonly extended: boolean;
}

export interface Arp {
  readonly kind: 'arp';
  readonly offset: number;
  readonly operation: number;
  readonly senderMac: string;
  readonly senderIp: string;
  readonly targetIp: string;
}

export interface Opaque {
  readonly kind: 'opaque';
}

export type Layer3 = Ipv4 | Ipv6 | Arp | Opaque;

interface Layer4Common {
  readonly offset: number;
  /** Bytes from here to the end of the IP packet. */
  readonly length: number;
}

export interface Ports extends Layer4Common {
  readonly kind: 'tcp' | 'udp';
  readonly sourcePort: number;
  readonly destinationPort: number;
}

export interface Icmp extends Layer4Common {
  readonly kind: 'icmp' | 'icmpv6';
  readonly type: number;
  /** Neighbour discovery, when it is that and not in a fragment. */
  readonly neighbour: NeighbourMessage | undefined;
}

export interface OpaqueLayer4 extends Layer4Common {
  readonly kind: 'opaque';
}

export type Layer4 = Ports | Icmp | OpaqueLayer4;

/** Are `length` bytes at `offset` there? `limit` is the end of what holds them (the frame, or an IP packet in it). */
export function missing(frame: FrameView, offset: number, length: number, limit = frame.end): ParseProblem | undefined {
  if (offset + length > limit || offset - frame.start > LAST_HEADER) return 'malformed';
  if (offset + length > frame.buffered) return 'not-in-first-buffer';
  return undefined;
}

export function parseEthernet(frame: FrameView): Ethernet | ParseProblem {
  const { bytes, start } = frame;
  const problem = missing(frame, start, 14);
  if (problem !== undefined) return problem;
  const etherType = read16(bytes, start + 12);
  return {
    offset: start,
    destination: macFromBytes(bytes, start),
    source: macFromBytes(bytes, start + 6),
    etherType,
    tagged: isTagType(etherType),
    tagsInFrame: 0,
    tags: 0,
    payload: start + 14,
    payloadType: etherType,
    group: (bytes[start]! & 1) === 1,
    groupSource: (bytes[start + 6]! & 1) === 1,
  };
}

function isTagType(etherType: number): boolean {
  return etherType === ETHERTYPE_VLAN || etherType === ETHERTYPE_QINQ;
}

/** The frame without its tags: up to two, of which `beside` are in the packet's metadata; a third makes it `tagged`. */
export function skipTags(frame: FrameView, ethernet: Ethernet, beside: 0 | 1): Ethernet | ParseProblem | 'tagged' {
  let { payload, payloadType, tagsInFrame } = ethernet;
  while (isTagType(payloadType) && beside + tagsInFrame < MAX_TAGS) {
    const problem = missing(frame, payload, 4);
    if (problem !== undefined) return problem;
    payloadType = read16(frame.bytes, payload + 2);
    payload += 4;
    tagsInFrame++;
  }
  if (isTagType(payloadType)) return 'tagged';
  return { ...ethernet, payload, payloadType, tagsInFrame, tags: beside + tagsInFrame };
}

/** 01:80:c2:00:00:00–0f, and PAUSE. */
export function isLinkControl(ethernet: Ethernet): boolean {
  return /^01:80:c2:00:00:0.$/.test(ethernet.destination) || ethernet.etherType === ETHERTYPE_PAUSE;
}

/** Layers 3 and 4, behind the tags that were skipped. */
export function parseLayer3(frame: FrameView, ethernet: Ethernet): Layer3 | ParseProblem {
  const offset = ethernet.payload;
  switch (ethernet.payloadType) {
    case ETHERTYPE_IPV4:
      return parseIpv4(frame, offset);
    case ETHERTYPE_IPV6:
      return parseIpv6(frame, offset);
    case ETHERTYPE_ARP:
      return parseArp(frame, offset);
    default:
      return { kind: 'opaque' };
  }
}

function parseArp(frame: FrameView, offset: number): Arp | ParseProblem {
  const { bytes } = frame;
  const problem = missing(frame, offset, 28);
  if (problem !== undefined) return problem;
  const ethernetAndIpv4 =
    read16(bytes, offset) === 1 && read16(bytes, offset + 2) === ETHERTYPE_IPV4 && read16(bytes, offset + 4) === 0x0604;
  if (!ethernetAndIpv4) return 'malformed';
  return {
    kind: 'arp',
    offset,
    operation: read16(bytes, offset + 6),
    senderMac: macFromBytes(bytes, offset + 8),
    senderIp: ipFromBytes(bytes.subarray(offset + 14, offset + 18)),
    targetIp: ipFromBytes(bytes.subarray(offset + 24, offset + 28)),
  };
}

function parseIpv4(frame: FrameView, offset: number): Ipv4 | ParseProblem {
  const { bytes } = frame;
  const shortest = missing(frame, offset, 20);
  if (shortest !== undefined) return shortest;
  if (bytes[offset]! >>> 4 !== 4) return 'malformed';
  const headerLength = (bytes[offset]! & 0xf) * 4;
  if (headerLength < 20) return 'malformed';
  const whole = missing(frame, offset, headerLength);
  if (whole !== undefined) return whole;
  const length = read16(bytes, offset + 2);
  if (length < headerLength || offset + length > frame.end) return 'malformed';
  const fragmentField = read16(bytes, offset + 6);
  const laterFragment = (fragmentField & 0x1fff) !== 0;
  const protocol = bytes[offset + 9]!;
  let layer4: Layer4 | undefined;
  if (!laterFragment) {
    const parsed = parseLayer4(frame, offset + headerLength, offset + length, protocol, 4);
    if (typeof parsed === 'string') return parsed;
    layer4 = parsed;
  }
  return {
    kind: 'ipv4',
    offset,
    source: ipFromBytes(bytes.subarray(offset + 12, offset + 16)),
    destination: ipFromBytes(bytes.subarray(offset + 16, offset + 20)),
    length,
    headerLength,
    fragment: laterFragment || (fragmentField & 0x2000) !== 0,
    laterFragment,
    ecn: bytes[offset + 1]! & 3,
    dscp: bytes[offset + 1]! >>> 2,
    flowProtocol: protocol,
    layer4,
  };
}

/** What the walk over IPv6 extension headers finds. */
interface Chain {
  readonly nextHeader: number;
  readonly offset: number;
  readonly extended: boolean;
  readonly laterFragment: boolean;
  /** The next-header field of the first fragment header. */
  readonly fragmentProtocol: number | undefined;
}

function walkExtensionHeaders(frame: FrameView, start: number, end: number, first: number): Chain | ParseProblem {
  const { bytes } = frame;
  let nextHeader = first;
  let offset = start;
  let count = 0;
  let fragmentProtocol: number | undefined;
  for (;;) {
    const chain = { nextHeader, offset, extended: count > 0, fragmentProtocol };
    let length: number;
    switch (nextHeader) {
      case NEXT_HOP_BY_HOP:
      case NEXT_ROUTING:
      case NEXT_DESTINATION_OPTIONS:
      case NEXT_FRAGMENT:
      case NEXT_AUTHENTICATION:
        break;
      default:
        return { ...chain, laterFragment: false };
    }
    if (++count > MAX_EXTENSION_HEADERS) return 'malformed';
    const problem = missing(frame, offset, 8, end);
    if (problem !== undefined) return problem;
    if (nextHeader === NEXT_FRAGMENT) length = 8;
    else if (nextHeader === NEXT_AUTHENTICATION) length = (bytes[offset + 1]! + 2) * 4;
    else length = (bytes[offset + 1]! + 1) * 8;
    if (offset + length > end) return 'malformed';
    if (nextHeader === NEXT_FRAGMENT) {
      fragmentProtocol ??= bytes[offset]!;
      if (read16(bytes, offset + 2) >>> 3 !== 0) {
        return { ...chain, offset: offset + length, extended: true, fragmentProtocol, laterFragment: true };
      }
    }
    nextHeader = bytes[offset]!;
    offset += length;
  }
}

function parseIpv6(frame: FrameView, offset: number): Ipv6 | ParseProblem {
  const { bytes } = frame;
  const problem = missing(frame, offset, 40);
  if (problem !== undefined) return problem;
  if (bytes[offset]! >>> 4 !== 6) return 'malformed';
  const length = 40 + read16(bytes, offset + 4);
  const end = offset + length;
  if (end > frame.end) return 'malformed';
  const chain = walkExtensionHeaders(frame, offset + 40, end, bytes[offset + 6]!);
  if (typeof chain === 'string') return chain;
  const fragment = chain.fragmentProtocol !== undefined;
  let layer4: Layer4 | undefined;
  if (!chain.laterFragment) {
    const hopLimit = bytes[offset + 7]!;
    const parsed = parseLayer4(frame, chain.offset, end, chain.nextHeader, 6, fragment ? undefined : hopLimit);
    if (typeof parsed === 'string') return parsed;
    layer4 = parsed;
  }
  return {
    kind: 'ipv6',
    offset,
    source: ipFromBytes(bytes.subarray(offset + 8, offset + 24)),
    destination: ipFromBytes(bytes.subarray(offset + 24, offset + 40)),
    length,
    headerLength: chain.offset - offset,
    fragment,
    laterFragment: chain.laterFragment,
    ecn: (bytes[offset + 1]! >>> 4) & 3,
    dscp: (read16(bytes, offset) >>> 6) & 0x3f,
    flowProtocol: chain.fragmentProtocol ?? chain.nextHeader,
    layer4,
    extended: chain.extended,
  };
}

/** `hopLimit` is given where neighbour discovery is to be read: in IPv6 packets that are no fragments. */
function parseLayer4(
  frame: FrameView,
  offset: number,
  end: number,
  protocol: number,
  family: 4 | 6,
  hopLimit?: number,
): Layer4 | ParseProblem {
  const { bytes } = frame;
  const length = end - offset;
  switch (protocol) {
    case PROTOCOL_TCP:
    case PROTOCOL_UDP: {
      const problem = missing(frame, offset, protocol === PROTOCOL_TCP ? 20 : 8, end);
      if (problem !== undefined) return problem;
      const kind = protocol === PROTOCOL_TCP ? 'tcp' : 'udp';
      return { kind, offset, length, sourcePort: read16(bytes, offset), destinationPort: read16(bytes, offset + 2) };
    }
    case PROTOCOL_ICMP:
    case PROTOCOL_ICMPV6: {
      if (protocol !== (family === 4 ? PROTOCOL_ICMP : PROTOCOL_ICMPV6)) return { kind: 'opaque', offset, length };
      const problem = missing(frame, offset, 4, end);
      if (problem !== undefined) return problem;
      const type = bytes[offset]!;
      if (family === 4) return { kind: 'icmp', offset, length, type, neighbour: undefined };
      if (hopLimit === undefined || !isNeighbourType(type)) {
        return { kind: 'icmpv6', offset, length, type, neighbour: undefined };
      }
      const neighbour = parseNeighbour(frame, offset, end, hopLimit);
      if (typeof neighbour === 'string') return neighbour;
      return { kind: 'icmpv6', offset, length, type, neighbour };
    }
    default:
      return { kind: 'opaque', offset, length };
  }
}

/** Router solicitation to redirect (RFC 4861). */
export function isNeighbourType(type: number): boolean {
  return type >= 133 && type <= 137;
}

/** The four bytes of ports as one number, as the flow hash takes them. */
export function portsWord(frame: FrameView, ports: Ports): number {
  return read32(frame.bytes, ports.offset);
}
