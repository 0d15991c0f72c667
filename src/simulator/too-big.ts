/** What a sender hears when its packet does not fit: packet-rules.md rule 2.10. */
import { isIpv4Multicast, isIpv6Multicast, parseIp } from '../table/address.ts';
import { write16, write32 } from './bytes.ts';
import { checksum, pseudoHeaderSum } from './checksum.ts';
import {
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  type Ethernet,
  type Ipv4,
  type Ipv6,
  type Layer3,
  PROTOCOL_ICMP,
  PROTOCOL_ICMPV6,
} from './parse.ts';
import { answer, type Decision, drop, isIp, left, type Run } from './run.ts';

/** Bytes of the packet that an answer quotes. */
const QUOTE_IPV4 = 548;
const QUOTE_IPV6 = 1192;
const ICMP_ERRORS: readonly number[] = [3, 4, 5, 11, 12];
const LIMITED_BROADCAST = 0xffff_ffff;
const TTL = 64;

/** A packet larger than `mtu`: XDP leaves it; TC answers if it may, and drops if not. */
export function tooBig(run: Run, network: string, mtu: number, ethernet: Ethernet, layer3: Layer3): Decision {
  if (run.hook === 'xdp') {
    run.trace.note('5', 'larger than the MTU?', 'left to TC, which knows super-packets');
    return left();
  }
  const objection = whyNoAnswer(run, ethernet, layer3);
  run.trace.note('2.10', 'may the sender be told?', objection ?? 'yes');
  if (objection !== undefined || !isIp(layer3)) return drop('too-big', network);
  const frame = layer3.kind === 'ipv4' ? fragmentationNeeded(run, layer3, mtu) : packetTooBig(run, layer3, mtu);
  return answer(run, { network }, 'too-big', frame);
}

function whyNoAnswer(run: Run, ethernet: Ethernet, layer3: Layer3): string | undefined {
  if (ethernet.tags > 0) return 'no: tagged';
  if (!isIp(layer3)) return 'no: not IP';
  if (ethernet.group || isGroupIp(layer3.destination)) return 'no: sent to a group';
  if (isNoSource(layer3.source)) return 'no: its source is nobody';
  if (layer3.laterFragment) return 'no: a later fragment';
  const { layer4 } = layer3;
  if (layer4?.kind === 'icmp' && ICMP_ERRORS.includes(layer4.type)) return 'no: an ICMP error';
  if (layer4?.kind === 'icmpv6' && layer4.type < 128) return 'no: an ICMPv6 error';
  if (layer3.length < (layer3.kind === 'ipv4' ? QUOTE_IPV4 : QUOTE_IPV6)) return 'no: shorter than the quotation';
  if (run.world.environment.tooBigSpent) return 'no: over the rate';
  return undefined;
}

function isGroupIp(text: string): boolean {
  const ip = parseIp(text)!;
  return typeof ip === 'number' ? isIpv4Multicast(ip) || ip === LIMITED_BROADCAST : isIpv6Multicast(ip);
}

/** Unspecified, multicast or broadcast: nobody to send an answer to. */
function isNoSource(text: string): boolean {
  return text === '0.0.0.0' || text === '::' || isGroupIp(text);
}

/** The start of an answer: Ethernet addresses swapped. */
function turned(run: Run, length: number, etherType: number): Uint8Array {
  const { bytes, start } = run.frame;
  const frame = new Uint8Array(length);
  frame.set(bytes.subarray(start + 6, start + 12), 0);
  frame.set(bytes.subarray(start, start + 6), 6);
  write16(frame, 12, etherType);
  return frame;
}

/** ICMP destination unreachable, fragmentation needed (RFC 792, RFC 1191): 590 bytes. */
function fragmentationNeeded(run: Run, ip: Ipv4, mtu: number): Uint8Array {
  const { bytes } = run.frame;
  const frame = turned(run, 14 + 20 + 8 + QUOTE_IPV4, ETHERTYPE_IPV4);
  frame[14] = 0x45;
  write16(frame, 16, 20 + 8 + QUOTE_IPV4);
  write16(frame, 20, 0x4000);
  frame[22] = TTL;
  frame[23] = PROTOCOL_ICMP;
  frame.set(bytes.subarray(ip.offset + 16, ip.offset + 20), 26);
  frame.set(bytes.subarray(ip.offset + 12, ip.offset + 16), 30);
  write16(frame, 24, checksum(frame, 14, 34));
  frame[34] = 3;
  frame[35] = 4;
  write16(frame, 40, mtu);
  frame.set(bytes.subarray(ip.offset, ip.offset + QUOTE_IPV4), 42);
  write16(frame, 36, checksum(frame, 34));
  return frame;
}

/** ICMPv6 packet too big (RFC 4443 section 3.2): 1,254 bytes. */
function packetTooBig(run: Run, ip: Ipv6, mtu: number): Uint8Array {
  const { bytes } = run.frame;
  const length = 8 + QUOTE_IPV6;
  const frame = turned(run, 14 + 40 + length, ETHERTYPE_IPV6);
  frame[14] = 0x60;
  write16(frame, 18, length);
  frame[20] = PROTOCOL_ICMPV6;
  frame[21] = TTL;
  frame.set(bytes.subarray(ip.offset + 24, ip.offset + 40), 22);
  frame.set(bytes.subarray(ip.offset + 8, ip.offset + 24), 38);
  frame[54] = 2;
  write32(frame, 58, mtu);
  frame.set(bytes.subarray(ip.offset, ip.offset + QUOTE_IPV6), 62);
  write16(
    frame,
    56,
    checksum(frame, 54, frame.length, pseudoHeaderSum(frame.subarray(22, 54), PROTOCOL_ICMPV6, length)),
  );
  return frame;
}
