/**
 * Reads a frame and says what is wrong with it: lengths that do not add up and checksums that are not right, outside and
 * inside every kind of tunnel. Written apart from src/simulator and from the packet builder.
 */
import { internetChecksum } from './packet.ts';
import { checkTunnel, type TunnelPorts, tunnelOf } from './packet-check-tunnels.ts';

export interface CheckOptions {
  /** UDP ports of the tunnels, where they are not the usual ones. */
  readonly ports?: Partial<TunnelPorts>;
  /** An unfinished TCP or UDP checksum is no fault: TC leaves it to the stack. */
  readonly allowPartial?: boolean;
}

/** What the checks share: what to look for, and what was found. */
export interface Check {
  readonly options: CheckOptions;
  readonly faults: string[];
  /** Tunnels around what is looked at. */
  readonly depth: number;
}

const LARGEST_DEPTH = 2;

/** Faults of the frame, as text; none: it is right. */
export function packetFaults(frame: Uint8Array, options: CheckOptions = {}): string[] {
  const faults: string[] = [];
  const bytes = Buffer.from(frame.buffer, frame.byteOffset, frame.length);
  checkEthernet(bytes, { options, faults, depth: 0 }, '');
  return faults;
}

export function checkEthernet(frame: Buffer, check: Check, where: string): void {
  if (frame.length < 14) {
    check.faults.push(`${where}Ethernet header cut off`);
    return;
  }
  checkPayload(frame.readUInt16BE(12), frame.subarray(14), check, where);
}

function checkPayload(etherType: number, payload: Buffer, check: Check, where: string): void {
  switch (etherType) {
    case 0x8100:
    case 0x88a8:
      if (payload.length < 4) check.faults.push(`${where}tag cut off`);
      else checkPayload(payload.readUInt16BE(2), payload.subarray(4), check, `${where}tag: `);
      break;
    case 0x0800:
      checkIpv4(payload, check, `${where}ip4: `);
      break;
    case 0x86dd:
      checkIpv6(payload, check, `${where}ip6: `);
      break;
    case 0x0806:
      if (payload.length < 28) check.faults.push(`${where}arp: cut off`);
      break;
  }
}

export function checkIpv4(packet: Buffer, check: Check, where: string): void {
  const { faults } = check;
  if (packet.length < 20 || packet[0]! >> 4 !== 4) {
    faults.push(`${where}no header`);
    return;
  }
  const headerLength = (packet[0]! & 15) * 4;
  const length = packet.readUInt16BE(2);
  if (headerLength < 20 || length < headerLength || length > packet.length) {
    faults.push(`${where}lengths`);
    return;
  }
  if (internetChecksum(packet.subarray(0, headerLength)) !== 0) faults.push(`${where}header checksum`);
  const fragment = (packet.readUInt16BE(6) & 0x3fff) !== 0;
  if (fragment) return;
  const body = packet.subarray(headerLength, length);
  checkTransport(packet[9]!, packet.subarray(12, 20), body, check, where);
}

export function checkIpv6(packet: Buffer, check: Check, where: string): void {
  const { faults } = check;
  if (packet.length < 40 || packet[0]! >> 4 !== 6) {
    faults.push(`${where}no header`);
    return;
  }
  const length = 40 + packet.readUInt16BE(4);
  if (length > packet.length) {
    faults.push(`${where}lengths`);
    return;
  }
  let next = packet[6]!;
  let at = 40;
  while ([0, 43, 51, 60].includes(next) && at + 8 <= length) {
    const size = next === 51 ? (packet[at + 1]! + 2) * 4 : (packet[at + 1]! + 1) * 8;
    next = packet[at]!;
    at += size;
  }
  if (at <= length) checkTransport(next, packet.subarray(8, 40), packet.subarray(at, length), check, where);
}

function checkTransport(protocol: number, addresses: Buffer, body: Buffer, check: Check, where: string): void {
  const { faults, options, depth } = check;
  const tunnel = depth < LARGEST_DEPTH ? tunnelOf(protocol, body, options.ports) : undefined;
  if (protocol !== 47) checkChecksum(protocol, addresses, body, check, where, tunnel !== undefined);
  if (protocol === 17 && body.length >= 8) {
    const length = body.readUInt16BE(4);
    if (length < 8 || length > body.length) faults.push(`${where}udp: length`);
  }
  if (tunnel !== undefined) checkTunnel(tunnel, body, { ...check, depth: depth + 1 }, where);
}

function checkChecksum(
  protocol: number,
  addresses: Buffer,
  body: Buffer,
  { faults, options }: Check,
  where: string,
  isTunnel: boolean,
): void {
  const field = { 1: 2, 6: 16, 17: 6, 58: 2 }[protocol];
  if (field === undefined) return;
  if (body.length < field + 2) {
    faults.push(`${where}layer 4 cut off`);
    return;
  }
  const sent = body.readUInt16BE(field);
  if (protocol === 17 && sent === 0) {
    // RFC 6935: tunnels may go without, also over IPv6
    if (addresses.length === 32 && !isTunnel) faults.push(`${where}layer-4 checksum`);
    return;
  }
  const tail = Buffer.from([0, 0, 0, protocol]);
  tail.writeUInt16BE(body.length, 0);
  const pseudo = protocol === 1 ? Buffer.alloc(0) : Buffer.concat([addresses, tail]);
  // the checksum around an unfinished one is that of the finished packet
  if (options.allowPartial === true && (isTunnel || sent === 0xffff - internetChecksum(pseudo))) return;
  if (internetChecksum(Buffer.concat([pseudo, body])) !== 0) faults.push(`${where}layer-4 checksum`);
}
