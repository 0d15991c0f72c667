/**
 * Reads a frame and says what is wrong with it: lengths that do not add up and checksums that are not right, outside and
 * inside a VXLAN tunnel. Written apart from src/simulator and from the packet builder.
 */
import { internetChecksum } from './packet.ts';

export interface CheckOptions {
  /** UDP port that carries VXLAN. */
  readonly vxlanPort?: number;
  /** An unfinished TCP or UDP checksum is no fault: TC leaves it to the stack. */
  readonly allowPartial?: boolean;
}

/** Faults of the frame, as text; none: it is right. */
export function packetFaults(frame: Uint8Array, options: CheckOptions = {}): string[] {
  const faults: string[] = [];
  checkEthernet(Buffer.from(frame.buffer, frame.byteOffset, frame.length), options, faults, '');
  return faults;
}

function checkEthernet(frame: Buffer, options: CheckOptions, faults: string[], where: string): void {
  if (frame.length < 14) {
    faults.push(`${where}Ethernet header cut off`);
    return;
  }
  const payload = frame.subarray(14);
  switch (frame.readUInt16BE(12)) {
    case 0x0800:
      checkIpv4(payload, options, faults, `${where}ip4: `);
      break;
    case 0x86dd:
      checkIpv6(payload, options, faults, `${where}ip6: `);
      break;
    case 0x0806:
      if (payload.length < 28) faults.push(`${where}arp: cut off`);
      break;
  }
}

function checkIpv4(packet: Buffer, options: CheckOptions, faults: string[], where: string): void {
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
  checkTransport(packet[9]!, packet.subarray(12, 20), body, options, faults, where);
}

function checkIpv6(packet: Buffer, options: CheckOptions, faults: string[], where: string): void {
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
  if (at <= length) checkTransport(next, packet.subarray(8, 40), packet.subarray(at, length), options, faults, where);
}

function checkTransport(
  protocol: number,
  addresses: Buffer,
  body: Buffer,
  options: CheckOptions,
  faults: string[],
  where: string,
): void {
  const field = { 1: 2, 6: 16, 17: 6, 58: 2 }[protocol];
  if (field === undefined) return;
  if (body.length < field + 2) {
    faults.push(`${where}layer 4 cut off`);
    return;
  }
  const v6 = addresses.length === 32;
  const sent = body.readUInt16BE(field);
  const none = protocol === 17 && sent === 0;
  const tail = Buffer.from([0, 0, 0, protocol]);
  tail.writeUInt16BE(body.length, 0);
  const pseudo = protocol === 1 ? Buffer.alloc(0) : Buffer.concat([addresses, tail]);
  const partial = options.allowPartial === true && sent === 0xffff - internetChecksum(pseudo);
  if (none ? v6 : !partial && internetChecksum(Buffer.concat([pseudo, body])) !== 0)
    faults.push(`${where}layer-4 checksum`);
  if (protocol !== 17) return;
  const length = body.readUInt16BE(4);
  if (length < 8 || length > body.length) faults.push(`${where}udp: length`);
  else if (body.readUInt16BE(2) === (options.vxlanPort ?? 4789)) {
    if (length < 16 || (body[8]! & 8) === 0) faults.push(`${where}vxlan: header`);
    else checkEthernet(body.subarray(16, length), options, faults, `${where}vxlan: `);
  }
}
